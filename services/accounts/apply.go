package accounts

import "fmt"

// maxApplying is how many acknowledged commits may wait to be applied, beside those in flight.
const maxApplying = 2

// apply is the second goroutine of a shard: it writes acknowledged commits to the view, in order, and
// then answers. So the loop decides on while Pebble writes. It ends when the loop closes toApply.
func (s *Shard) apply() {
	defer close(s.appliedAll)
	var fault error
	for o := range s.toApply {
		if s.cfg.Trap != nil {
			s.cfg.Trap(TrappedAcknowledged)
		}
		if fault == nil {
			fault = o.stage.Commit(o.head)
		}
		if s.cfg.Trap != nil {
			s.cfg.Trap(TrappedApplied)
		}
		o.fault = fault
		if fault != nil {
			s.answerAll(o, fmt.Errorf("%w: apply commit %d to the view: %w", ErrUnavailable, o.sequence, fault))
		} else {
			if o.books != nil {
				s.shared.Store(o.books)
			}
			s.head.Store(o.sequence)
			s.answerAll(o, nil)
			if s.cfg.Feed != nil {
				s.cfg.Feed(o.head, o.entries, o.body)
			}
		}
		s.mu.Lock()
		s.applied = append(s.applied, o)
		s.mu.Unlock()
		s.arrived.Store(true)
		s.nudge()
	}
}
