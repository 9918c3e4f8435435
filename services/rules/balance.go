package rules

import (
	"slices"
	"time"

	"creditstream/events/credit"
)

// BalanceTerms are the terms of a balance in the current cycle. They close:
// Total = Used + Held + Expired + Revoked + Frozen + Remaining.
type BalanceTerms struct {
	// Total is what the cycle opened with, what started in it and what reversals brought back of
	// earlier cycles' use (W9).
	Total credit.Amount
	// Used is what was spent in this cycle, less its reversals.
	Used credit.Amount
	// Held is set aside by open holds.
	Held credit.Amount
	// Expired is what lapsed in this cycle by time, or was an allowance that a plan change replaced.
	Expired credit.Amount
	// Revoked is grants taken back, and refunds.
	Revoked credit.Amount
	// Frozen is alive, but no meter that the present plan includes may spend it; all of a closed account.
	Frozen credit.Amount
	// Remaining is usable now; never negative.
	Remaining credit.Amount
}

// Close reports whether the terms close and none of them is negative.
func (t BalanceTerms) Close() bool {
	for _, term := range [...]credit.Amount{t.Used, t.Held, t.Expired, t.Revoked, t.Frozen, t.Remaining} {
		if term < 0 {
			return false
		}
	}
	return t.Total == t.Used+t.Held+t.Expired+t.Revoked+t.Frozen+t.Remaining
}

func (t *BalanceTerms) add(o BalanceTerms) {
	t.Total += o.Total
	t.Used += o.Used
	t.Held += o.Held
	t.Expired += o.Expired
	t.Revoked += o.Revoked
	t.Frozen += o.Frozen
	t.Remaining += o.Remaining
}

// Balance is what a person is told about an account. Its own terms sum the pools that are counted in
// credits; a pool counted in the units of a meter stands only under Pools.
type Balance struct {
	Account string
	At      time.Time
	Cycle   credit.Cycle
	Plan    string // "" is none
	BalanceTerms
	// Debt is owed beside the terms.
	Debt  credit.Amount
	Pools []PoolBalance
}

// PoolBalance is the part of a balance that one pool has.
type PoolBalance struct {
	Pool string
	// Unit is UnitCredit, or the meter whose units the terms count, scaled like credits.
	Unit string
	BalanceTerms
	// Ends is the earliest end of the pool's lots, zero when none of them ends.
	Ends time.Time
	// Meters are the meters that the pool pays by the catalog in force, sorted.
	Meters []string
	// Lots are those with something remaining, in burn order. They belong to the account: do not
	// change them, and read them before it folds another fact.
	Lots []*credit.Lot
}

// BalanceOf states the balance of an account that was settled up to now. Listed are, in burn order,
// the pools that the plan may spend and those of which the account ever had a lot; pools that the
// catalog in force does not have come last. An account that was never opened has an empty balance.
func BalanceOf(a *credit.Account, b *Book, now time.Time) Balance {
	balance := Balance{Account: a.ID(), At: now, Cycle: a.Cycle(), Plan: a.Plan(), Debt: a.Owed()}
	if !a.Exists() {
		return balance
	}
	catalog := b.At(now)
	if catalog == nil {
		catalog = &Catalog{}
	}
	plan := planOf(catalog, a.Plan())
	for _, pool := range catalog.PoolOrder {
		had := a.Pool(pool.ID)
		if had == nil && !plan.MaySpend(pool.ID) {
			continue
		}
		p := poolBalance(a, had, pool, plan)
		p.Meters = metersOf(catalog, pool)
		balance.list(p)
	}
	for _, had := range a.Pools() {
		if catalog.Pools[had.Name] == nil {
			balance.list(poolBalance(a, had, &Pool{ID: had.Name}, plan))
		}
	}
	return balance
}

func (b *Balance) list(p PoolBalance) {
	b.Pools = append(b.Pools, p)
	if p.Unit == UnitCredit {
		b.add(p.BalanceTerms)
	}
}

func poolBalance(a *credit.Account, had *credit.Pool, pool *Pool, plan *Plan) PoolBalance {
	p := PoolBalance{Pool: pool.ID, Unit: pool.Unit}
	if had == nil {
		return p
	}
	// What the lots were counted in when they were granted holds, whatever the catalog says by now.
	p.Unit = unitOf(had)
	terms := had.Terms
	p.BalanceTerms = BalanceTerms{
		Total: terms.Total(), Used: terms.Used, Held: terms.Held,
		Expired: terms.Expired, Revoked: terms.Revoked, Remaining: terms.Remaining,
	}
	if a.Closed() || !plan.MaySpend(pool.ID) {
		p.Frozen, p.Remaining = p.Remaining, 0
	}
	if live := had.Live(); len(live) > 0 {
		p.Lots = slices.Clone(live)
		p.Ends = live[0].Ends // burn order: the earliest end first, what never ends last
	}
	return p
}

func unitOf(p *credit.Pool) string {
	if p.Unit == "" {
		return UnitCredit
	}
	return p.Unit
}

func metersOf(catalog *Catalog, pool *Pool) []string {
	var meters []string
	for _, meter := range catalog.MeterOrder {
		if pool.Pays(meter.ID) {
			meters = append(meters, meter.ID)
		}
	}
	return meters
}
