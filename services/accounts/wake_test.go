package accounts

import "testing"

// While the open commit waits for an ack anyway, the loop is woken by some requests together and not by each; at all other
// times by the first one, and by what has to be done beside requests always.
func TestTheLoopIsWokenByEnough(t *testing.T) {
	for _, test := range []struct {
		name       string
		sent, open int
		each       int // requests of a call
		wakes      int // which call wakes the loop, counted from 1
		calls      int
	}{
		{name: "nothing is under way", each: 1, wakes: 1, calls: 10},
		{name: "one is under way, and nothing waits for it", sent: 1, each: 1, wakes: 1, calls: 10},
		{name: "the open commit waits for an ack", sent: 1, open: 1, each: 1, wakes: enoughToWake, calls: 2 * enoughToWake},
		{name: "batches", sent: 1, open: 1, each: enoughToWake, wakes: 1, calls: 3},
		{name: "a batch that is not enough", sent: 1, open: 1, each: enoughToWake - 1, wakes: 2, calls: 3},
	} {
		s := &Shard{open: newCommit(nil), sent: make([]*commit, test.sent)}
		s.cfg.setDefaults()
		s.open.events = uint32(test.open)
		if !s.idle() {
			t.Errorf("%s: it does not sleep while there is nothing to do", test.name)
		}
		for i := range test.calls {
			awake, taken := s.enqueue(&call{}, test.each)
			if !taken || awake == (i+1 == test.wakes) {
				t.Errorf("%s: call %d: awake %t, taken %t", test.name, i+1, awake, taken)
			}
			if sleeps := i+1 < test.wakes; s.idle() != sleeps {
				t.Errorf("%s: with %d calls it sleeps: %t", test.name, i+1, !sleeps)
			}
		}
		if s.collect(); len(s.backlog) != test.calls || s.queued != 0 {
			t.Errorf("%s: it takes %d of %d", test.name, len(s.backlog), test.calls)
		}
	}
	s := &Shard{open: newCommit(nil), sent: make([]*commit, 1), enough: enoughToWake}
	s.cfg.setDefaults()
	s.open.events = 1
	if awake, taken := s.enqueue(&call{sweep: true}, 1); awake || !taken || s.idle() {
		t.Error("it sleeps beside what fell due")
	}
	s.closed = true
	if _, taken := s.enqueue(&call{}, 1); taken {
		t.Error("it takes a request after its end")
	}
}
