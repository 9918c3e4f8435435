package usage_test

import (
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
	"creditstream/projections/usage"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func open(t testing.TB) *usage.View {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: "usage", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	view, err := usage.Of(store, projections.Name{Tenant: "tecpet"})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// The totals of a cycle are the used of its terms, whatever was late, reversed, held or repaid.
func TestCycleSumsToItsUsed(t *testing.T) {
	for seed := range uint64(6) {
		source := trial.New(seed, 6)
		commits := source.Journal(150, 10)
		view := open(t)
		if err := trial.Write(usage.Fold{}, view.View, commits, 7); err != nil {
			t.Fatal(err)
		}
		for _, a := range source.Accounts() {
			var want, units credit.Amount
			for _, p := range a.Pools() {
				if p.Unit == "" {
					want += p.Terms.Used
				} else {
					units += p.Terms.Used
				}
			}
			for _, by := range []usage.By{"", usage.ByMeter, usage.ByDay} {
				got, err := view.Usage(usage.Query{Account: a.ID(), Cycle: a.Cycle().Number, By: by})
				if err != nil {
					t.Fatal(err)
				}
				var sum, gotUnits credit.Amount
				for _, g := range got.Groups {
					sum += g.Credits
					gotUnits += g.Units
				}
				if got.Credits != want || sum != want || gotUnits != units {
					t.Fatalf("seed %d, account %s, cycle %d by %q: credits %d and %d, units %d; used %d, units %d", seed, a.ID(), a.Cycle().Number, by, got.Credits, sum, gotUnits, want, units)
				}
			}
		}
	}
}

// Every fact counts once: the quantities of all days are those of the journal.
func TestQuantitiesAreTheJournals(t *testing.T) {
	source := trial.New(9, 5)
	commits := source.Journal(120, 10)
	type place struct{ account, meter string }
	want := make(map[place]int64)
	for _, entries := range commits {
		for _, e := range entries {
			for _, f := range e.Facts {
				switch event := f.Event.(type) {
				case *credit.UsageRecorded:
					want[place{e.Account, event.Meter}] += event.Quantity
				case *credit.HoldCaptured:
					want[place{e.Account, event.Meter}] += event.Quantity
				case *credit.UsageReversed:
					want[place{e.Account, event.Meter}] -= event.Quantity
				}
			}
		}
	}
	view := open(t)
	if err := trial.Write(usage.Fold{}, view.View, commits, 11); err != nil {
		t.Fatal(err)
	}
	for _, a := range source.Accounts() {
		got, err := view.Usage(usage.Query{Account: a.ID(), By: usage.ByMeter})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got.Groups {
			p := place{a.ID(), g.Meter}
			if g.Quantity != want[p] || g.Dated {
				t.Errorf("%+v: %+v, want %d", p, g, want[p])
			}
			delete(want, p)
		}
	}
	for p, n := range want {
		if n != 0 {
			t.Errorf("%+v: %d are nowhere", p, n)
		}
	}
}

func TestDaysAreTheAccounts(t *testing.T) {
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	opened := time.Date(2026, 3, 1, 0, 0, 0, 0, zone)
	cycle := credit.Cycle{Number: 1, From: opened, To: opened.AddDate(0, 1, 0)}
	next := credit.Cycle{Number: 2, Step: 1, From: cycle.To, To: opened.AddDate(0, 2, 0)}
	use := func(at time.Time, meter string, quantity int64, cycle uint32) credit.Fact {
		u := &credit.UsageRecorded{Meter: meter, Quantity: quantity, Cost: credit.Amount(quantity)}
		if cycle > 0 {
			u.Draws = []credit.Draw{{Lot: "l1", Pool: "extra", Amount: credit.Amount(quantity), Cycle: cycle}}
		} else {
			u.Unpaid = credit.Amount(quantity)
		}
		return credit.Fact{At: at, Event: u}
	}
	entry := credit.Entry{Account: "a", Facts: []credit.Fact{
		{At: opened, Event: &credit.AccountOpened{Timezone: "America/Sao_Paulo", Anchor: opened, Cycle: cycle}},
		use(time.Date(2026, 3, 5, 23, 59, 0, 0, zone), "sticker", 1, 1), // the 6th in UTC
		use(time.Date(2026, 3, 6, 0, 0, 0, 0, zone), "sticker", 2, 1),
		use(time.Date(2026, 3, 6, 10, 0, 0, 0, zone), "ai_service", 4, 1),
		{At: next.From, Event: &credit.CycleRenewed{Cycle: next, Timezone: "America/Sao_Paulo"}},
		use(time.Date(2026, 4, 2, 10, 0, 0, 0, zone), "sticker", 8, 2),
		use(time.Date(2026, 3, 6, 11, 0, 0, 0, zone), "sticker", 16, 0), // late, and nothing paid it
	}}
	view := open(t)
	if err := trial.Write(usage.Fold{}, view.View, [][]credit.Entry{{entry}}, 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		q    usage.Query
		want []int64
		days []string
	}{
		{"all by day", usage.Query{By: usage.ByDay}, []int64{1, 22, 8}, []string{"2026-03-05", "2026-03-06", "2026-04-02"}},
		{"days and meters", usage.Query{Cycle: 1}, []int64{1, 4, 18}, []string{"2026-03-05", "2026-03-06", "2026-03-06"}},
		{"from", usage.Query{By: usage.ByDay, From: time.Date(2026, 3, 6, 5, 0, 0, 0, zone)}, []int64{22, 8}, []string{"2026-03-06", "2026-04-02"}},
		{"to", usage.Query{By: usage.ByDay, To: time.Date(2026, 3, 6, 0, 0, 0, 0, zone)}, []int64{1}, []string{"2026-03-05"}},
		{"cycle", usage.Query{By: usage.ByDay, Cycle: 2}, []int64{8}, []string{"2026-04-02"}},
		{"cycle and days", usage.Query{By: usage.ByDay, Cycle: 1, From: time.Date(2026, 3, 6, 0, 0, 0, 0, zone)}, []int64{22}, []string{"2026-03-06"}},
		{"no cycle", usage.Query{Cycle: 3}, nil, nil},
	} {
		c.q.Account = "a"
		got, err := view.Usage(c.q)
		if err != nil || len(got.Groups) != len(c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
			continue
		}
		for i, g := range got.Groups {
			if g.Quantity != c.want[i] || g.Day.String() != c.days[i] {
				t.Errorf("%s: group %d is %+v (%s), want %d on %s", c.name, i, g, g.Day, c.want[i], c.days[i])
			}
		}
	}
	if got, ok, err := view.Cycle("a", 1); err != nil || !ok || !got.From.Equal(cycle.From) || !got.To.Equal(cycle.To) {
		t.Errorf("cycle 1: %+v, %v, %v", got, ok, err)
	}
	if _, ok, err := view.Cycle("a", 3); ok || err != nil {
		t.Errorf("cycle 3: %v, %v", ok, err)
	}
}
