package rules

import (
	"fmt"
	"time"

	"creditstream/events/credit"
)

// OpeningLot is what an import brings of an account's credits.
type OpeningLot struct {
	Pool    string
	Credits credit.Amount
	Starts  time.Time // zero is now; not in the future
	Ends    time.Time // zero is by the pool's rule
	Kind    string    // opening by default; a lot of kind purchase or sold counts as paid
	Price   credit.Money
}

// ImportAccount opens an account with the credits it had elsewhere.
type ImportAccount struct {
	PutAccount
	Lots []OpeningLot
}

// Decide states AccountOpened, PlanChanged and one CreditGranted a lot. A lot in a pool that the plan
// grants an allowance into is what is left of this cycle's allowance, which is then not granted.
func (c ImportAccount) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	catalog := b.At(now)
	if r := c.badRequest(catalog); r != nil {
		return nil, r
	}
	if a.Exists() {
		return nil, invalid("account", fmt.Sprintf("account %.128q exists: an import only opens accounts", a.ID()))
	}
	brought := make(map[string]bool, len(c.Lots))
	for _, l := range c.Lots {
		brought[l.Pool] = true
	}
	facts, r := c.open(catalog, now, brought)
	if r != nil {
		return nil, r
	}
	opened := a.Clone()
	for _, f := range facts {
		opened.Evolve(f.Event, f.At)
	}
	for i, l := range c.Lots {
		e, r := l.grant(opened, catalog, now)
		if r != nil {
			r.Field = fmt.Sprintf("lots[%d].%s", i, r.Field)
			return nil, r
		}
		opened.Evolve(e, now)
		facts = append(facts, credit.Fact{At: now, Event: e})
	}
	return facts, nil
}

func (l OpeningLot) grant(a *credit.Account, catalog *Catalog, now time.Time) (*credit.CreditGranted, *Refusal) {
	if catalog == nil || catalog.Pools[l.Pool] == nil {
		return nil, unknownPool(l.Pool)
	}
	pool := catalog.Pools[l.Pool]
	kind := l.Kind
	switch kind {
	case "":
		kind = credit.KindOpening
		if planOf(catalog, a.Plan()).Allowance(l.Pool) > 0 {
			kind = credit.KindAllowance
		}
	case credit.KindOpening, credit.KindAllowance, credit.KindPurchase, credit.KindSold, credit.KindGoodwill, credit.KindPromotion:
	default:
		return nil, invalid("kind", fmt.Sprintf("%.32q is not the kind of an opening lot", l.Kind))
	}
	starts := now
	if !l.Starts.IsZero() {
		starts = l.Starts.UTC()
	}
	if starts.After(now) || !inRange(starts) {
		return nil, invalid("starts", "must be between 1970 and now")
	}
	ends := l.Ends.UTC()
	if l.Ends.IsZero() {
		ends = endOf(a, pool, catalog, starts, a.Cycle().To)
	}
	if !ends.IsZero() && (!ends.After(now) || ends.Year() > 2250) {
		return nil, invalid("expires", "must be in the future: a lot that has ended is not imported")
	}
	if r := badPrice(l.Price, catalog); r != nil {
		return nil, r
	}
	if r := grantable(a, catalog, pool, l.Credits); r != nil {
		return nil, r
	}
	g := credit.Grant{
		Lot: a.NextLot(0), Pool: pool.ID, Unit: unitField(pool), Amount: l.Credits, Starts: starts, Ends: ends, Kind: kind,
		Paid: kind == credit.KindPurchase || kind == credit.KindSold || l.Price.Minor > 0, Price: l.Price,
	}
	g.Warns = warns(catalog, g, now)
	return &credit.CreditGranted{Catalog: catalog.Version, Grant: g}, nil
}
