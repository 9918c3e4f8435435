package rules

import (
	"time"

	"creditstream/events/credit"
)

// balanceAlerts appends what a use or a hold that left after of before credits must announce: the
// lowest threshold that was crossed, and an empty balance. Each is announced once until something is
// credited.
func balanceAlerts(facts []credit.Fact, a *credit.Account, c *Catalog, meter string, before, after credit.Amount, now time.Time) []credit.Fact {
	if after >= before {
		return facts
	}
	var crossed credit.Amount
	for _, threshold := range c.Alerts.LowBalance {
		if before > threshold && after <= threshold && (a.Low() == 0 || threshold < a.Low()) {
			crossed = threshold
		}
	}
	if crossed > 0 {
		facts = append(facts, credit.Fact{At: now, Event: &credit.BalanceLow{Remaining: after, Threshold: crossed}})
	}
	if after == 0 && !a.Exhausted() {
		facts = append(facts, credit.Fact{At: now, Event: &credit.BalanceExhausted{Meter: meter}})
	}
	return facts
}

const day = 24 * time.Hour

// nextWarning finds the lot whose end must be announced next, and when: the catalog's number of days
// before its end, or at its start when it lives shorter than that. nil when none must be. Allowances are
// not announced: the next one replaces them.
func nextWarning(a *credit.Account, c *Catalog) (lot *credit.Lot, at time.Time) {
	if c == nil || c.Alerts.ExpiringDays <= 0 {
		return nil, at
	}
	ahead := time.Duration(c.Alerts.ExpiringDays) * day
	for _, p := range a.Pools() {
		for _, l := range p.Live() {
			if l.Ends.IsZero() || lot != nil && l.Ends.Add(-ahead).After(at) {
				break // in order of their ends: no later lot of the pool is due earlier
			}
			if l.Warned || l.Kind == credit.KindAllowance {
				continue
			}
			due := l.Ends.Add(-ahead)
			if due.Before(l.Starts) {
				due = l.Starts
			}
			if lot == nil || due.Before(at) {
				lot, at = l, due
			}
		}
	}
	return lot, at
}

// NextDue is the earliest instant at which Settle has something to book for the account, by the catalog
// in force at now: what the account knows itself (credit.Account.NextDue), and the warnings that the
// catalog asks for, which no fact states. Whoever decides when to settle asks this. The zero time means
// never.
func NextDue(a *credit.Account, b *Book, now time.Time) time.Time {
	due := a.NextDue()
	if lot, at := nextWarning(a, b.At(now)); lot != nil && (due.IsZero() || at.Before(due)) {
		return at
	}
	return due
}
