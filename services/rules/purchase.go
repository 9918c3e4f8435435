package rules

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
)

// RequestPurchase starts a purchase: of a pack, or of a top-up for an amount of money. Price and
// credits are fixed here; nothing is given before ConfirmPayment (T15, W4).
type RequestPurchase struct {
	Purchase string       // the new purchase's id
	Pack     string       // a pack of the catalog, or "" for a top-up
	TopUp    credit.Money // the price of a top-up; the zero value for a pack
	// Approved is how the buyer's code was verified: "pin", "totp", or "" when none was given (T13).
	Approved string
	Provider string
	Metadata credit.Metadata
}

// Decide states PurchaseRequested, or refuses in the order unknown pack, closed, plan, payment
// method, code.
func (c RequestPurchase) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	metadata, r := merged(nil, c.Metadata)
	if r == nil {
		r = c.badRequest(a)
	}
	if r != nil {
		return nil, r
	}
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	catalog := b.At(now)
	if catalog == nil {
		return nil, unknownPack(c.Pack)
	}
	pack := catalog.Packs[c.Pack]
	if pack == nil && c.Pack != "" && len(catalog.Packs) > 0 {
		return nil, unknownPack(c.Pack)
	}
	if r := MayBuy(a, b, now); r != nil {
		return nil, r
	}
	offer, r := c.offer(catalog, pack)
	if r != nil {
		return nil, r
	}
	if r := c.approved(a, catalog); r != nil {
		return nil, r
	}
	if r := roomFor(a, offer.pool, offer.credits); r != nil {
		return nil, r
	}
	return []credit.Fact{{At: now, Event: &credit.PurchaseRequested{
		Purchase: c.Purchase, Pack: c.Pack, Pool: offer.pool, Credits: offer.credits, Price: offer.price,
		Provider: c.Provider, PaysUntil: now.Add(offer.paysWithin), Catalog: catalog.Version,
		Approved: c.Approved, Metadata: metadata,
	}}}, nil
}

func (c RequestPurchase) badRequest(a *credit.Account) *Refusal {
	topUp := !c.TopUp.IsZero()
	switch {
	case c.Purchase == "" || len(c.Purchase) > maxText || len(c.Provider) > maxText:
		return invalid("purchase", fmt.Sprintf("a purchase needs an id and a provider of at most %d bytes", maxText))
	case c.TopUp.Minor < 0:
		return invalid("topup.amount", "must be more than 0")
	case a.Purchase(c.Purchase) != nil:
		return invalid("purchase", fmt.Sprintf("there is a purchase %q already", c.Purchase))
	case c.Pack == "" && !topUp:
		return invalid("pack", "name a pack, or an amount of money to top up with")
	case c.Pack != "" && topUp:
		return invalid("topup", "name a pack or an amount of money, not both")
	}
	return nil
}

// offer is what a request would buy.
type offer struct {
	pool       string
	credits    credit.Amount
	price      credit.Money
	paysWithin time.Duration
}

func (c RequestPurchase) offer(catalog *Catalog, pack *Pack) (offer, *Refusal) {
	if pack != nil {
		return offer{pack.Pool, pack.Credits, pack.Price, pack.PaysWithin}, nil
	}
	if c.Pack != "" {
		return offer{}, unknownPack(c.Pack)
	}
	topUp := catalog.TopUp
	if topUp == nil {
		return offer{}, invalid("topup", "no amount of one's own can be bought: choose a pack")
	}
	credits, err := topUp.Credits(c.TopUp)
	switch {
	case errors.Is(err, ErrCurrency):
		return offer{}, invalid("topup.currency", fmt.Sprintf("credits are sold in %s", topUp.Currency))
	case err != nil:
		return offer{}, invalid("topup.amount", fmt.Sprintf("between %s and %s %s", FormatMoney(topUp.Min), FormatMoney(topUp.Max), topUp.Currency))
	}
	return offer{topUp.Pool, credits, c.TopUp, topUp.PaysWithin}, nil
}

// approved checks that the code that the catalog asks for was given and right. A TOTP is accepted
// where a PIN is asked for, not the other way round.
func (c RequestPurchase) approved(a *credit.Account, catalog *Catalog) *Refusal {
	wanted := catalog.Approval.Buy
	if wanted == "" || wanted == ApprovalOff {
		return nil
	}
	given := ApprovalKind(c.Approved)
	if given == wanted || given == ApprovalTOTP {
		return nil
	}
	detail := "buying needs the manager's code"
	if a.Approval() == "" {
		detail = "buying needs the manager's code, and this account has none yet: set one first"
	}
	return &Refusal{Code: CodeApprovalRequired, Field: "approval_code", Detail: detail}
}

// ApprovePurchase is the buyer's confirmation that the saved payment method may be charged (W8).
type ApprovePurchase struct{ Purchase string }

// Decide states PurchaseApproved; approving what is under way or paid already states nothing.
func (c ApprovePurchase) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	p, r := purchaseOf(a, c.Purchase)
	if r != nil {
		return nil, r
	}
	if a.Closed() {
		return nil, accountClosed(a)
	}
	switch {
	case p.Lot != "" || p.Status == credit.Processing:
		return nil, nil
	case !p.Pays():
		return nil, invalid("purchase", fmt.Sprintf("the purchase is %s: request a new one", p.Status))
	}
	if catalog := b.At(now); catalog != nil {
		if r := mayBuy(a, catalog); r != nil {
			return nil, r
		}
	}
	if !hasMethod(a) {
		return nil, methodRequired()
	}
	return []credit.Fact{{At: now, Event: &credit.PurchaseApproved{Purchase: p.ID, Method: a.PaymentMethod().Label}}}, nil
}

// UpdatePurchase is what the provider says on the way: Status is processing, requires_action or
// disputed.
type UpdatePurchase struct{ Purchase, Status, Reason, Reference string }

// Decide states PurchaseUpdated. News that came out of order and change nothing any more state
// nothing.
func (c UpdatePurchase) Decide(a *credit.Account, _ *Book, now time.Time) ([]credit.Fact, error) {
	p, r := purchaseOf(a, c.Purchase)
	if r != nil {
		return nil, r
	}
	over := p.Status == credit.Failed || p.Status == credit.Expired
	switch c.Status {
	case credit.Processing:
		// A failure is the later news of the two: what a provider repeats out of order opens nothing again.
		if p.Lot != "" || p.Status == credit.Disputed || p.Status == credit.Failed {
			return nil, nil
		}
	case credit.RequiresAction:
		if p.Lot != "" || p.Status == credit.Disputed || over {
			return nil, nil
		}
		if !p.PaysUntil.After(now) {
			// The time to act was over while the provider was at work; a success still counts.
			return []credit.Fact{{At: now, Event: &credit.PurchaseExpired{Purchase: p.ID}}}, nil
		}
	case credit.Disputed:
		if p.Status == credit.Refunded {
			return nil, nil
		}
	default:
		return nil, invalid("status", fmt.Sprintf("%q is not one of processing, requires_action and disputed", c.Status))
	}
	if p.Status == c.Status && p.Reason == c.Reason && (c.Reference == "" || p.Reference == c.Reference) {
		return nil, nil
	}
	return []credit.Fact{{At: now, Event: &credit.PurchaseUpdated{Purchase: p.ID, Status: c.Status, Reason: cut(c.Reason), Reference: cut(c.Reference)}}}, nil
}

// FailPurchase is the provider's word that the payment failed.
type FailPurchase struct{ Purchase, Reason string }

// Decide states PurchaseFailed unless the purchase is over already: a failure that arrives after a
// success takes nothing back.
func (c FailPurchase) Decide(a *credit.Account, _ *Book, now time.Time) ([]credit.Fact, error) {
	p, r := purchaseOf(a, c.Purchase)
	if r != nil {
		return nil, r
	}
	if !p.Pays() && p.Status != credit.Processing {
		return nil, nil
	}
	return []credit.Fact{{At: now, Event: &credit.PurchaseFailed{Purchase: p.ID, Reason: cut(c.Reason)}}}, nil
}

// ConfirmPayment is the provider's word that a purchase was paid. Paid is what was paid; PaidAt is the
// provider's time, kept beside ours, which alone counts.
type ConfirmPayment struct {
	Purchase                          string
	Paid                              credit.Money
	PaidAt                            time.Time
	Reference, InvoiceRef, ReceiptURL string
}

// Decide states CreditPurchased, once per purchase, whatever became of the purchase, its plan or its
// account in the meantime, and the debt that the new credits repay. A payment of another amount or
// currency gives nothing: it returns PaymentMismatched beside the refusal payment_mismatch.
func (c ConfirmPayment) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	p, r := purchaseOf(a, c.Purchase)
	if r != nil {
		return nil, r
	}
	if p.Lot != "" {
		return nil, nil
	}
	if c.Paid != p.Price {
		mismatch := credit.Fact{At: now, Event: &credit.PaymentMismatched{Purchase: p.ID, Paid: c.Paid, Reference: cut(c.Reference)}}
		return []credit.Fact{mismatch}, &Refusal{Code: CodePaymentMismatch, Field: "paid", Detail: fmt.Sprintf(
			"%s %s was paid, the price is %s %s: nothing was credited", FormatMoney(c.Paid), c.Paid.Currency, FormatMoney(p.Price), p.Price.Currency)}
	}
	catalog, pool := poolAtConfirmation(b, p, now)
	if pool == nil {
		return nil, &Refusal{Code: CodeUnknownPool, Detail: fmt.Sprintf("no catalog has the pool %q that purchase %s fills", p.Pool, p.ID)}
	}
	if r := roomFor(a, p.Pool, p.Credits); r != nil {
		return nil, r
	}
	ends, err := expiryOf(a, pool, now)
	if err != nil {
		return nil, err
	}
	purchased := &credit.CreditPurchased{
		Grant: credit.Grant{
			Lot: a.NextLot(0), Pool: p.Pool, Amount: p.Credits, Starts: now, Ends: ends,
			Kind: credit.KindPurchase, Paid: true, Price: p.Price,
		},
		Purchase: p.ID, Reference: cut(c.Reference), InvoiceRef: cut(c.InvoiceRef), ReceiptURL: cut(c.ReceiptURL),
		Catalog: catalog.Version,
	}
	purchased.Warns = warns(catalog, purchased.Grant, now)
	if inRange(c.PaidAt) {
		purchased.PaidAt = c.PaidAt.UTC()
	}
	return withRepayment(a, catalog, now, credit.Fact{At: now, Event: purchased}), nil
}

// poolAtConfirmation finds the pool in the catalog in force, whose expiry rule counts, or in the one of
// the request when the pool was dropped since: a payment is never lost to a change of rules.
func poolAtConfirmation(b *Book, p *credit.Purchase, now time.Time) (*Catalog, *Pool) {
	for _, catalog := range [...]*Catalog{b.At(now), b.Version(p.Catalog)} {
		if catalog != nil && catalog.Pools[p.Pool] != nil {
			return catalog, catalog.Pools[p.Pool]
		}
	}
	return nil, nil
}

// RefundPurchase takes back what is left of a purchase's lot; Chargeback when the payer's bank asked.
type RefundPurchase struct {
	Purchase, Reason string
	Chargeback       bool
}

// Decide states PurchaseRefunded with money = floor(paid × left / granted). What is held is not left:
// its hold can still be captured. A second refund states nothing; a chargeback of what never gave
// credits only marks the purchase.
func (c RefundPurchase) Decide(a *credit.Account, _ *Book, now time.Time) ([]credit.Fact, error) {
	if tooLong(c.Reason) {
		return nil, invalid("reason", fmt.Sprintf("is longer than %d bytes", maxText))
	}
	p, r := purchaseOf(a, c.Purchase)
	if r != nil {
		return nil, r
	}
	status := credit.Refunded
	if c.Chargeback {
		status = credit.Disputed
	}
	switch {
	case p.Status == credit.Refunded || p.Status == status && takenBack(a, p):
		return nil, nil
	case p.Lot == "" && c.Chargeback:
		return UpdatePurchase{Purchase: p.ID, Status: credit.Disputed, Reason: c.Reason}.Decide(a, nil, now)
	case p.Lot == "":
		return nil, invalid("purchase", fmt.Sprintf("the purchase is %s: nothing was paid that could be given back", p.Status))
	}
	refund := &credit.PurchaseRefunded{
		Purchase: p.ID, Lot: p.Lot, Pool: p.Pool, Money: credit.Money{Currency: p.Price.Currency},
		Status: status, Reason: c.Reason,
	}
	if l := a.Lot(p.Lot); l != nil && !l.Ended {
		refund.Amount, refund.Unit = l.Remaining, l.Unit
		money, _, err := credit.Amount(l.Price.Minor).MulDiv(int64(l.Remaining), int64(l.Granted))
		if err != nil {
			return nil, fmt.Errorf("refund %s: %w", p.ID, err)
		}
		refund.Money.Minor = int64(money)
	}
	return []credit.Fact{{At: now, Event: refund}}, nil
}

// takenBack reports whether nothing of the purchase's lot is left to take back.
func takenBack(a *credit.Account, p *credit.Purchase) bool {
	l := a.Lot(p.Lot)
	return l == nil || l.Ended
}

// cut shortens a provider's text to what may be kept: a payment is not refused for a long receipt.
func cut(text string) string {
	if tooLong(text) {
		return strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}

func purchaseOf(a *credit.Account, id string) (*credit.Purchase, *Refusal) {
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	if p := a.Purchase(id); p != nil {
		return p, nil
	}
	return nil, &Refusal{Code: CodeUnknownPurchase, Detail: fmt.Sprintf("there is no purchase %.64q", id)}
}

// MayBuy says why the account may not buy anything now, nil when it may: it is closed, its plan does not
// buy (W1, P14), or it has no payment method where one is needed (W8). The code is asked for later.
func MayBuy(a *credit.Account, b *Book, now time.Time) *Refusal {
	catalog := b.At(now)
	switch {
	case !a.Exists():
		return unknownAccount(a)
	case catalog == nil:
		return unknownPack("")
	case a.Closed():
		return accountClosed(a)
	}
	if r := mayBuy(a, catalog); r != nil {
		return r
	}
	if catalog.PaymentMethod == PaymentMethodRequired && !hasMethod(a) {
		return methodRequired()
	}
	return nil
}

// mayBuy is W1 and P14: the plan says who may buy, and whom to ask otherwise.
func mayBuy(a *credit.Account, catalog *Catalog) *Refusal {
	plan := planOf(catalog, a.Plan())
	if plan != nil && plan.Purchase {
		return nil
	}
	r := &Refusal{Code: CodePlanNotEligible, BlockedBy: BlockedByPlan, Detail: "this plan cannot buy credits"}
	if plan == nil {
		return r
	}
	r.Contact = cmp.Or(plan.Contact, plan.Upgrade)
	if how := cmp.Or(plan.Upgrade, plan.Contact); how != "" {
		r.Detail += ": " + how
	}
	return r
}

func hasMethod(a *credit.Account) bool { return a.PaymentMethod() != (credit.PaymentMethod{}) }

func methodRequired() *Refusal {
	return &Refusal{Code: CodePaymentMethodRequired, Field: "payment_method", Detail: "buying needs a saved payment method: save one first"}
}

func unknownPack(id string) *Refusal {
	return &Refusal{Code: CodeUnknownPack, Field: "pack", Detail: fmt.Sprintf("there is no pack %.64q", id)}
}
