package purchases

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"creditstream/services/rules"
)

// notification is the body of what the sandbox sends, in the form that Standard Webhooks proposes.
type notification struct {
	Type      string       `json:"type"` // "payment.succeeded"
	Timestamp time.Time    `json:"timestamp"`
	Data      notifiedData `json:"data"`
}

type notifiedData struct {
	Tenant     string    `json:"tenant"`
	Purchase   string    `json:"purchase"`
	Currency   string    `json:"currency,omitempty"`
	Amount     string    `json:"amount,omitempty"` // decimal, in whole units of the currency
	PaidAt     time.Time `json:"paid_at,omitzero"`
	Reason     string    `json:"reason,omitempty"`
	Reference  string    `json:"reference"`
	InvoiceRef string    `json:"invoice_ref,omitempty"`
	ReceiptURL string    `json:"receipt_url,omitempty"`
}

const typePrefix = "payment."

func (s *Sandbox) notification(o Order, state State) notification {
	n := notification{
		Type: typePrefix + string(state), Timestamp: s.cfg.Now().UTC(),
		Data: notifiedData{Tenant: o.Tenant, Purchase: o.Purchase, Reference: "sandbox_" + o.Purchase},
	}
	switch state {
	case Succeeded:
		n.Data.Currency, n.Data.Amount = o.Price.Currency, rules.FormatMoney(o.Price)
		n.Data.PaidAt = s.cfg.Clock().UTC()
		n.Data.InvoiceRef, n.Data.ReceiptURL = "SANDBOX-"+o.Purchase, s.page(o)
	case Declined:
		n.Data.Reason = "card_declined"
	case Disputed:
		n.Data.Reason = "chargeback"
	}
	return n
}

// Notice reads what the sandbox sent.
func (s *Sandbox) Notice(header http.Header, body []byte, now time.Time) (Notice, error) {
	if err := CheckSignature(header, s.secret, body, now); err != nil {
		return Notice{}, err
	}
	var n notification
	if err := json.Unmarshal(body, &n); err != nil {
		return Notice{}, &rules.Refusal{Code: rules.CodeInvalid, Detail: fmt.Sprintf("the notification cannot be read: %v", err)}
	}
	d := &n.Data
	notice := Notice{
		Tenant: d.Tenant, Purchase: d.Purchase, State: State(strings.TrimPrefix(n.Type, typePrefix)), PaidAt: d.PaidAt,
		Reason: d.Reason, Reference: d.Reference, InvoiceRef: d.InvoiceRef, ReceiptURL: d.ReceiptURL,
	}
	if notice.State == Succeeded {
		var err error
		if notice.Paid, err = rules.ParseMoney(d.Currency, d.Amount); err != nil {
			return Notice{}, &rules.Refusal{Code: rules.CodeInvalid, Field: "data.amount", Detail: err.Error()}
		}
	}
	return notice, nil
}

var _ Provider = (*Sandbox)(nil)
