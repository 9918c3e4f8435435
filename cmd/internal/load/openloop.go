package load

import (
	"context"
	"runtime"
	"time"
)

// In an open loop requests are due at fixed instants. A closed loop asks less often while the server is
// slow, and so never sees what waits meanwhile ("coordinated omission"); here the wait for a client that is
// free counts as latency, and what could not even be started is counted and, with the time that it waited
// in vain, in the latencies.

const (
	// lateAfter is how long after it was due a request counts as late. What the operating system takes to
	// wake somebody up is less.
	lateAfter = time.Millisecond
	// giveUpAfter is how long after the end of a slice requests that were due in it are still started.
	giveUpAfter = longestSlice
)

// due is how many requests a slice has at most.
func (r *run) due() int {
	return int(r.cfg.slice().Seconds()*float64(r.cfg.Rate)/float64(r.cfg.Batch)) + 1
}

// pace announces each request when it is due, and closes the channel at the end of the slice. The channel
// has room for all: a slow client delays nobody. It has a
// thread of its own, for sleep.
func pace(ctx context.Context, start, until time.Time, every time.Duration, due chan<- time.Time) {
	defer close(due)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for at := start; at.Before(until) && ctx.Err() == nil; at = at.Add(every) {
		if wait := time.Until(at); wait > 0 {
			sleep(wait)
		}
		due <- at
	}
}

// keepPace starts what is due when this client is free, until the slice's requests are answered or it is
// too late for those that are left.
func (c *client) keepPace(ctx context.Context, due <-chan time.Time, giveUp time.Time) error {
	for at := range due {
		now := time.Now()
		if now.After(giveUp) {
			c.tallies.note(c.number, func(m *measured) {
				m.dropped++
				m.add(now.Sub(at).Microseconds(), 0, false)
			})
			continue
		}
		n, err := c.once(ctx, now)
		if err != nil {
			return err
		}
		took := time.Since(at).Microseconds()
		c.tallies.note(c.number, func(m *measured) {
			if now.Sub(at) > lateAfter {
				m.late++
			}
			m.add(took, n, c.spent)
		})
	}
	return nil
}
