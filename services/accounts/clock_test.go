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
	shard := shardTime{clock: clock, last: latest}
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

// A wall clock that runs away from the monotonic one stops decisions until it is confirmed.
func TestAWallClockThatJumpsAheadStopsDecisions(t *testing.T) {
	clock := NewSystemClock()
	if err := clock.Check(); err != nil {
		t.Fatal(err)
	}
	clock.trust = -maxAhead - time.Second // as if the wall clock had gained so much since the start
	if err := clock.Check(); !errors.Is(err, ErrClock) {
		t.Errorf("an hour ahead: %v", err)
	}
	clock.Confirm()
	if err := clock.Check(); err != nil {
		t.Errorf("confirmed: %v", err)
	}
}
