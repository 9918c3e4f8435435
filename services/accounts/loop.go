package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"creditstream/events/journal"
)

// Bounds in bytes, of what was measured.
const (
	maxEntry     = journal.MaxBody / 2                   // of an entry, and what was due before it
	mostTogether = journal.MaxBody - len("[") - len("]") // of the entries of a commit
)

// ErrUnavailable says that the outcome of a request is unknown, or that the shard does not write at the
// moment. The same request with the same key is always safe.
var ErrUnavailable = errors.New("unavailable")

// Conflict says that the key was used before for a request of other content.
type Conflict struct{ Key string }

// Error names the key.
func (c *Conflict) Error() string {
	return fmt.Sprintf("idempotency_conflict: key %q was used before for another request", c.Key)
}

// run is the loop. It returns when ctx ends and nothing is in flight any more, or when the journal
// refused an append.
func (s *Shard) run(ctx context.Context) {
	defer close(s.stopped)
	defer s.patience.Stop()
	stop := ctx.Done()
	for {
		acks, applied := s.collect()
		for i := range acks {
			s.acknowledged(&acks[i])
		}
		for _, o := range applied {
			s.retire(o)
		}
		if s.failed == nil {
			s.decideWaiting()
			s.send()
		} else {
			s.refuseWaiting()
		}
		if stop == nil && len(s.sent)+len(s.applying) == 0 && (s.failed != nil || s.open.events == 0) {
			s.close(ErrUnavailable)
			return
		}
		if !s.idle() {
			continue
		}
		s.sendEarly()
		select {
		case <-s.wake:
		case <-s.patience.C:
		case <-stop:
			stop = nil
		}
	}
}

// collect takes what arrived since the last turn.
func (s *Shard) collect() ([]ack, []*commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlog = append(s.backlog, s.queue...)
	clear(s.queue)
	s.queue, s.queued = s.queue[:0], 0
	if len(s.backlog) == 0 {
		s.backlog, s.low = append(s.backlog, s.low...), s.low[:0]
	}
	s.arrived.Store(false)
	s.acks, s.taken = s.taken[:0], s.acks
	s.applied, s.toRetire = s.toRetire[:0], s.applied
	return s.taken, s.toRetire
}

// enoughToWake is how many requests wake the loop while the open commit has to wait for an ack anyway: to wake it for
// each of them costs more than to decide it.
const enoughToWake = 8

// patience is how long the loop sleeps at most while fewer may wait: what needs no ack, a replay or a refusal, should not
// wait for one that does not come.
const patience = 5 * time.Millisecond

func newPatience() *time.Timer {
	t := time.NewTimer(patience)
	t.Stop()
	return t
}

// idle reports whether there is nothing to do before somebody wakes the loop.
func (s *Shard) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.acks)+len(s.applied) > 0 {
		return false
	}
	s.enough = 1
	if s.open.events > 0 && len(s.sent) >= s.cfg.InFlight {
		s.enough = enoughToWake
		s.patience.Reset(patience)
	}
	return s.full() || s.queued < s.enough && len(s.backlog)+len(s.low) == 0 || s.pausing()
}

// full reports whether the open commit has to be sent before more is decided.
func (s *Shard) full() bool { return s.open.closed || s.open.size >= s.cfg.CommitTarget }

// pausing reports whether the next call waits for everything under way to be answered.
func (s *Shard) pausing() bool {
	return len(s.backlog) > 0 && s.backlog[0].pause != nil && (len(s.sent)+len(s.applying) > 0 || s.open.events > 0)
}

// decisionsAtOnce is how many requests are decided before the loop looks whether the journal has room for
// the open commit: the disk should not wait for a large batch to be decided.
const decisionsAtOnce = 32

// decideWaiting decides what waits, until the open commit is full or the journal has room for it.
func (s *Shard) decideWaiting() {
	if len(s.backlog) == 0 {
		return
	}
	now, err := s.time.now()
	if err != nil && s.backlog[0].pause == nil {
		s.log.Warn("no decisions", "reason", err)
		s.refuse(fmt.Errorf("%w: %w", ErrUnavailable, err))
		return
	}
	if err == nil && !now.Before(s.recent.until) {
		if err := s.recent.raise(now, s.view.LastKey); err != nil {
			s.fail(fmt.Errorf("find the greatest idempotency key: %w", err))
			return
		}
	}
	interrupted := false
	for len(s.backlog) > 0 && !s.full() && !s.pausing() && s.failed == nil && !interrupted {
		c := s.backlog[0]
		if err != nil && c.pause == nil {
			return // only what decides needs the time; it is refused at the next turn
		}
		switch {
		case c.pause != nil:
			c.answers[0].Err = c.pause()
			s.cache.clear()
			s.answered(c)
		case c.publish != nil:
			if !s.publish(c, now) {
				return
			}
		default:
			n := len(c.requests) // once the last one is answered the call is somebody else's
			for s.next < n && !s.full() && s.failed == nil {
				if s.decided >= s.looked {
					s.looked = s.decided + s.ahead.look(s.cache, s.backlog, s.next)
				}
				if s.decide(c, s.next, now) {
					s.next++
				}
				if s.decided++; s.decided%decisionsAtOnce == 0 && s.arrived.Load() {
					interrupted = true
					break
				}
			}
			if s.next < n {
				return
			}
		}
		s.next = 0
		s.backlog[0] = nil
		s.backlog = s.backlog[1:]
	}
	if len(s.backlog) == 0 {
		s.backlog = s.backlog[:0]
	}
}

// fail stops the shard: the state in memory can no longer be trusted to be what the journal says. All
// who wait get an unknown outcome; the shard writes again after a restart, which reads the journal.
func (s *Shard) fail(reason error) {
	if s.failed != nil {
		return
	}
	s.failed = fmt.Errorf("%w: %w", ErrUnavailable, reason)
	s.mu.Lock()
	s.gaveUp = true
	s.mu.Unlock()
	s.log.Error("the shard stopped writing", "reason", reason)
	for _, o := range append(s.sent, s.open) {
		s.answerAll(o, s.failed)
	}
	if stage := s.open.stage; stage != nil {
		stage.Reset()
		s.stages = append(s.stages, stage)
	}
	s.sent, s.open, s.held = nil, newCommit(nil), nil // a full one would let the loop sleep while calls wait
	s.cache.clear()
	s.state.Store(&s.failed)
}

func (s *Shard) refuseWaiting() { s.refuse(s.failed) }

// refuse answers everything that waits with a fault.
func (s *Shard) refuse(reason error) {
	for _, c := range s.backlog {
		if c.requests == nil {
			s.reply(c, 0, Answer{Err: reason})
			continue
		}
		for n := len(c.requests); s.next < n; s.next++ {
			s.reply(c, s.next, Answer{Err: reason})
		}
		s.next = 0
	}
	clear(s.backlog)
	s.backlog = s.backlog[:0]
}

// close refuses what still comes in after the loop has ended.
func (s *Shard) close(reason error) {
	s.mu.Lock()
	s.closed = true
	s.backlog = append(append(s.backlog, s.queue...), s.low...)
	s.queue, s.low = nil, nil
	s.mu.Unlock()
	s.refuse(reason)
	close(s.toAppend)
	<-s.appendedAll
	close(s.toApply)
	<-s.appliedAll
	for _, stage := range s.stages {
		if err := stage.Close(); err != nil {
			s.log.Warn("close a stage", "error", err)
		}
	}
}
