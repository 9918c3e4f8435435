package accounts

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
	wall    func() time.Time
	elapsed func() time.Duration // by the monotonic clock, since start
	start   time.Time
	mu      sync.Mutex
	trust   time.Duration // a jump that an operator confirmed
	// confirmed counts what an operator confirmed: each shard accepts, once for each, that it is ahead of the clock.
	confirmed uint64
}

// How far a clock may stray before writes stop (DESIGN.md §3).
const (
	maxAhead  = time.Hour
	maxBehind = 5 * time.Second
)

// ErrClock says that the wall clock cannot be trusted with decisions at the moment.
var ErrClock = errors.New("the wall clock cannot be trusted")

// NewSystemClock starts measuring now.
func NewSystemClock() *SystemClock {
	start := time.Now()
	return NewClock(time.Now, func() time.Duration { return time.Since(start) })
}

// NewClock is a SystemClock that is told the time: wall is what the machine says it is, elapsed what has passed
// since now by a clock that nobody can set.
func NewClock(wall func() time.Time, elapsed func() time.Duration) *SystemClock {
	return &SystemClock{wall: wall, elapsed: elapsed, start: wall().Round(0).Add(-elapsed())}
}

// Now is the machine's wall clock. While that cannot be trusted it is the time that has passed since it could:
// nothing looks expired because a clock jumped.
func (c *SystemClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, ahead := c.read()
	if ahead > maxAhead {
		now = now.Add(-ahead)
	}
	return now
}

// read is the wall clock, and how far it is ahead of where it should be. Called with mu held.
func (c *SystemClock) read() (now time.Time, ahead time.Duration) {
	now = c.wall().Round(0).UTC()
	return now, now.Sub(c.start) - c.elapsed() - c.trust
}

// Check returns ErrClock while the wall clock is more than an hour ahead of the monotonic one.
func (c *SystemClock) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, ahead := c.read(); ahead > maxAhead {
		return fmt.Errorf("%w: it shows %s, %v more than has passed since the start; set it right, or confirm it with credits clock --confirm", ErrClock, now.Format(time.RFC3339), ahead.Round(time.Second))
	}
	return nil
}

// Confirm accepts the wall clock as it stands: an operator's word that it is right.
func (c *SystemClock) Confirm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ahead := c.read()
	c.trust += ahead
	c.confirmed++
}

func (c *SystemClock) confirmations() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirmed
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
	clock     Clock
	last      time.Time // of the latest entry
	confirmed uint64    // the confirmations of the clock that were heeded
	accepted  time.Time // last, when the operator confirmed a clock that is behind it
	problem   atomic.Pointer[error]
}

func newShardTime(clock Clock, latest time.Time) *shardTime {
	s := &shardTime{clock: clock, last: latest}
	if c, ok := clock.(*SystemClock); ok {
		s.confirmed = c.confirmations()
	}
	return s
}

// now returns the time of the next decision, never before the latest entry of the journal.
func (s *shardTime) now() (time.Time, error) {
	now, err := s.next()
	if err != nil {
		s.problem.Store(&err)
	} else if s.problem.Load() != nil {
		s.problem.Store(nil)
	}
	return now, err
}

func (s *shardTime) next() (time.Time, error) {
	if c, ok := s.clock.(*SystemClock); ok {
		if err := c.Check(); err != nil {
			return time.Time{}, err
		}
		if n := c.confirmations(); n != s.confirmed {
			s.confirmed, s.accepted = n, s.last
		}
	}
	now := s.clock.Now()
	if now.Before(s.last) {
		if behind := s.last.Sub(now); behind > maxBehind && !s.last.Equal(s.accepted) {
			return time.Time{}, fmt.Errorf("%w: it is %v behind the latest entry of the journal; set it right, or confirm it with credits clock --confirm", ErrClock, behind.Round(time.Second))
		}
		now = s.last // stands still until the clock has come to it
	}
	s.last = now
	return now, nil
}

// ClockProblem is why the shard could not tell the time when it was asked last, or nil.
func (s *Shard) ClockProblem() error {
	if problem := s.time.problem.Load(); problem != nil {
		return *problem
	}
	return nil
}
