package journal_test

import (
	"context"
	"errors"
	"testing"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// A rival takes the place that the first of two appends expects. Then the second
// one's expected sequence is there: it must be refused all the same.
func TestStaleWriterIsFencedWithEverythingItHasInFlight(t *testing.T) {
	s := startBus(t, bus.Config{})
	stale := open(t, connect(t, s), journal.Config{})
	fill(t, stale, 2)
	rival := open(t, connect(t, s), journal.Config{Name: acme})
	taken, err := rival.TakeOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	first, second, third := tryAppend(stale, "[1]"), tryAppend(stale, "[2]"), tryAppend(stale, "[3]")
	for i, outcomes := range []<-chan outcome{first, second, third} {
		if o := await(t, outcomes); !errors.Is(o.err, journal.ErrFenced) {
			t.Errorf("append %d: %+v", i+1, o)
		}
	}
	if err := stale.Append([]byte("[]"), nil); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("appending after that: %v", err)
	}
	if err := stale.State().Err; !errors.Is(err, journal.ErrFenced) {
		t.Errorf("the state after that: %v", err)
	}
	commits, err := readAll(t.Context(), rival, 1)
	if err != nil || len(commits) != 3 || commits[2].Head != taken {
		t.Fatalf("the journal has %d commits: %v", len(commits), err)
	}
	fill(t, rival, 3)
	reopened := open(t, connect(t, s), journal.Config{Name: acme})
	if taken, err := reopened.TakeOver(t.Context()); err != nil || taken.Sequence != 7 {
		t.Errorf("opened again, it took over at %+v: %v", taken, err)
	}
}

func TestTakeOverIsFencedToo(t *testing.T) {
	s := startBus(t, bus.Config{})
	one := open(t, connect(t, s), journal.Config{})
	two := open(t, connect(t, s), journal.Config{Name: acme})
	if _, err := one.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := two.TakeOver(t.Context()); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("the second one to take over: %v", err)
	}
}

func TestTakeOverSyncsBeforeItAppends(t *testing.T) {
	s := startBus(t, bus.Config{})
	broken := errors.New("disk is on fire")
	var j *journal.Journal
	j = open(t, connect(t, s), journal.Config{Name: acme, Create: true, SyncStore: func(ctx context.Context) error {
		if j.State().Pending != 0 || j.Head().Sequence != 0 {
			t.Error("something was appended before the sync")
		}
		if err := bus.SyncDir(ctx, s.StoreDir()); err != nil {
			return err
		}
		return broken
	}})
	if _, err := j.TakeOver(t.Context()); !errors.Is(err, broken) {
		t.Errorf("took over with a failed sync: %v", err)
	}
	if commits, err := readAll(t.Context(), j, 1); err != nil || len(commits) != 0 {
		t.Errorf("%d commits after a failed sync: %v", len(commits), err)
	}
}
