package purchases

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// ErrUnknownProvider says that no provider of that name is set up.
var ErrUnknownProvider = errors.New("unknown payment provider")

// maxMismatched bounds what is remembered of wrong payments; beyond it one may be written down twice.
const maxMismatched = 4096

// Notify takes in a provider's notification and returns when its consequence is in the journal. What was
// delivered before, or too late to matter, changes nothing and is no error. Errors are ErrSignature,
// ErrUnknownProvider, a *rules.Refusal (unknown_purchase, payment_mismatch) or a fault, after which the
// provider has to deliver again.
func (s *Service) Notify(ctx context.Context, t *accounts.Tenant, provider string, header http.Header, body []byte) error {
	p := s.provider(provider)
	if p == nil {
		return fmt.Errorf("%w %.40q", ErrUnknownProvider, provider)
	}
	n, err := p.Notice(header, body, s.cfg.Now())
	if err != nil {
		return err
	}
	if n.Tenant != "" && n.Tenant != t.Name() {
		return fmt.Errorf("%w: it is about another tenant", ErrSignature)
	}
	order, purchase, err := s.Order(t, n.Purchase)
	if err != nil {
		return err
	}
	if purchase.Provider != provider {
		return &rules.Refusal{Code: rules.CodeUnknownPurchase, Detail: fmt.Sprintf("%s has no purchase %.64q", provider, n.Purchase)}
	}
	return s.settle(ctx, t, order, purchase, provider, n)
}

// settle turns what a provider says into a command.
func (s *Service) settle(ctx context.Context, t *accounts.Tenant, order Order, p *credit.Purchase, provider string, n Notice) error {
	request := accounts.Request{Account: order.Account, Actor: "provider:" + provider}
	switch n.State {
	case Succeeded:
		return s.paid(ctx, t, request, p, n)
	case Declined:
		request.Command = rules.FailPurchase{Purchase: n.Purchase, Reason: n.Reason}
	case Processing, RequiresAction:
		request.Command = rules.UpdatePurchase{Purchase: n.Purchase, Status: string(n.State), Reason: n.Reason, Reference: n.Reference}
	case Refunded, Disputed:
		request.Command = rules.RefundPurchase{Purchase: n.Purchase, Reason: n.Reason, Chargeback: n.State == Disputed}
	default:
		return &rules.Refusal{Code: rules.CodeInvalid, Field: "type", Detail: fmt.Sprintf("%.64q is nothing that a payment can be", n.State)}
	}
	return t.Do(ctx, request).Err
}

// paid credits a purchase, once: under a key of its own, and by the rule that a purchase has one lot.
func (s *Service) paid(ctx context.Context, t *accounts.Tenant, request accounts.Request, p *credit.Purchase, n Notice) error {
	wrong := fmt.Sprint(t.Name(), " ", n.Purchase, " ", n.Reference, " ", n.Paid)
	if n.Paid != p.Price && s.sawMismatch(wrong) {
		return &rules.Refusal{Code: rules.CodePaymentMismatch, Field: "paid", Detail: "this payment does not match its purchase, and was reported before"}
	}
	request.Key = "payment/" + n.Purchase
	sum := sha256.Sum256([]byte(request.Key))
	request.Hash = credit.Hash(sum[:len(credit.Hash{})])
	request.Command = rules.ConfirmPayment{
		Purchase: n.Purchase, Paid: n.Paid, PaidAt: n.PaidAt,
		Reference: n.Reference, InvoiceRef: n.InvoiceRef, ReceiptURL: n.ReceiptURL,
	}
	answer := t.Do(ctx, request)
	var conflict *accounts.Conflict
	if errors.As(answer.Err, &conflict) {
		// A client used our key for something of its own. That must not cost it its credits.
		request.Key, request.Hash = "", credit.Hash{}
		answer = t.Do(ctx, request)
	}
	if codeOf(answer.Err) == rules.CodePaymentMismatch {
		s.rememberMismatch(wrong)
		s.log.Error("a payment does not match its purchase: nothing was credited, somebody has to look",
			"tenant", t.Name(), "purchase", n.Purchase, "reference", n.Reference, "paid", n.Paid, "price", p.Price)
	}
	return answer.Err
}

func (s *Service) sawMismatch(payment string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, saw := s.mismatched[payment]
	return saw
}

func (s *Service) rememberMismatch(payment string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mismatched) >= maxMismatched {
		clear(s.mismatched)
	}
	s.mismatched[payment] = struct{}{}
}
