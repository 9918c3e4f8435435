package accounts

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Clock tells the time of decisions.
type Clock interface {
	// Now is the wall clock, in UTC.
	Now() time.Time
}

// SystemClock is the machine's clock. It compares the wall clock with the monotonic one, so that a
// wall clock that jumps ahead stops writes instead of expiring every lot at once.
type SystemClock struct {
	start time.Time
	mu    sync.Mutex
	trust time.Duration // a jump that an operator confirmed
}

// How far a clock may stray before writes stop (DESIGN.md §3).
const (
	maxAhead  = time.Hour
	maxBehind = 5 * time.Second
)

// ErrClock says that the wall clock cannot be trusted with decisions at the moment.
var ErrClock = errors.New("the wall clock cannot be trusted")

// NewSystemClock starts measuring now.
func NewSystemClock() *SystemClock { return &SystemClock{start: time.Now()} }

// Now is the machine's wall clock.
func (c *SystemClock) Now() time.Time { return time.Now().Round(0).UTC() }

// Check returns ErrClock while the wall clock is more than an hour ahead of the monotonic one.
func (c *SystemClock) Check() error {
	now := time.Now()
	ahead := now.Round(0).Sub(c.start.Round(0)) - now.Sub(c.start)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ahead-c.trust > maxAhead {
		return fmt.Errorf("%w: it is %v ahead of the monotonic clock since the start; set it right, or restart to confirm it", ErrClock, (ahead - c.trust).Round(time.Second))
	}
	return nil
}

// Confirm accepts the wall clock as it stands.
func (c *SystemClock) Confirm() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trust = now.Round(0).Sub(c.start.Round(0)) - now.Sub(c.start)
}

// TestClock stands still between calls of Set and only moves forward.
type TestClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewTestClock starts at the instant.
func NewTestClock(now time.Time) *TestClock { return &TestClock{now: now.UTC()} }

// Now is the instant that was set last.
func (c *TestClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock. It refuses to move it back.
func (c *TestClock) Set(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.now) {
		return fmt.Errorf("the test clock only moves forward: it shows %s", c.now.Format(time.RFC3339Nano))
	}
	c.now = now.UTC()
	return nil
}

// shardTime is the clock as one shard goes by it: never backwards.
type shardTime struct {
	clock Clock
	last  time.Time // of the latest entry
}

// now returns the time of the next decision, never before the latest entry of the journal.
func (s *shardTime) now() (time.Time, error) {
	if c, ok := s.clock.(*SystemClock); ok {
		if err := c.Check(); err != nil {
			return time.Time{}, err
		}
	}
	now := s.clock.Now()
	if now.Before(s.last) {
		if behind := s.last.Sub(now); behind > maxBehind {
			return time.Time{}, fmt.Errorf("%w: it is %v behind the latest entry of the journal; set it right", ErrClock, behind)
		}
		now = s.last
	}
	s.last = now
	return now, nil
}
