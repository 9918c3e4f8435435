package accounts

import (
	"fmt"
	"runtime"
)

// maxApplying is how many acknowledged commits may wait to be applied, beside those in flight.
const maxApplying = 2

// apply is the third goroutine of a shard: it answers commits as soon as they are durable, and writes
// them to the view, in order. So nobody who charges waits for Pebble, and the loop decides on meanwhile; who
// reads waits (caughtUp) until the view has what was answered. It ends when the loop closes toApply.
func (s *Shard) apply() {
	defer close(s.appliedAll)
	var fault error
	for o := range s.toApply {
		s.trap(TrappedAcknowledged)
		if fault == nil {
			if o.books != nil {
				s.shared.Store(o.books)
			}
			s.durable.Store(o.sequence)
			s.answerAll(o, nil)
			runtime.Gosched() // who was answered asks again, while the view is written
			if fault = o.stage.Commit(o.head); fault != nil {
				// What was answered cannot be read: better no answer than an old one.
				s.view.Break(fault)
			}
		} else {
			s.answerAll(o, fmt.Errorf("%w: apply commit %d to the view: %w", ErrUnavailable, o.sequence, fault))
		}
		o.fault = fault
		s.applies.L.Lock()
		s.head.Store(o.sequence)
		s.applies.L.Unlock()
		s.applies.Broadcast()
		s.trap(TrappedApplied)
		if s.cfg.Feed != nil && fault == nil {
			s.cfg.Feed(o.head, o.entries, o.body)
		}
		s.mu.Lock()
		s.applied = append(s.applied, o)
		s.mu.Unlock()
		s.arrived.Store(true)
		s.nudge()
	}
}

func (s *Shard) trap(point string) {
	if s.cfg.Trap != nil {
		s.cfg.Trap(point)
	}
}

// caughtUp returns when the view shows everything that was answered before the call.
func (s *Shard) caughtUp() {
	answered := s.durable.Load()
	if s.head.Load() >= answered {
		return
	}
	s.applies.L.Lock()
	for s.head.Load() < answered {
		s.applies.Wait()
	}
	s.applies.L.Unlock()
}
