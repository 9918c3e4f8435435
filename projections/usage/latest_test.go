package usage_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/projections/internal/trial"
	"creditstream/projections/usage"
)

// counted is a total as it is counted here, use by use.
type counted struct {
	cycle uint32
	day   usage.Day
	meter string
}

// zones of which each is in another day for a part of the day.
var zones = []string{"Pacific/Auckland", "UTC", "America/Los_Angeles"}

// The totals of the latest day lie elsewhere than those of the days before: however uses come late, days pass, cycles end, zones
// change and meters are more than there is room for, each use counts once, in its place.
func TestUsesCountOnceWhereverTheyLie(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 5))
		want := map[counted]usage.Total{}
		now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
		zone, cycle := time.UTC, credit.Cycle{Number: 1, From: now, To: now.AddDate(0, 1, 0)}
		commits := [][]credit.Entry{{{Account: "a", Facts: []credit.Fact{{At: now, Event: &credit.AccountOpened{Timezone: "UTC", Cycle: cycle}}}}}}
		for range 300 {
			var facts []credit.Fact
			switch rng.IntN(30) {
			case 0:
				name := zones[rng.IntN(len(zones))]
				zone, _ = time.LoadLocation(name)
				cycle = credit.Cycle{Number: cycle.Number + 1, From: now, To: now.AddDate(0, 1, 0)}
				facts = append(facts, credit.Fact{At: now, Event: &credit.CycleRenewed{Cycle: cycle, Timezone: name}})
			case 1, 2:
				now = now.Add(time.Duration(rng.IntN(30)) * time.Hour)
			}
			for range 1 + rng.IntN(4) {
				at := now
				if rng.IntN(6) == 0 {
					at = now.Add(-time.Duration(rng.IntN(60)) * time.Hour)
				}
				u := &credit.UsageRecorded{Meter: fmt.Sprint("meter-", rng.IntN(12)), Quantity: 1 + rng.Int64N(5)}
				for range 1 + rng.IntN(2) {
					u.Draws = append(u.Draws, credit.Draw{Lot: "l1", Pool: "extra", Unit: []string{"", "minutes"}[rng.IntN(2)], Amount: credit.Amount(1 + rng.Int64N(9)), Cycle: 1 + rng.Uint32N(cycle.Number)})
				}
				facts = append(facts, credit.Fact{At: at, Event: u})
				quantity := u.Quantity
				for _, d := range u.Draws {
					place := counted{d.Cycle, usage.DayOf(at, zone), u.Meter}
					sum := want[place]
					sum.Quantity += quantity
					if quantity = 0; d.Unit == "" {
						sum.Credits += d.Amount
					} else {
						sum.Units += d.Amount
					}
					want[place] = sum
				}
			}
			commits = append(commits, []credit.Entry{{Account: "a", Facts: facts}})
			if rng.IntN(4) == 0 { // others, of which one is let go of each time
				commits = append(commits, []credit.Entry{{Account: fmt.Sprint("b", rng.IntN(9)), Facts: facts[len(facts)-1:]}})
			}
		}
		view := open(t)
		if err := trial.Write(usage.Keeping(2), view.View, commits, 3); err != nil {
			t.Fatal(err)
		}
		got := map[counted]usage.Total{}
		for n := uint32(1); n <= cycle.Number; n++ {
			found, err := view.Usage(usage.Query{Account: "a", Cycle: n})
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range found.Groups {
				got[counted{n, g.Day, g.Meter}] = g.Total
			}
		}
		if !maps.Equal(got, want) {
			for place, total := range want {
				if got[place] != total {
					t.Errorf("seed %d: %+v (%s): %+v, and not %+v", seed, place, place.day, got[place], total)
				}
			}
			t.Fatalf("seed %d: %d totals, and not %d", seed, len(got), len(want))
		}
		between(t, view, want, zone)
	}
}

// between asks for the days up to each of the last ones, and from it on.
func between(t *testing.T, view *usage.View, want map[counted]usage.Total, zone *time.Location) {
	t.Helper()
	latest := usage.Day(0)
	for place := range want {
		latest = max(latest, place.day)
	}
	for day := latest - 4; day <= latest+1; day++ {
		var before, since int64
		for place, total := range want {
			if place.day < day {
				before += total.Quantity
			} else {
				since += total.Quantity
			}
		}
		start := time.Date(1970, 1, 1+int(day), 0, 0, 0, 0, zone)
		for _, c := range []struct {
			q    usage.Query
			want int64
		}{{usage.Query{Account: "a", To: start}, before}, {usage.Query{Account: "a", From: start, By: usage.ByMeter}, since}} {
			found, err := view.Usage(c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got int64
			for _, g := range found.Groups {
				got += g.Quantity
			}
			if got != c.want {
				t.Fatalf("%+v, where the latest day is %s: %d, and not %d", c.q, latest, got, c.want)
			}
		}
	}
}

// An account's own record does not grow with its meters: what has no more room has records of its own.
func TestALatestDayHasRoomForSoMany(t *testing.T) {
	var facts []credit.Fact
	for n := range 100 {
		facts = append(facts, credit.Fact{At: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), Event: &credit.UsageRecorded{Meter: fmt.Sprint("meter-", n), Quantity: 1}})
	}
	view := open(t)
	if err := trial.Write(usage.Fold{}, view.View, [][]credit.Entry{{{Account: "a", Facts: facts}}, {{Account: "a", Facts: facts}}}, 1); err != nil {
		t.Fatal(err)
	}
	records, err := trial.Dump(view.View)
	if err != nil || len(records) != 94 { // the checkpoint, the account's with eight totals, and the others
		t.Errorf("%d records, %v", len(records), err)
	}
	if found, err := view.Usage(usage.Query{Account: "a", By: usage.ByDay}); err != nil || len(found.Groups) != 1 || found.Groups[0].Quantity != 200 {
		t.Errorf("%+v, %v", found, err)
	}
}
