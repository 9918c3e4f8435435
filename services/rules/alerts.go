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

// warns is when the end of a lot that is granted now is announced: the catalog's number of days before
// it, or at once when it lives shorter than that. Zero when it is not: allowances are replaced by the next.
func warns(c *Catalog, g credit.Grant, now time.Time) time.Time {
	if c.Alerts.ExpiringDays <= 0 || g.Ends.IsZero() || g.Kind == credit.KindAllowance {
		return time.Time{}
	}
	at := g.Ends.Add(-time.Duration(c.Alerts.ExpiringDays) * day)
	if at.Before(now) {
		return now
	}
	return at
}
