package rules_test

import (
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// reversal takes back quantity of the use that facts begin with.
func reversal(facts []credit.Fact, at time.Time, quantity, already int64) rules.ReverseUsage {
	return rules.ReverseUsage{Usage: "u", Quantity: quantity, Reason: "it failed", Already: already,
		Original: facts[0].Event.(*credit.UsageRecorded), OriginalAt: at}
}

// Taking a use back takes its uncharged units back: what comes after costs what it would have cost
// without the use.
func TestReversalOfWhatAccumulates(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "basic")
	cost := func(units int64) ([]credit.Fact, credit.Amount) {
		facts := do(t, a, b, noon, rules.Use{Meter: "call", Quantity: units})
		return facts, facts[0].Event.(*credit.UsageRecorded).Cost
	}
	first, _ := cost(2)
	do(t, a, b, noon, reversal(first, noon, 0, 0))
	if _, c := cost(1); c != 0 || a.Carry("call") != 1 {
		t.Errorf("the first unit that counts costs %d and leaves %d uncharged, want 0 and 1", c, a.Carry("call"))
	}
	five, c := cost(5) // 6 in all: two blocks
	if c != 200 || a.Carry("call") != 0 {
		t.Errorf("five more cost %d and leave %d, want 200 and 0", c, a.Carry("call"))
	}
	for i, want := range []struct {
		back  credit.Amount
		carry int64
	}{{100, 2}, {0, 1}, {0, 0}, {100, 2}, {0, 1}} {
		e := do(t, a, b, noon, reversal(five, noon, 1, int64(i)))[0].Event.(*credit.UsageReversed)
		if e.Credits != want.back || a.Carry("call") != want.carry {
			t.Errorf("unit %d gives back %d and leaves %d, want %+v", i+1, e.Credits, a.Carry("call"), want)
		}
	}
}

// Debt that was repaid before its use was taken back comes back as credits of its own.
func TestReversalOfRepaidDebt(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	used := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 20, Intake: true})
	if a.Owed() != 1000 {
		t.Fatalf("owes %d, want 10 credits", a.Owed())
	}
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r"})
	if a.Owed() != 400 || a.Pool("left").Terms.Remaining != 0 {
		t.Fatalf("owes %d beside %d", a.Owed(), a.Pool("left").Terms.Remaining)
	}
	do(t, a, b, noon, reversal(used, noon, 0, 0))
	if a.Owed() != 0 || a.Pool("left").Terms.Remaining != 600 {
		t.Errorf("owes %d and has %d, want 0 and the 6 that were repaid", a.Owed(), a.Pool("left").Terms.Remaining)
	}
}

// What a reversal brings back repays what is owed by then.
func TestReversalRepays(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r"})
	used := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 12})
	do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 6, Intake: true})
	facts := do(t, a, b, noon, reversal(used, noon, 4, 0))
	repaid, ok := facts[len(facts)-1].Event.(*credit.DebtRepaid)
	if !ok || repaid.Amount != 200 || a.Owed() != 100 {
		t.Errorf("owes %d after %s", a.Owed(), mustJSON(facts))
	}
}

// A reversal into a lot that ended: the pool says whether credits are replaced, with the revenue that
// was recognised for them, or expire in the open.
func TestReversalIntoALotThatEnded(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "empty")
	price := credit.Money{Currency: "EUR", Minor: 1000}
	do(t, a, b, noon, rules.GrantCredits{Pool: "left", Credits: 600, Reason: "r", Kind: credit.KindSold, Price: price, Ends: rules.Set(noon.Add(time.Hour))})
	used := do(t, a, b, noon, rules.Use{Meter: "image", Quantity: 6}) // 3 of 6 credits: 5.00 EUR
	later := noon.Add(2 * time.Hour)
	e := do(t, a, b, later, reversal(used, noon, 4, 0))[0].Event.(*credit.UsageReversed)
	if len(e.Replaced) != 1 || e.Replaced[0].Draw.Revenue != 333 || e.Replaced[0].Into.Price.Minor != 333 || !e.Replaced[0].Into.Paid {
		t.Fatalf("reversed as %s", mustJSON(e))
	}
	if want := rules.AddDays(later, 30, b.Current().Location); !e.Replaced[0].Into.Ends.Equal(want) {
		t.Errorf("the replacement ends %s, want %s", e.Replaced[0].Into.Ends, want)
	}
	e = do(t, a, b, later, reversal(used, noon, 2, 4))[0].Event.(*credit.UsageReversed)
	if e.Replaced[0].Draw.Revenue != 167 {
		t.Errorf("the rest gives back %d, want what rounding left: 167", e.Replaced[0].Draw.Revenue)
	}
}
