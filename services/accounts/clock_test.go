package accounts

import (
	"errors"
	"testing"
	"time"
)

// A clock that falls far behind the journal stops decisions instead of making up times; a little is
// forgiven, and time never goes backwards.
func TestAClockBehindTheJournalStopsDecisions(t *testing.T) {
	latest := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	clock := NewTestClock(latest.Add(-5*time.Second - 1))
	shard := newShardTime(clock, latest)
	if now, err := shard.now(); !errors.Is(err, ErrClock) {
		t.Errorf("decided at %s, %v", now, err)
	}
	if err := clock.Set(latest.Add(-5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if now, err := shard.now(); err != nil || !now.Equal(latest) {
		t.Errorf("five seconds behind: decided at %s, %v", now, err)
	}
	if err := clock.Set(latest.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if now, err := shard.now(); err != nil || !now.Equal(latest.Add(time.Second)) {
		t.Errorf("decided at %s, %v", now, err)
	}
}

// A wall clock that jumps ahead stops decisions, and nothing looks expired, until it is right again or confirmed.
func TestAWallClockThatJumpsAheadStopsDecisions(t *testing.T) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	wall, elapsed := noon, time.Duration(0)
	clock := NewClock(func() time.Time { return wall }, func() time.Duration { return elapsed })
	shard := newShardTime(clock, noon.Add(-time.Hour))
	decided := func(what string, want time.Time) {
		t.Helper()
		if now, err := shard.now(); err != nil || !now.Equal(want) || !clock.Now().Equal(want) {
			t.Errorf("%s: decided at %s, %v; it shows %s, want %s", what, now, err, clock.Now(), want)
		}
	}
	stopped := func(what string, shows time.Time) {
		t.Helper()
		if now, err := shard.now(); !errors.Is(err, ErrClock) || !clock.Now().Equal(shows) {
			t.Errorf("%s: decided at %s, %v; it shows %s, want %s", what, now, err, clock.Now(), shows)
		}
	}
	decided("at the start", noon)
	wall, elapsed = noon.Add(time.Hour+time.Minute), time.Minute
	decided("an hour ahead", wall)
	wall, elapsed = noon.Add(24*time.Hour), 2*time.Hour
	stopped("a day ahead", noon.Add(2*time.Hour))
	wall = noon.Add(2 * time.Hour)
	decided("set right", wall)
	wall = noon.Add(24 * time.Hour)
	stopped("again", noon.Add(2*time.Hour))
	clock.Confirm()
	decided("confirmed", wall)
	wall = wall.Add(2 * time.Hour)
	stopped("ahead of what was confirmed", noon.Add(24*time.Hour))
}

// A wall clock that falls back stops decisions until it is right again or confirmed; confirmed, time stands still
// in the journal until the clock has come to it, and another fall stops decisions again.
func TestAWallClockThatFallsBackStopsDecisions(t *testing.T) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	wall, elapsed := noon, time.Duration(0)
	clock := NewClock(func() time.Time { return wall }, func() time.Duration { return elapsed })
	shard := newShardTime(clock, noon)
	for _, step := range []struct {
		what    string
		wall    time.Time
		confirm bool
		passed  time.Duration
		want    time.Time // zero: stopped
	}{
		{what: "at the start", wall: noon, want: noon},
		{what: "a little", wall: noon.Add(-5 * time.Second), want: noon},
		{what: "an hour", wall: noon.Add(-time.Hour)},
		{what: "set right", wall: noon.Add(time.Second), want: noon.Add(time.Second)},
		{what: "an hour again", wall: noon.Add(-time.Hour)},
		{what: "confirmed", wall: noon.Add(-time.Hour), confirm: true, want: noon.Add(time.Second)},
		{what: "still behind", wall: noon.Add(-time.Minute), want: noon.Add(time.Second)},
		{what: "come to it", wall: noon.Add(time.Minute), passed: 2 * time.Hour, want: noon.Add(time.Minute)},
		{what: "another fall", wall: noon.Add(-time.Hour), passed: 2 * time.Hour},
	} {
		wall, elapsed = step.wall, step.passed
		if step.confirm {
			clock.Confirm()
		}
		now, err := shard.now()
		if step.want.IsZero() != errors.Is(err, ErrClock) || !now.Equal(step.want) {
			t.Errorf("%s: decided at %s, %v; want %s", step.what, now, err, step.want)
		}
	}
}
