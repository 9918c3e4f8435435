package projections

import (
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
)

// The sums say what a fact should have done to each pool, and where the fold did something else.
func TestSumsSayWhereTheFoldDiffers(t *testing.T) {
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	grant := func(lot, pool string) *credit.CreditGranted {
		return &credit.CreditGranted{Grant: credit.Grant{Lot: lot, Pool: pool, Amount: 10, Starts: now, Kind: credit.KindSold}}
	}
	a := credit.NewAccount("a")
	var due, folded sums
	for _, e := range []credit.Event{
		&credit.AccountOpened{Timezone: "UTC", Anchor: now, Cycle: credit.Cycle{Number: 1, From: now, To: now.AddDate(0, 1, 0)}},
		grant("l1", "extra"), grant("l2", "more"),
		&credit.UsageRecorded{Meter: "m", Quantity: 1, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 3}, {Lot: "l2", Pool: "more", Amount: 4}}},
		&credit.HoldPlaced{Hold: "h1", Meter: "m", Quantity: 1, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 2}}},
	} {
		due = due.of(a)
		if !due.add(a, e) {
			t.Fatalf("%s: not told", e.Kind())
		}
		before := folded.of(a)
		if _, opened := e.(*credit.AccountOpened); !opened && due.differ(before) == "" {
			t.Errorf("%s changes nothing", e.Kind())
		}
		a.Evolve(e, now)
		if problem := due.differ(folded.of(a)); problem != "" {
			t.Errorf("%s: %s", e.Kind(), problem)
		}
	}
	due.move("more", 0, 1)
	if problem := due.differ(folded.of(a)); !strings.Contains(problem, "pool more should have 6 and hold 1, the fold says 6 and 0") {
		t.Errorf("it says %q", problem)
	}
}
