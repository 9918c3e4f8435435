package accounts

import (
	"context"
	"errors"
	"log/slog"
	"testing"
)

// Requests whose callers gave up still wait, and count: a shard that cannot write must not gather them
// without bound.
func TestWhoGaveUpStillCounts(t *testing.T) {
	s := &Shard{log: slog.New(slog.DiscardHandler), cache: newCache(1), recent: newRecent(), open: newCommit(nil), wake: make(chan struct{}, 1)}
	s.cfg.QueueLimit = 3
	s.cfg.setDefaults()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if answer := s.Do(gone, Request{Account: "a"}); !errors.Is(answer.Err, ErrUnavailable) {
			t.Fatalf("answered %+v", answer)
		}
	}
	if s.waiting.Load() != 3 || len(s.queue) != 3 {
		t.Fatalf("%d wait, %d are in the queue", s.waiting.Load(), len(s.queue))
	}
	s.collect()
	s.refuse(ErrUnavailable)
	if s.waiting.Load() != 0 {
		t.Errorf("%d wait after all were answered", s.waiting.Load())
	}
}
