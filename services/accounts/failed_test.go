package accounts

import (
	"errors"
	"log/slog"
	"testing"
)

// A shard that failed with a full commit still refuses what waits, the sweep's calls included: nothing
// else would wake it.
func TestAFailedShardDoesNotSleepBesideCallsThatWait(t *testing.T) {
	s := &Shard{log: slog.New(slog.DiscardHandler), cache: newCache(1), recent: newRecent(), open: newCommit(nil)}
	s.cfg.setDefaults()
	s.open.size = s.cfg.CommitTarget
	s.fail(errors.New("fenced"))
	s.low = append(s.low, &call{requests: make([]Request, 1), answers: make([]Answer, 1), done: make(chan struct{}, 1), sweep: true})
	if s.idle() {
		t.Error("it sleeps, and no later call wakes it: the queue was not empty when that came")
	}
}
