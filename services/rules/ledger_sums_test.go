package rules_test

import (
	"math"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// ledger_sums_test.go adds the facts up a second time, in the plainest way, and wants the sums that the
// account carries.

// usedAddsUp: the draws that name the current cycle, less what reversals of them gave back, are the
// pool's used. So usage by cycle and the balance cannot disagree.
func (l *ledger) usedAddsUp(where string) {
	l.t.Helper()
	used := map[string]credit.Amount{}
	add := func(sign credit.Amount, draws []credit.Draw) {
		for _, d := range draws {
			if d.Cycle == l.account.Cycle().Number {
				used[d.Pool] += sign * d.Amount
			}
		}
	}
	for _, f := range l.facts {
		switch e := f.Event.(type) {
		case *credit.UsageRecorded:
			add(1, e.Draws)
		case *credit.HoldCaptured:
			add(1, e.Draws)
			add(1, e.Excess)
		case *credit.DebtRepaid:
			add(1, e.Draws)
		case *credit.UsageReversed:
			add(-1, e.Draws)
			add(-1, e.Lapsed)
			for _, r := range e.Replaced {
				add(-1, []credit.Draw{r.Draw})
			}
		}
	}
	for _, p := range l.account.Pools() {
		if p.Terms.Used != used[p.Name] {
			l.t.Errorf("%s: pool %s: used is %d, the draws of the cycle sum to %d", where, p.Name, p.Terms.Used, used[p.Name])
		}
	}
}

// checksAreRight: of every meter exactly as many units as a check says may be used at once, and what it
// says they cost is what they cost.
func (l *ledger) checksAreRight(a *credit.Account, where string) {
	l.t.Helper()
	for _, m := range l.book.At(l.now).MeterOrder {
		units := rules.Check(a, l.book, m.ID, 1, l.now).RemainingUnits
		if units > 0 {
			q := rules.Check(a, l.book, m.ID, units, l.now)
			if !q.Allowed || q.Cost > q.Remaining {
				l.t.Errorf("%s: %d units of %s are left by the check, and using them: %+v", where, units, m.ID, q)
			}
			l.sameCost(a, where, m.ID, units, q)
		}
		if units < math.MaxInt64 {
			q := rules.Check(a, l.book, m.ID, units+1, l.now)
			if q.Allowed || q.Refusal == nil {
				l.t.Errorf("%s: %d units of %s are left by the check, and one more is allowed: %+v", where, units, m.ID, q)
			}
		}
	}
}

// sameCost carries out what a check quoted, on a copy.
func (l *ledger) sameCost(a *credit.Account, where, meter string, units int64, q rules.Quote) {
	l.t.Helper()
	after := a.Clone()
	facts, err := rules.Use{Meter: meter, Quantity: units}.Decide(a, l.book, l.now)
	if err != nil {
		l.t.Errorf("%s: use %d %s: %v", where, units, meter, err)
		return
	}
	for _, f := range facts {
		after.Evolve(f.Event, f.At)
	}
	if left := rules.Check(after, l.book, meter, 1, l.now).Remaining; q.Remaining-left != q.Cost {
		l.t.Errorf("%s: %d %s cost %d by the check and %d by the account", where, units, meter, q.Cost, q.Remaining-left)
	}
}

// revenueAddsUp: what was sold is what was recognised, paid back, or is still to be recognised of lots
// that the account has; and of a lot with nothing left, nothing is to be recognised.
func (l *ledger) revenueAddsUp(where string) {
	l.t.Helper()
	var sold, recognised int64
	takenBack := map[string]bool{}
	add := func(sign int64, draws []credit.Draw) {
		for _, d := range draws {
			recognised += sign * d.Revenue
		}
	}
	ended := func(all []credit.Ended) {
		for _, e := range all {
			recognised += e.Revenue
		}
	}
	for _, f := range l.facts {
		switch e := f.Event.(type) {
		case *credit.CreditPurchased:
			sold += e.Price.Minor
		case *credit.CreditGranted:
			sold += e.Price.Minor
		case *credit.PurchaseRefunded:
			recognised += e.Money.Minor
			takenBack[e.Lot] = true
		case *credit.GrantRevoked:
			takenBack[e.Lot] = true
		case *credit.UsageRecorded:
			add(1, e.Draws)
		case *credit.DebtRepaid:
			add(1, e.Draws)
		case *credit.HoldCaptured:
			add(1, e.Draws)
			add(1, e.Excess)
			add(1, e.Lapsed)
		case *credit.HoldReleased:
			add(1, e.Lapsed)
		case *credit.HoldLapsed:
			add(1, e.Lapsed)
		case *credit.UsageReversed:
			add(-1, e.Draws)
			for _, r := range e.Replaced {
				recognised -= r.Draw.Revenue
			}
		case *credit.CreditExpired:
			recognised += e.Revenue
		case *credit.CycleRenewed:
			ended(e.Expired)
		case *credit.PlanChanged:
			ended(e.Expired)
		}
	}
	var open int64
	for _, lot := range l.account.Lots() {
		rest := lot.Price.Minor - lot.Recognised
		open += rest
		if rest < 0 || rest != 0 && lot.Remaining == 0 && lot.Held == 0 && !takenBack[lot.ID] {
			l.t.Errorf("%s: lot %s has %d left and %d of its price to recognise", where, lot.ID, lot.Remaining+lot.Held, rest)
		}
	}
	if sold != recognised+open {
		l.t.Errorf("%s: sold for %d; recognised or paid back %d, to be recognised %d", where, sold, recognised, open)
	}
}
