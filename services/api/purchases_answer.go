package api

import (
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// Purchase is a purchase in whatever state it is.
type Purchase struct {
	Purchase      string          `json:"purchase"`
	Account       string          `json:"account"`
	Status        string          `json:"status" enum:"awaiting_payment,processing,requires_action,completed,failed,expired,refunded,disputed"`
	Pack          string          `json:"pack,omitempty"`
	Pool          string          `json:"pool"`
	Credits       string          `json:"credits"`
	Price         *Money          `json:"price"`
	Provider      string          `json:"provider"`
	RequestedAt   time.Time       `json:"requested_at"`
	PaysUntil     time.Time       `json:"pays_until" doc:"Unpaid by then it expires; a payment that comes later still gives its credits."`
	CheckoutURL   string          `json:"checkout_url,omitempty" doc:"Where the buyer pays, while it can be paid."`
	Approved      string          `json:"approved,omitempty" doc:"The kind of code that approved it."`
	PaymentMethod string          `json:"payment_method,omitempty" doc:"The saved method that the buyer confirmed, masked."`
	Lot           string          `json:"lot,omitempty" doc:"The credits that it gave."`
	PaidAt        *time.Time      `json:"paid_at,omitempty" doc:"By the provider's clock."`
	Reference     string          `json:"reference,omitempty" doc:"The provider's name for the payment."`
	InvoiceRef    string          `json:"invoice_ref,omitempty"`
	ReceiptURL    string          `json:"receipt_url,omitempty"`
	Reason        string          `json:"reason,omitempty"`
	Metadata      credit.Metadata `json:"metadata,omitempty"`
	Position      string          `json:"position,omitempty"`
	Replayed      bool            `json:"replayed"`
}

// Purchases is a page of purchases.
type Purchases struct {
	Purchases []Purchase `json:"purchases"`
	Next      string     `json:"next,omitempty"`
}

// RefundAnswer is what a refund took back and paid back.
type RefundAnswer struct {
	Purchase string `json:"purchase"`
	Status   string `json:"status" enum:"refunded,disputed"`
	Lot      string `json:"lot,omitempty"`
	Revoked  string `json:"revoked" doc:"Credits taken back."`
	Money    *Money `json:"money,omitempty" doc:"Paid back; absent when it was refunded before."`
	Position string `json:"position"`
	Replayed bool   `json:"replayed"`
}

// Offers are what can be bought.
type Offers struct {
	Packs    []Offer     `json:"packs" doc:"In the order of the catalog."`
	TopUp    *TopUpOffer `json:"topup" doc:"Null when no amount of one's own can be bought."`
	Approval string      `json:"approval" enum:"off,pin,totp" doc:"The code that a purchase carries."`
	Account  string      `json:"account,omitempty"`
	Allowed  *bool       `json:"allowed,omitempty" doc:"Whether the account may buy; a code may still be asked for."`
	Code     string      `json:"code,omitempty" doc:"Why it may not."`
	Detail   string      `json:"detail,omitempty"`
	Contact  string      `json:"contact,omitempty"`

	PaymentMethod string `json:"payment_method,omitempty" doc:"The account's saved method, masked."`
}

// Offer is a pack.
type Offer struct {
	Pack    string `json:"pack"`
	Name    string `json:"name"`
	Price   *Money `json:"price"`
	Credits string `json:"credits"`
	Pool    string `json:"pool"`
}

// TopUpOffer is the rule for an amount of one's own.
type TopUpOffer struct {
	Currency string `json:"currency"`
	Rate     string `json:"rate" doc:"Credits for one whole unit of the currency."`
	Min      *Money `json:"min"`
	Max      *Money `json:"max"`
	Pool     string `json:"pool"`
}

func unknownPurchase(id string) error {
	return &rules.Refusal{Code: rules.CodeUnknownPurchase, Detail: fmt.Sprintf("there is no purchase %q", clip(id))}
}

// purchaseOf shows a purchase of an account that was read at a position.
func (c *call) purchaseOf(a *credit.Account, p *credit.Purchase, at accounts.Position) (Purchase, error) {
	url, err := c.cfg.Purchases.CheckoutURL(c.ctx, c.tenant, a, p)
	if err != nil {
		return Purchase{}, fmt.Errorf("find the checkout of purchase %s: %w", p.ID, err)
	}
	texts := c.texts(a.ID())
	reason, _ := texts.open(p.Reason)
	return Purchase{
		Purchase: p.ID, Account: a.ID(), Status: p.Status, Pack: p.Pack, Pool: p.Pool, Credits: p.Credits.Format(c.scale()),
		Price: moneyOf(p.Price), Provider: p.Provider, RequestedAt: p.Requested.UTC(), PaysUntil: p.PaysUntil.UTC(),
		CheckoutURL: url, Approved: p.Approved, PaymentMethod: p.Method, Lot: p.Lot, PaidAt: endOf(p.PaidAt),
		Reference: p.Reference, InvoiceRef: p.InvoiceRef, ReceiptURL: p.ReceiptURL, Reason: reason, Metadata: texts.metadata(p.Metadata),
		Position: at.String(),
	}, texts.fault
}

func listPacks(c *call) (reply, error) {
	offers := Offers{Packs: []Offer{}, Approval: string(rules.ApprovalOff)}
	catalog := c.tenant.Books().Current()
	if catalog != nil {
		offers.list(catalog)
	}
	account := c.account
	if account == "" {
		account = c.r.URL.Query().Get("account")
	}
	if account == "" {
		return ok(offers)
	}
	if err := checkID("account", account); err != nil {
		return reply{}, err
	}
	a, now, _, err := c.tenant.Account(account)
	if err != nil {
		return reply{}, err
	}
	if !a.Exists() {
		return reply{}, unknownAccount(account)
	}
	offers.judge(a, c.tenant.Books(), now)
	return ok(offers)
}

func (o *Offers) list(catalog *rules.Catalog) {
	if catalog.Approval.Buy != "" {
		o.Approval = string(catalog.Approval.Buy)
	}
	for _, pack := range catalog.PackOrder {
		o.Packs = append(o.Packs, Offer{
			Pack: pack.ID, Name: pack.Name, Price: moneyOf(pack.Price), Credits: pack.Credits.Format(catalog.Scale), Pool: pack.Pool,
		})
	}
	if t := catalog.TopUp; t != nil {
		o.TopUp = &TopUpOffer{Currency: t.Currency, Rate: t.Rate.Format(catalog.Scale), Min: moneyOf(t.Min), Max: moneyOf(t.Max), Pool: t.Pool}
	}
}

// judge says whether the account may buy.
func (o *Offers) judge(a *credit.Account, books *rules.Book, now time.Time) {
	refusal := rules.MayBuy(a, books, now)
	allowed := refusal == nil
	o.Account, o.Allowed, o.PaymentMethod = a.ID(), &allowed, a.PaymentMethod().Label
	if !allowed {
		o.Code, o.Detail, o.Contact = string(refusal.Code), refusal.Detail, refusal.Contact
	}
}
