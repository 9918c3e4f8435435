package rules

import (
	"fmt"
	"time"

	"creditstream/events/credit"
)

// zoneOf is the zone that the account's present cycle goes by.
func zoneOf(a *credit.Account, c *Catalog) *time.Location { return location(a.Timezone(), c) }

func location(name string, c *Catalog) *time.Location {
	if c != nil && c.Timezone == name && c.Location != nil {
		return c.Location
	}
	loc, err := LoadZone(name)
	if err != nil {
		return time.UTC
	}
	return loc
}

// endOf is when a lot of the pool ends that starts at start, in a cycle that ends at cycleEnd; the zero
// time means never.
func endOf(a *credit.Account, pool *Pool, c *Catalog, start, cycleEnd time.Time) time.Time {
	ends := pool.Expiry.At(start, cycleEnd, zoneOf(a, c))
	if ends.IsZero() {
		return ends
	}
	return ends.UTC()
}

// expiryOf is when a lot of the pool ends that the account is given at start, by the pool's rule; the
// zero time means never. The error says that the account's time zone is none.
func expiryOf(a *credit.Account, pool *Pool, start time.Time) (time.Time, error) {
	loc, err := LoadZone(a.Timezone())
	if err != nil {
		return time.Time{}, fmt.Errorf("end of a lot of account %s: %w", a.ID(), err)
	}
	ends := pool.Expiry.At(start, a.Cycle().To, loc)
	if ends.IsZero() {
		return ends, nil
	}
	return ends.UTC(), nil
}

// roomFor refuses an amount that would take the account's sums out of range.
func roomFor(a *credit.Account, pool string, amount credit.Amount) *Refusal {
	if amount <= 0 || amount > credit.MaxAmount {
		return invalid("credits", fmt.Sprintf("must be more than 0 and at most %d of the smallest unit", credit.MaxAmount))
	}
	sum, err := amount, error(nil)
	for _, p := range a.Pools() {
		if sum, err = sum.Add(p.Terms.Total()); err != nil {
			return invalid("credits", fmt.Sprintf("would be more in pool %s than an account can hold", pool))
		}
	}
	return nil
}

func unitField(pool *Pool) string {
	if pool.CountsCredits() {
		return ""
	}
	return pool.Unit
}

// renewal states how the account's cycle ends and the next one begins: in order what expires, what
// rolls over and what the plan from here on grants.
func renewal(a *credit.Account, b *Book) *credit.CycleRenewed {
	ending, at := a.Cycle(), a.Cycle().To
	c := b.Before(at)
	e := &credit.CycleRenewed{Plan: a.Plan(), Timezone: a.NextTimezone()}
	if p := a.Pending(); p != nil && !p.Due.After(at) {
		e.Plan = p.Plan
	}
	plan := planOf(c, e.Plan)
	e.Cycle = credit.Cycle{Number: ending.Number + 1, Step: ending.Step, From: at}
	for !e.Cycle.To.After(at) {
		// More than once only where a cycle was cut short of its own next boundary.
		e.Cycle.Step++
		e.Cycle.To = Boundary(a.Anchor(), e.Cycle.Step+1, location(e.Timezone, c), plan.WholeDay).UTC()
	}
	if c == nil {
		c = &Catalog{LateWindow: defaultLateWindow}
	}
	e.Catalog, e.Forget = c.Version, at.Add(-c.LateWindow)
	lots := 0
	for _, p := range a.Pools() {
		lots = endPool(a, p, c, e, lots)
	}
	e.Expired = append(e.Expired, emptied(a, e)...)
	e.Granted = allowances(a, plan, c, e.Cycle, location(e.Timezone, c), at, lots)
	return e
}

// emptied are the allowances that a change of plan ends ahead of their time though nothing of them
// remains: what was held or spent must not come back to them.
func emptied(a *credit.Account, e *credit.CycleRenewed) []credit.Ended {
	if e.Plan == a.Plan() {
		return nil
	}
	var all []credit.Ended
	for _, l := range a.Lots() {
		if l.Kind == credit.KindAllowance && !l.Ended && l.Remaining == 0 && (l.Ends.IsZero() || l.Ends.After(e.Cycle.From)) {
			all = append(all, ended(l, 0, nil))
		}
	}
	return all
}

// ended states what a lot loses; gone are draws of the same decision on it.
func ended(l *credit.Lot, amount credit.Amount, gone []credit.Draw) credit.Ended {
	e := credit.Ended{Lot: l.ID, Pool: l.Pool, Unit: l.Unit, Amount: amount}
	if amount > 0 {
		e.Revenue = revenue(l, amount, gone)
	}
	return e
}

// endPool states what the lots of one pool lose at the boundary. What is paid or granted later rolls
// over first: it is burnt last. Allowances of a plan that ends here end with it.
func endPool(a *credit.Account, p *credit.Pool, c *Catalog, e *credit.CycleRenewed, lots int) int {
	at, pool := e.Cycle.From, c.Pools[p.Name]
	var rolled credit.Amount
	live := p.Live()
	for _, l := range live {
		if l.Kind == credit.KindRollover && l.Starts.Equal(at) {
			rolled += l.Granted // rolled over at this boundary already
		}
	}
	for i := len(live) - 1; i >= 0; i-- {
		l := live[i]
		over := !l.Ends.IsZero() && !l.Ends.After(at)
		if !over && !(l.Kind == credit.KindAllowance && e.Plan != a.Plan()) {
			continue
		}
		rolls := credit.Amount(0)
		if over && pool != nil && pool.Expiry.WithCycle() {
			rolls = rollover(pool.Rollover, l, rolled)
		}
		rest := l.Remaining - rolls
		var gone []credit.Draw
		if rolls > 0 {
			into := credit.Grant{
				Lot: a.NextLot(lots), Pool: l.Pool, Unit: l.Unit, Amount: rolls, Starts: at, Ends: e.Cycle.To,
				Kind: credit.KindRollover, Paid: l.Paid, Price: l.Price, Cycles: l.Cycles + 1,
			}
			into.Price.Minor = revenue(l, rolls, nil)
			into.Warns = warns(c, into, at)
			gone = []credit.Draw{{Lot: l.ID, Amount: rolls, Revenue: into.Price.Minor}}
			e.Rolled = append(e.Rolled, credit.Rolled{From: l.ID, Amount: rolls, Into: into})
			rolled += rolls
			lots++
		}
		if rest > 0 {
			e.Expired = append(e.Expired, ended(l, rest, gone))
		}
	}
	return lots
}

// rollover is what of a lot goes on into the next cycle when so much of its pool does already.
func rollover(r Rollover, l *credit.Lot, already credit.Amount) credit.Amount {
	if !r.On || r.Cycles > 0 && int64(l.Cycles) >= int64(r.Cycles) {
		return 0
	}
	if r.UpTo == 0 {
		return l.Remaining
	}
	return max(min(l.Remaining, r.UpTo-already), 0)
}

// allowances are what the plan grants for a cycle; lots is how many lots the same fact granted before.
// One that would take the account out of range is not granted.
func allowances(a *credit.Account, plan *Plan, c *Catalog, cycle credit.Cycle, loc *time.Location, at time.Time, lots int) []credit.Grant {
	var granted []credit.Grant
	var sum credit.Amount
	for _, p := range a.Pools() {
		sum += p.Terms.Remaining + p.Terms.Held
	}
	for _, allowance := range plan.Allowances {
		pool := c.Pools[allowance.Pool]
		total, err := sum.Add(allowance.Amount)
		if pool == nil || err != nil {
			continue
		}
		sum = total
		g := credit.Grant{
			Lot: a.NextLot(lots + len(granted)), Pool: pool.ID, Unit: unitField(pool), Amount: allowance.Amount,
			Starts: at, Kind: credit.KindAllowance,
		}
		if ends := pool.Expiry.At(at, cycle.To, loc); !ends.IsZero() {
			g.Ends = ends.UTC()
		}
		granted = append(granted, g)
	}
	return granted
}

// planChange states a change of plan at once. The first allowance closes the cycle and sets the anchor
// to now; otherwise the anchor stays and the new allowance replaces what is left of the old one.
func planChange(a *credit.Account, c *Catalog, id string, now time.Time) *credit.PlanChanged {
	old, plan, cycle, loc := planOf(c, a.Plan()), planOf(c, id), a.Cycle(), zoneOf(a, c)
	e := &credit.PlanChanged{From: a.Plan(), Plan: id, Catalog: c.Version, Anchor: a.Anchor(), Cycle: cycle}
	if len(plan.Allowances) > 0 && (a.Plan() == "" || len(old.Allowances) == 0 || !old.Paid) {
		e.Anchor = now
		e.Cycle = credit.Cycle{Number: cycle.Number + 1, From: now, To: Boundary(now, 1, loc, plan.WholeDay).UTC()}
	} else {
		// Another sort of boundary (whole days or not) may end the cycle earlier or later.
		n, _, _ := CycleAt(a.Anchor(), now, loc, plan.WholeDay)
		if n > cycle.Step {
			e.Cycle = credit.Cycle{Number: cycle.Number + 1, Step: n, From: now}
		}
		e.Cycle.To = Boundary(a.Anchor(), e.Cycle.Step+1, loc, plan.WholeDay).UTC()
	}
	if e.Cycle.Number != cycle.Number {
		e.Forget = now.Add(-c.LateWindow)
	}
	for _, l := range a.Lots() {
		if l.Kind == credit.KindAllowance && !l.Ended {
			e.Expired = append(e.Expired, ended(l, l.Remaining, nil))
		}
	}
	e.Granted = allowances(a, plan, c, e.Cycle, loc, now, 0)
	return e
}
