package pages

import (
	"testing"
	"time"

	"creditstream/events/credit"
)

func TestProject(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	in := func(days int) time.Time { return now.AddDate(0, 0, days) }
	for _, c := range []struct {
		name     string
		supplies []supply
		used     credit.Amount
		days     int64
		until    time.Time
		want     forecast
	}{
		{"ten a day out of a hundred", []supply{{100, time.Time{}}}, 140, 14, time.Time{}, forecast{Runs: true, Out: in(10), Horizon: in(366)}},
		{"to the last credit", []supply{{101, time.Time{}}}, 140, 14, time.Time{}, forecast{Runs: true, Out: in(10), Horizon: in(366)}},
		{"a third a day adds up", []supply{{2, time.Time{}}}, 1, 3, time.Time{}, forecast{Runs: true, Out: in(8), Horizon: in(366)}},
		{"what ends first goes first, and the rest of it is lost", []supply{{100, in(5)}, {30, time.Time{}}}, 10, 1, time.Time{}, forecast{Runs: true, Out: in(8), Wasted: 50, Horizon: in(366)}},
		{"the renewal is nearer", []supply{{1000, in(20)}}, 10, 1, in(20), forecast{Horizon: in(20)}},
		{"more than a year", []supply{{1000, time.Time{}}}, 1, 1, time.Time{}, forecast{Horizon: in(366)}},
		{"all of it ends", []supply{{1000, in(3)}}, 1, 1, time.Time{}, forecast{Runs: true, Out: in(3), Wasted: 997, Horizon: in(366)}},
	} {
		if got := project(c.supplies, c.used, c.days, now, c.until); got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestBar(t *testing.T) {
	got := bar(3, []share{{"used", 1}, {"held", 0}, {"left", 2}})
	want := []part{{"used", "0%", "33.33%"}, {"left", "33.33%", "66.67%"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}
