package rules_test

import (
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// A limit that is lowered below what an account owes takes nothing of the debt away: there is no negative debt.
func TestALowerLimitForgivesNothing(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 40, Intake: true})
	if a.Owed() != 2000 {
		t.Fatalf("owes %d, want 20 credits", a.Owed())
	}
	later := noon.Add(time.Hour)
	lower := b.With(later, crowdedCatalog(t, "debt: {limit: 25}", "debt: {limit: 10}"))
	e := do(t, a, lower, later, rules.Use{Meter: "image", Quantity: 6, Intake: true})[0].Event.(*credit.UsageRecorded)
	if e.Debt != 0 || e.Unpaid != 300 || a.Owed() != 2000 {
		t.Errorf("beyond the limit %d are owed and %d unpaid, of 300; all in all %d", e.Debt, e.Unpaid, a.Owed())
	}
}

// A capture that draws what was held and more of the same lot recognises, in all, what the lot was sold for.
func TestACaptureBeyondItsHoldRecognisesNoMoreThanThePrice(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	price := credit.Money{Currency: "EUR", Minor: 1000}
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 300, Reason: "r", Kind: credit.KindSold, Price: price})
	do(t, a, b, noon, rules.PlaceHold{Meter: "image", Quantity: 2}) // 1 of 3 credits: 3.33 EUR
	e := do(t, a, b, noon, rules.CaptureHold{Hold: "h1", Quantity: 6})[0].Event.(*credit.HoldCaptured)
	if len(e.Draws) != 1 || len(e.Excess) != 1 || e.Draws[0].Revenue != 333 || e.Excess[0].Revenue != 667 {
		t.Errorf("captured as %s, want revenue of 3.33 and what is left of 10.00", mustJSON(e))
	}
}

// What a use left uncharged was forgotten at the renewal: a reversal in another cycle takes nothing back from what
// later uses left.
func TestAReversalLeavesTheCarryOfAnotherCycle(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "basic")
	used := do(t, a, b, noon, rules.Use{Meter: "call", Quantity: 2})
	later := a.Cycle().To.Add(time.Hour)
	do(t, a, b, later, rules.Use{Meter: "call", Quantity: 2})
	e := do(t, a, b, later, reversal(used, noon, 0, 0))[0].Event.(*credit.UsageReversed)
	if e.Carry != nil || a.Carry("call") != 2 {
		t.Errorf("reversed as %s, and %d units are carried, want the 2 of this cycle", mustJSON(e), a.Carry("call"))
	}
}

// Units that another use was charged for together with those that are taken back are not owed: nothing below zero is
// carried.
func TestAReversalCarriesNothingBelowZero(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "basic")
	first := do(t, a, b, noon, rules.Use{Meter: "call", Quantity: 2})
	do(t, a, b, noon, rules.Use{Meter: "call", Quantity: 1}) // the third of a block
	e := do(t, a, b, noon, reversal(first, noon, 0, 0))[0].Event.(*credit.UsageReversed)
	if e.Credits != 0 || e.Carry == nil || *e.Carry != 0 {
		t.Errorf("reversed as %s, want no credits and no carry", mustJSON(e))
	}
}

// Of a lot that the account has let go of only the draw is left: that it had revenue says that it was paid for.
func TestCreditsOfAForgottenLotComeBackAsPaid(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	price := credit.Money{Currency: "EUR", Minor: 1000}
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 300, Reason: "r", Kind: credit.KindSold, Price: price})
	used := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 6})
	later := noon.AddDate(0, 6, 0)
	rules.Settle(a, b, later)
	if a.Lot("l1") != nil {
		t.Fatal("the lot is still there: the test is not about what it says")
	}
	e := do(t, a, b, later, reversal(used, noon, 0, 0))[0].Event.(*credit.UsageReversed)
	if len(e.Replaced) != 1 || !e.Replaced[0].Into.Paid || e.Replaced[0].Into.Price != price {
		t.Errorf("reversed as %s, want credits that were paid for", mustJSON(e))
	}
}

// The end of a lot is announced so many days before; at once where it is nearer than that; and never of an allowance,
// which ends with every cycle.
func TestWhenTheEndOfALotIsAnnounced(t *testing.T) {
	b := crowdedBook(t)
	a := credit.NewAccount("imported")
	do(t, a, b, noon, rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "left", Credits: 100}, {Pool: "left", Credits: 100, Kind: credit.KindAllowance}}})
	for _, l := range a.Lots() {
		if l.Warns.IsZero() != (l.Kind == credit.KindAllowance) {
			t.Errorf("the end of lot %s, %s, is announced at %s", l.ID, l.Kind, l.Warns)
		}
	}
	a = opened(t, b, "basic")
	for days, want := range map[int]time.Time{3: noon, 4: noon, 5: noon.AddDate(0, 0, 1), 20: noon.AddDate(0, 0, 16)} {
		facts := do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 100, Reason: "r", Ends: rules.Set(noon.AddDate(0, 0, days))})
		if got := facts[0].Event.(*credit.CreditGranted).Grant.Warns; !got.Equal(want) {
			t.Errorf("the end in %d days is announced at %s, want %s", days, got, want)
		}
	}
}

// A low balance is announced once on the way down, whatever is taken back in between, until credits are added.
func TestALowBalanceIsAnnouncedOnce(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	low := func(facts []credit.Fact) (n int) {
		for _, f := range facts {
			if _, ok := f.Event.(*credit.BalanceLow); ok {
				n++
			}
		}
		return n
	}
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 2500, Reason: "r"})
	used := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 12}) // 19 are left
	do(t, a, b, noon, reversal(used, noon, 0, 0))
	again := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 12})
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r"})
	after := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 12})
	if low(used) != 1 || low(again) != 0 || low(after) != 1 {
		t.Errorf("announced %d, %d and %d times, want 1, 0, and 1 after the grant", low(used), low(again), low(after))
	}
}

// What falls due at the instant of a publication goes by the rules before it, as if a sweep had booked it.
func TestARenewalGoesByTheCatalogBeforeItsBoundary(t *testing.T) {
	b := crowdedBook(t)
	richer := crowdedCatalog(t, "basic: {rank: 3, meters: all, allowances: {monthly: 50,", "basic: {rank: 3, meters: all, allowances: {monthly: 77,")
	for _, test := range []struct {
		before time.Duration
		want   credit.Amount
	}{{0, 5000}, {time.Nanosecond, 7700}} {
		a := opened(t, b, "basic")
		boundary := a.Cycle().To
		published := b.With(boundary.Add(-test.before), richer)
		rules.Settle(a, published, boundary)
		var granted credit.Amount
		for _, l := range a.Pool("monthly").Live() {
			if l.Kind == credit.KindAllowance {
				granted += l.Granted
			}
		}
		if a.Cycle().Number != 2 || granted != test.want {
			t.Errorf("published %s before the boundary: %d are granted in cycle %d, want %d", test.before, granted, a.Cycle().Number, test.want)
		}
	}
}
