package accounts

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/services/rules"
)

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
		s := &Shard{open: newCommit(nil), sent: make([]*commit, test.sent), patience: newPatience()}
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
	s := &Shard{open: newCommit(nil), sent: make([]*commit, 1), enough: enoughToWake, patience: newPatience()}
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

// What needs no ack is answered though one is late, and not only once seven others wait as well.
func TestWhatNeedsNoAckDoesNotWaitForOne(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	b := book(t, now)
	sent := newCommit(nil)
	s := &Shard{
		log: slog.New(slog.DiscardHandler), cache: newCache(4), recent: newRecent(), open: newCommit(nil), sent: []*commit{sent}, books: b, ids: newIDs(),
		time: newShardTime(NewTestClock(now), now), patience: newPatience(), wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		toAppend: make(chan part, 1), appendedAll: make(chan struct{}), toApply: make(chan *commit, 1), appliedAll: make(chan struct{}),
	}
	s.cfg.setDefaults()
	s.recent.until = now.Add(time.Hour)
	s.cache.put("a", &cached{account: open(t, "a", b, now)})
	s.open.events = 1 // and waits for the ack of the one that was sent
	ctx, stop := context.WithCancel(t.Context())
	go s.appendAll()
	go s.apply()
	go s.run(ctx)
	for asleep := false; !asleep; runtime.Gosched() {
		s.mu.Lock()
		asleep = s.enough == enoughToWake
		s.mu.Unlock()
	}
	patient, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var refusal *rules.Refusal
	if answer := s.Do(patient, Request{Account: "a", Command: rules.Use{Meter: "no such meter", Quantity: 1}}); !errors.As(answer.Err, &refusal) {
		t.Errorf("answered %v", answer.Err)
	}
	s.acked(sent, journal.Head{}, errors.New("over"))
	stop()
	<-s.stopped
}
