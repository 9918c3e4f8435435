package rules_test

import (
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

func kinds(due []rules.Due) string {
	var all []string
	for _, d := range due {
		all = append(all, d.Key)
	}
	return strings.Join(all, " ")
}

// Of what is due at one instant expiry comes first, then lapse, then an abandoned purchase, then the
// renewal.
func TestTiesInOrder(t *testing.T) {
	b := crowdedBook(t, "expiring_days: 4", "expiring_days: 0")
	a := opened(t, b, "basic")
	tie := noon.Add(15 * time.Minute)
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r", Ends: rules.Set(tie)})
	do(t, a, b, noon, rules.GrantCredits{Pool: "always", Credits: 600, Reason: "r"})
	do(t, a, b, noon, rules.PlaceHold{Meter: "ping", Quantity: 1})
	do(t, a, b, tie.Add(-time.Minute), rules.PlaceHold{Meter: "ping", Quantity: 1, TTL: time.Minute})
	if got := kinds(rules.Settle(a, b, tie)); got != "expiry/l3 lapse/h1 lapse/h2" {
		t.Errorf("settled %s", got)
	}
	end := a.Cycle().To
	do(t, a, b, end.Add(-24*time.Hour), rules.RequestPurchase{Purchase: "p", Pack: "small", Provider: "sandbox"})
	do(t, a, b, end.Add(-time.Minute), rules.PlaceHold{Meter: "ping", Quantity: 1, TTL: time.Minute})
	if got := kinds(rules.Settle(a, b, end)); got != "lapse/h3 unpaid-purchase/p cycle/2" {
		t.Errorf("settled %s", got)
	}
}

// What a hold kept aside until the very boundary rolls over like the rest of its lot.
func TestLapseAtTheBoundaryRollsOver(t *testing.T) {
	b := crowdedBook(t, "expiring_days: 4", "expiring_days: 0")
	for _, all := range []bool{false, true} {
		a := opened(t, b, "free") // 10 credits a month, of which up to 30 roll over
		units := int64(4)
		if all {
			units = 10
		}
		end := a.Cycle().To
		do(t, a, b, end.Add(-time.Minute), rules.PlaceHold{Meter: "video", Quantity: units, TTL: time.Minute})
		rules.Settle(a, b, end)
		if terms := a.Pool("monthly").Terms; terms.Opening != 1000 || terms.Remaining != 2000 {
			t.Errorf("holding %d to the end: %+v, want 10 rolled over and 10 granted", units, terms)
		}
	}
}

// Credits live through the cycles that the pool's rollover allows and no more, and no more of them than
// it allows; what was granted last is kept.
func TestRollover(t *testing.T) {
	b := crowdedBook(t, "expiring_days: 4", "expiring_days: 0")
	a := opened(t, b, "free")
	for cycle, want := range []credit.Amount{1000, 2000, 3000, 3000, 3000} {
		if got := a.Pool("monthly").Terms.Remaining; got != want {
			t.Errorf("cycle %d: %d, want %d", cycle+1, got, want)
		}
		for _, l := range a.Pool("monthly").Live() {
			if l.Cycles > 2 || l.Cycles > 0 && l.Kind != credit.KindRollover {
				t.Errorf("cycle %d: lot %+v", cycle+1, *l)
			}
		}
		rules.Settle(a, b, a.Cycle().To)
	}
	do(t, a, b, a.Cycle().From, rules.GrantCredits{Pool: "monthly", Credits: 5000, Reason: "r"})
	rules.Settle(a, b, a.Cycle().To)
	if terms := a.Pool("monthly").Terms; terms.Opening != 3000 {
		t.Errorf("%d roll over, want at most 30", terms.Opening)
	}
}

// A lot is announced once, as many days before its end as the catalog says, at its start when it lives
// shorter; a sweep finds when.
func TestExpiringSoon(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "")
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r", Ends: rules.Set(noon.AddDate(0, 0, 10))})
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r", Ends: rules.Set(noon.AddDate(0, 0, 1))})
	if got := kinds(rules.Settle(a, b, noon)); got != "expiring/l2" {
		t.Errorf("settled %s", got)
	}
	rules.Settle(a, b, noon.AddDate(0, 0, 2))
	warning := noon.AddDate(0, 0, 6)
	if got := a.NextDue(); !got.Equal(warning) {
		t.Errorf("next due %s, want %s", got, warning)
	}
	if got := kinds(rules.Settle(a, b, warning.Add(-1))); got != "" {
		t.Errorf("settled %s too early", got)
	}
	if got := kinds(rules.Settle(a, b, warning)); got != "expiring/l1" {
		t.Errorf("settled %s", got)
	}
	if got := kinds(rules.Settle(a, b, noon.AddDate(0, 0, 10))); got != "expiry/l1" {
		t.Errorf("settled %s", got)
	}
}

// Thresholds are announced once until something is credited, the lowest of those that one use crosses.
func TestBalanceAlerts(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "")
	grant := rules.GrantCredits{Pool: "always", Credits: 3000, Reason: "r"}
	said := func(quantity int64) string {
		var all []string
		for _, f := range do(t, a, b, noon, rules.Use{Meter: "ping", Quantity: quantity})[1:] {
			switch e := f.Event.(type) {
			case *credit.BalanceLow:
				all = append(all, "low "+e.Threshold.Format(2)+" at "+e.Remaining.Format(2))
			case *credit.BalanceExhausted:
				all = append(all, "exhausted")
			}
		}
		return strings.Join(all, ", ")
	}
	do(t, a, b, noon, grant)
	for _, step := range []struct {
		quantity int64
		want     string
	}{{19, ""}, {1, "low 20 at 20"}, {2, ""}, {28, "low 5 at 5"}, {10, "exhausted"}} {
		if got := said(step.quantity); got != step.want {
			t.Errorf("%d pings announce %q, want %q", step.quantity, got, step.want)
		}
	}
	do(t, a, b, noon, rules.GrantCredits{Pool: "always", Credits: 1000, Reason: "r"})
	if got := said(2); got != "" {
		t.Errorf("below a threshold from the start, a use announces %q", got)
	}
	do(t, a, b, noon, grant)
	if got := said(78); got != "low 5 at 0, exhausted" {
		t.Errorf("all at once announces %q", got)
	}
}

// An account that nobody touched for a century is settled cycle by cycle, quickly.
func TestUntouchedForACentury(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "basic")
	due := rules.Settle(a, b, noon.AddDate(100, 0, 0))
	if a.Cycle().Number != 1201 || len(due) < 1200 {
		t.Errorf("cycle %d after %d entries", a.Cycle().Number, len(due))
	}
}

// Renewals stop granting rather than take an account out of range.
func TestAllowancesStayInRange(t *testing.T) {
	b := crowdedBook(t, "rollover: {up_to: 30, cycles: 2}", "rollover: all", "allowances: {monthly: 10}", "allowances: {monthly: 5000000000000000}")
	a := opened(t, b, "free")
	rules.Settle(a, b, noon.AddDate(3, 0, 0))
	if got := a.Pool("monthly").Terms; !got.Close() || got.Remaining > credit.MaxAmount || got.Remaining < credit.MaxAmount/2 {
		t.Errorf("after three years: %+v", got)
	}
}

// An allowance that outlives its cycle ends with its plan, also when all of it is held: the hold cannot
// bring it back.
func TestAPlanThatEndsAtTheBoundaryTakesItsAllowances(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "grand") // 7 calls for 40 days
	end := a.Cycle().To
	do(t, a, b, noon, rules.PutAccount{Plan: rules.Set("basic")})
	do(t, a, b, end.Add(-time.Minute), rules.PlaceHold{Meter: "call", Quantity: 7, TTL: time.Hour})
	do(t, a, b, end, rules.ReleaseHold{Hold: "h1"})
	if terms := a.Pool("calls").Terms; terms.Remaining != 0 || terms.Expired != 700 {
		t.Errorf("the calls of the plan that ended: %+v", terms)
	}
}

// A lot that ends with the cycle repays nothing in its last instant.
func TestWhatEndsAtTheBoundaryRepaysNothing(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	end := a.Cycle().To
	do(t, a, b, noon, rules.GrantCredits{Pool: "always", Credits: 500, Reason: "r", Ends: rules.Set(end)})
	do(t, a, b, end.Add(-time.Minute), rules.PlaceHold{Meter: "ping", Quantity: 10, TTL: time.Minute})
	do(t, a, b, end.Add(-time.Second), rules.Use{Meter: "ping", Quantity: 4, Intake: true})
	rules.Settle(a, b, end)
	if a.Owed() != 200 || a.Lot("l1").Breakage != 500 {
		t.Errorf("owes %d, %d expired", a.Owed(), a.Lot("l1").Breakage)
	}
}

// A plan whose boundaries are whole days, taken up on the renewal's date before its hour, renews at
// once: the date has begun.
func TestAnotherSortOfBoundary(t *testing.T) {
	b := crowdedBook(t, "wide: {priority: 20, expires: cycle_end, rollover: {cycles: 1}}", "wide: {priority: 20, expires: day_before_renewal}",
		"allowances: {monthly: 90, calls: 7}", "allowances: {wide: 90}")
	a := opened(t, b, "basic")
	morning := a.Cycle().To.Add(-time.Hour)
	do(t, a, b, morning, rules.PutAccount{Plan: rules.Set("grand")})
	cycle := a.Cycle()
	if cycle.Number != 2 || !cycle.From.Equal(morning) || cycle.Step != 1 || !a.Anchor().Equal(noon) {
		t.Errorf("cycle %+v from anchor %s", cycle, a.Anchor())
	}
	if want := rules.Boundary(noon, 2, b.Current().Location, true); !cycle.To.Equal(want) {
		t.Errorf("ends %s, want %s", cycle.To, want)
	}
}

// What was left of a block belongs to its cycle: late usage of a closed one neither uses nor changes the
// present remainder.
func TestLateUsageDoesNotAccumulate(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "basic")
	now := a.Cycle().To.Add(time.Hour)
	do(t, a, b, now, rules.Use{Meter: "call", Quantity: 2})
	e := do(t, a, b, now, rules.Use{Meter: "call", Quantity: 4, Time: noon.Add(time.Hour)})[0].Event.(*credit.UsageRecorded)
	if e.Cost != 100 || e.Carry != nil || a.Carry("call") != 2 {
		t.Errorf("costs %d, leaves %d uncharged", e.Cost, a.Carry("call"))
	}
}

// A refund finds what a purchase's credits rolled into, and pays back their share of the price.
func TestRefundAfterRollover(t *testing.T) {
	b := crowdedBook(t, "rollover: {cycles: 1}", "rollover: {up_to: 50}")
	a := opened(t, b, "empty")
	do(t, a, b, noon, rules.RequestPurchase{Purchase: "p", Pack: "large", Provider: "sandbox"}) // 70 for 100.00 EUR
	do(t, a, b, noon, rules.ConfirmPayment{Purchase: "p", Paid: credit.Money{Currency: "EUR", Minor: 10000}})
	now := a.Cycle().To
	do(t, a, b, now, rules.Use{Meter: "ping", Quantity: 20}) // 10 of the 50 that rolled over
	e := do(t, a, b, now, rules.RefundPurchase{Purchase: "p", Reason: "unhappy"})[0].Event.(*credit.PurchaseRefunded)
	if e.Lot != "l2" || e.Amount != 4000 || e.Money.Minor != 5713 {
		t.Errorf("refunded %s, want 40 of l2 for 71.42 × 40 / 50", mustJSON(e))
	}
	if terms := a.Pool("wide").Terms; terms.Remaining != 0 || terms.Revoked != 4000 || !terms.Close() {
		t.Errorf("%+v", terms)
	}
}
