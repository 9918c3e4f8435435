package rules_test

import (
	"fmt"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// wealthy opens an account that holds lots in two pools of the crowded catalog.
func wealthy(tb testing.TB, lots int) (*credit.Account, *rules.Book, time.Time) {
	tb.Helper()
	catalog, err := rules.ParseCatalog([]byte(crowded))
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	book := (&rules.Book{}).With(now, catalog)
	a := credit.NewAccount("a")
	do(tb, a, book, now, rules.PutAccount{Plan: rules.Set("basic")})
	for range lots {
		do(tb, a, book, now, rules.GrantCredits{Pool: "always", Credits: 100_000_000, Reason: "plenty"})
	}
	return a, book, now
}

// do settles, decides and folds, and returns what was decided.
func do(tb testing.TB, a *credit.Account, b *rules.Book, now time.Time, command rules.Command) []credit.Fact {
	tb.Helper()
	rules.Settle(a, b, now)
	facts, err := command.Decide(a, b, now)
	if err != nil {
		tb.Fatalf("%+v: %v", command, err)
	}
	for _, f := range facts {
		a.Evolve(f.Event, f.At)
	}
	return facts
}

// A use costs what it touches: the event, its draws and the list of facts, whatever the account holds.
func TestUseAllocatesForWhatItTouches(t *testing.T) {
	for _, lots := range []int{1, 2000} {
		a, book, now := wealthy(t, lots)
		do(t, a, book, now, rules.Use{Meter: "ping", Quantity: 100})
		command := rules.Use{Meter: "ping", Quantity: 3}
		allocs := testing.AllocsPerRun(100, func() {
			rules.Settle(a, book, now)
			if _, err := command.Decide(a, book, now); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 4 {
			t.Errorf("a use of an account with %d lots allocates %v times", lots, allocs)
		}
	}
}

func BenchmarkUse(b *testing.B) {
	for _, lots := range []int{1, 2000} {
		b.Run(fmt.Sprint(lots, " lots"), func(b *testing.B) {
			a, book, now := wealthy(b, lots)
			command := rules.Use{Meter: "ping", Quantity: 1}
			b.ReportAllocs()
			for b.Loop() {
				rules.Settle(a, book, now)
				facts, err := command.Decide(a, book, now)
				if err != nil {
					b.Fatal(err)
				}
				for _, f := range facts {
					a.Evolve(f.Event, f.At)
				}
			}
		})
	}
}
