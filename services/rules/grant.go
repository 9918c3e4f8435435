package rules

import (
	"fmt"
	"strconv"
	"time"

	"creditstream/events/credit"
)

// GrantCredits gives an account credits by hand (P7). That a person does it is checked at the door.
type GrantCredits struct {
	Pool    string
	Credits credit.Amount
	Ends    Field[time.Time] // absent: by the pool's rule (P15); the zero time: never
	Reason  string
	Kind    string // sold, goodwill (default) or promotion; a sold lot counts as paid
	// Price and InvoiceRef are for the record; revenue is recognised from the price.
	Price      credit.Money
	InvoiceRef string
}

// Decide states CreditGranted, and the debt that it repays.
func (c GrantCredits) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	catalog := b.At(now)
	if r := c.badRequest(catalog, now); r != nil {
		return nil, r
	}
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	if catalog == nil || catalog.Pools[c.Pool] == nil {
		return nil, unknownPool(c.Pool)
	}
	if a.Closed() {
		return nil, accountClosed(a)
	}
	plan := planOf(catalog, a.Plan())
	if !plan.MayGrant(c.Pool) {
		return nil, &Refusal{
			Code: CodePlanNotEligible, BlockedBy: BlockedByPlan, Contact: contactOf(plan),
			Detail: fmt.Sprintf("pool %s cannot be granted on this plan", c.Pool),
		}
	}
	pool := catalog.Pools[c.Pool]
	if r := grantable(a, catalog, pool, c.Credits); r != nil {
		return nil, r
	}
	kind := c.Kind
	if kind == "" {
		kind = credit.KindGoodwill
	}
	g := credit.Grant{
		Lot: a.NextLot(0), Pool: pool.ID, Unit: unitField(pool), Amount: c.Credits, Starts: now,
		Kind: kind, Paid: kind == credit.KindSold, Price: c.Price, Ends: c.Ends.Value.UTC(),
	}
	if !c.Ends.Set {
		g.Ends = endOf(a, pool, catalog, now, a.Cycle().To)
	} else if c.Ends.Value.IsZero() {
		g.Ends = time.Time{}
	}
	g.Warns = warns(catalog, g, now)
	e := &credit.CreditGranted{Grant: g, Reason: c.Reason, InvoiceRef: c.InvoiceRef, Catalog: catalog.Version}
	return withRepayment(a, catalog, now, credit.Fact{At: now, Event: e}), nil
}

func (c GrantCredits) badRequest(catalog *Catalog, now time.Time) *Refusal {
	switch c.Kind {
	case "", credit.KindSold, credit.KindGoodwill, credit.KindPromotion:
	default:
		return invalid("kind", fmt.Sprintf("%.32q is not one of sold, goodwill and promotion", c.Kind))
	}
	switch {
	case c.Credits <= 0 || c.Credits > credit.MaxAmount:
		return invalid("credits", "must be more than 0 and within range")
	case c.Reason == "":
		return invalid("reason", "say why the credits are given")
	case tooLong(c.Reason):
		return invalid("reason", fmt.Sprintf("is longer than %d bytes", maxText))
	case len(c.InvoiceRef) > maxText:
		return invalid("invoice_ref", fmt.Sprintf("is longer than %d bytes", maxText))
	case c.Ends.Set && !c.Ends.Value.IsZero() && (!c.Ends.Value.After(now) || !inRange(c.Ends.Value)):
		return invalid("expires", "must be in the future, before the year 2200")
	}
	return badPrice(c.Price, catalog)
}

func badPrice(price credit.Money, catalog *Catalog) *Refusal {
	switch {
	case price.IsZero():
		return nil
	case price.Minor < 0 || price.Minor > int64(credit.MaxAmount):
		return invalid("price", "must not be negative and must be within range")
	case catalog != nil && price.Currency != catalog.Currency:
		return invalid("price.currency", fmt.Sprintf("must be %s", catalog.Currency))
	}
	return nil
}

// grantable refuses an amount that a lot of the pool cannot have: units are whole.
func grantable(a *credit.Account, c *Catalog, pool *Pool, amount credit.Amount) *Refusal {
	if !pool.CountsCredits() && amount%oneUnit(c) != 0 {
		return invalid("credits", fmt.Sprintf("pool %s is counted in whole units of %s", pool.ID, pool.Unit))
	}
	return roomFor(a, pool.ID, amount)
}

func unknownPool(id string) *Refusal {
	return &Refusal{Code: CodeUnknownPool, Field: "pool", Detail: fmt.Sprintf("there is no pool %.64q", id)}
}

// RevokeLot takes back what is left of a lot and ends it. What is held of it can still be captured.
type RevokeLot struct{ Lot, Reason string }

// Decide states GrantRevoked.
func (c RevokeLot) Decide(a *credit.Account, _ *Book, now time.Time) ([]credit.Fact, error) {
	switch {
	case c.Reason == "":
		return nil, invalid("reason", "say why the credits are taken back")
	case tooLong(c.Reason):
		return nil, invalid("reason", fmt.Sprintf("is longer than %d bytes", maxText))
	case !a.Exists():
		return nil, unknownAccount(a)
	case !a.LotKnown(c.Lot):
		return nil, &Refusal{Code: CodeUnknownLot, Detail: fmt.Sprintf("there is no lot %.64q", c.Lot)}
	case a.Closed():
		return nil, accountClosed(a)
	}
	l := a.Lot(c.Lot)
	if l == nil || !l.Alive(now) {
		return nil, invalid("lot", fmt.Sprintf("lot %s has ended: nothing of it is left", c.Lot))
	}
	return []credit.Fact{{At: now, Event: &credit.GrantRevoked{Lot: l.ID, Pool: l.Pool, Unit: l.Unit, Amount: l.Remaining, Reason: c.Reason}}}, nil
}

func cycleKey(number uint32) string { return "cycle/" + strconv.FormatUint(uint64(number), 10) }
