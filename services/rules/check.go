package rules

import (
	"errors"
	"time"

	"creditstream/events/credit"
)

// Quote is what a use would cost and whether it would be allowed, had it been asked for now.
type Quote struct {
	Allowed bool
	// Cost is in credits; what a quota pays is not part of it (T7).
	Cost credit.Amount
	// Remaining is the credits that the meter may draw now, before the use; a pool counted in its units
	// is not part of it.
	Remaining credit.Amount
	// RemainingUnits is how many units of the meter quota and credits pay together, in one use.
	RemainingUnits int64
	Draws          []credit.Draw
	Refusal        *Refusal // why it is not allowed; nil when it is
}

// Check quotes a use for an account that was settled up to now. It states no facts, and its answer is
// that of the same Use decided in its place.
func Check(a *credit.Account, b *Book, meter string, quantity int64, now time.Time) Quote {
	var q Quote
	if a.Exists() {
		q.estimate(a, b.At(now), meter, quantity)
	}
	facts, err := Use{Meter: meter, Quantity: quantity}.Decide(a, b, now)
	if err != nil {
		if !errors.As(err, &q.Refusal) {
			q.Refusal = invalid("quantity", err.Error())
		}
		return q
	}
	for _, fact := range facts {
		if used, ok := fact.Event.(*credit.UsageRecorded); ok {
			q.Allowed, q.Cost, q.Draws = true, used.Cost, used.Draws
		}
	}
	return q
}

// estimate fills in what a refusal does not say: what the use would cost, and how far quota and credits
// reach; nothing on a closed account, or where the plan does not include the meter.
func (q *Quote) estimate(a *credit.Account, catalog *Catalog, name string, quantity int64) {
	if catalog == nil || a.Closed() || !catalog.Usable(planOf(catalog, a.Plan()), name) {
		return
	}
	quota := int64(0)
	unit := oneUnit(catalog)
	for _, pool := range catalog.PoolsFor(name) {
		had := a.Pool(pool.ID)
		switch {
		case had == nil:
		case unitOf(had) == UnitCredit:
			q.Remaining += had.Terms.Remaining
		default:
			quota = addCapped(quota, int64(had.Terms.Remaining/unit))
		}
	}
	meter := catalog.Meters[name]
	q.RemainingUnits = addCapped(quota, meter.UnitsFor(q.Remaining, a.Carry(name)))
	if cost, _, err := meter.Cost(max(quantity-quota, 0), a.Carry(name)); err == nil && quantity > 0 {
		q.Cost = cost
	}
}

// oneUnit is one whole unit of a pool at the catalog's scale.
func oneUnit(catalog *Catalog) credit.Amount {
	unit := credit.Amount(1)
	for range min(catalog.Scale, credit.MaxScale) {
		unit *= 10
	}
	return unit
}
