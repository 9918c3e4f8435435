package rules

import (
	"time"

	"creditstream/events/credit"
)

// oweWhatIsShort splits what lots could not pay of a use that already happened: debt as far as the
// catalog allows it, the rest is unpaid.
func oweWhatIsShort(a *credit.Account, c *Catalog, short credit.Amount) (debt, unpaid credit.Amount) {
	debt = max(min(short, c.Debt.Limit-a.Owed()), 0)
	return debt, short - debt
}

// withRepayment returns the facts and, when the account owes something, the repayments that the facts
// make possible: the next credits that could pay a meter repay its debt.
func withRepayment(a *credit.Account, c *Catalog, now time.Time, facts ...credit.Fact) []credit.Fact {
	if len(a.Debts()) == 0 {
		return facts
	}
	after := a.Clone()
	for _, f := range facts {
		after.Evolve(f.Event, f.At)
	}
	return append(facts, repay(after, c, now)...)
}

// maxRepaying is how many lots one decision lets repay debt, so that its facts fit an entry. What they do
// not cover is repaid by the next decision that may.
const maxRepaying = 256

// repay states and folds the repayments that are possible now. Frozen lots repay nothing.
func repay(a *credit.Account, c *Catalog, now time.Time) []credit.Fact {
	if len(a.Debts()) == 0 || a.Closed() || c == nil {
		return nil
	}
	var facts []credit.Fact
	most := maxRepaying
	plan := planOf(c, a.Plan())
	for _, debt := range append([]credit.Debt(nil), a.Debts()...) {
		var pools []*Pool
		for _, p := range c.PoolsFor(debt.Meter) {
			if plan.MaySpend(p.ID) {
				pools = append(pools, p)
			}
		}
		u := burn{account: a, at: now}
		short := u.draw(pools, "", debt.Amount, 1)
		if len(u.draws) > most {
			for _, d := range u.draws[most:] {
				short += d.Amount
			}
			u.draws = u.draws[:most]
		}
		if short == debt.Amount {
			continue
		}
		most -= len(u.draws)
		e := &credit.DebtRepaid{Meter: debt.Meter, Amount: debt.Amount - short, Draws: u.draws}
		a.Evolve(e, now)
		facts = append(facts, credit.Fact{At: now, Event: e})
	}
	return facts
}
