package projections_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestViewsFollowTheirJournal(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 10))
	w.write(20, 10)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	s.check(t, w)
	for _, c := range w.write(20, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, w)
	s.check(t, w)

	// What is not fed is read from the journal as soon as something later is.
	missed := w.write(5, 10)
	s.runner.Feed(acme, missed[4])
	s.await(t, w)
	s.check(t, w)

	statuses, err := s.runner.Status()
	if err != nil || len(statuses) != len(folds) {
		t.Fatalf("status %+v, %v", statuses, err)
	}
	for _, status := range statuses {
		if status.Lag != 0 || status.Position != w.journal.Head().Sequence || status.Problem != "" || status.Generation == 0 {
			t.Errorf("status %+v", status)
		}
	}
}

func TestManyTenantsShareTheGoroutines(t *testing.T) {
	nc := connect(t)
	s := newStand(t, vfs.NewMem())
	var writers []*writer
	for i := range 40 {
		w := newWriter(t, nc, journal.Name{Tenant: fmt.Sprintf("tenant-%d", i)}, trial.New(uint64(i), 3))
		s.add(t, w, nil)
		writers = append(writers, w)
	}
	for _, w := range writers {
		for _, c := range w.write(2, 5) {
			s.runner.Feed(w.journal.Name(), c)
		}
	}
	for _, w := range writers {
		s.await(t, w)
		s.check(t, w)
	}
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	created := func(by string) int { return strings.Count(string(stacks), "created by creditstream/projections."+by) }
	// What a check folds beside the views has stores of its own.
	if n := created("") - created("(*merges)"); n > 2*len(folds) {
		t.Errorf("%d goroutines for 40 tenants' views", n)
	}
}

// A view of another journal is thrown away and built anew. One beyond the end of its own is a witness that the
// journal lost its end: nothing is built on that.
func TestViewThatIsNotOfTheJournalIsBuiltAnew(t *testing.T) {
	other := newWriter(t, connect(t), acme, trial.New(1, 5))
	other.write(10, 10)
	fs := vfs.NewMem()
	s := newStand(t, fs)
	s.add(t, other, nil)
	s.await(t, other)
	s.runner.Close()
	for name, store := range s.stores {
		if err := store.Close(); err != nil {
			t.Fatal(name, err)
		}
	}
	clear(s.stores)

	w := newWriter(t, connect(t), acme, trial.New(2, 5))
	w.write(3, 10)
	for _, fold := range folds {
		store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.View(acme, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
			t.Fatal(err)
		}
		same(t, fold.Name(), records(t, view), w.want(fold))
		ahead := w.journal.Head()
		ahead.Sequence += 100
		b := view.NewBatch()
		if err := b.Commit(ahead); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		err = projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil)
		if !errors.Is(err, journal.ErrDamaged) || journal.SequenceOf(err) != ahead.Sequence || !strings.Contains(err.Error(), "acme/0") {
			t.Fatalf("%s is ahead of its journal: %v", fold.Name(), err)
		}
		if head, err := view.Checkpoint(); err != nil || head != ahead {
			t.Fatalf("the witness is gone: it is at %+v, %v", head, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// One tenant's nonsense stops one tenant's view, and is named.
func TestNonsenseStopsOneViewOfOneTenant(t *testing.T) {
	nc := connect(t)
	good := newWriter(t, nc, acme, trial.New(1, 5))
	bad := newWriter(t, nc, journal.Name{Tenant: "bad"}, trial.New(2, 5))
	bad.write(2, 5)
	s := newStand(t, vfs.NewMem())
	s.add(t, good, nil)
	s.add(t, bad, nil)
	s.await(t, bad)
	nonsense := credit.Entry{Account: "account-000001", Key: "k", Hash: credit.Hash{1}, Facts: []credit.Fact{{Event: &credit.CreditExpired{Ended: credit.Ended{Lot: "l99", Pool: "extra", Amount: 5}}}}}
	s.runner.Feed(bad.journal.Name(), bad.entry(nonsense))
	err := s.runner.WaitFor(t.Context(), "accounts", bad.journal.Name(), bad.journal.Head().Sequence)
	var found *projections.Nonsense
	if !errors.As(err, &found) || !errors.Is(err, projections.ErrDamaged) || found.Name.Tenant != "bad" || found.At.Sequence != bad.journal.Head().Sequence || !strings.Contains(err.Error(), "l99") {
		t.Fatalf("nonsense: %v", err)
	}
	if view := s.view(t, folds[0], bad.journal.Name()); !errors.Is(view.Err(), projections.ErrDamaged) {
		t.Fatal("the view is served")
	}
	for _, c := range good.write(5, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, good)
	s.check(t, good)
	if err := s.runner.WaitFor(t.Context(), "usage", bad.journal.Name(), bad.journal.Head().Sequence); err != nil {
		t.Fatalf("a view that the nonsense does not concern: %v", err)
	}
}

// gated is a fold whose work waits until it may go on.
type gated struct {
	projections.Fold
	version uint32
	gate    chan struct{}
}

func (g gated) Version() uint32 { return g.version }

func (g gated) Begin(v *projections.View) projections.Work {
	return gatedWork{g.Fold.Begin(v), g.gate}
}

type gatedWork struct {
	projections.Work
	gate chan struct{}
}

func (g gatedWork) Apply(b *projections.Batch, at projections.Position, e *credit.Entry) error {
	<-g.gate
	return g.Work.Apply(b, at, e)
}

// However slow a view is, Feed takes what it is given; what was too much is read from the journal.
func TestFeedNeverBlocks(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.Plain(1, 3))
	store := openStore(t, vfs.NewMem(), folds[2])
	gate := make(chan struct{})
	runner := projections.NewRunner(projections.RunnerConfig{Kinds: []projections.Kind{{Fold: gated{folds[2], 1, gate}, Store: store}}, Linger: -1})
	t.Cleanup(runner.Close)
	if err := runner.Add(w.journal, nil); err != nil {
		t.Fatal(err)
	}
	if err := runner.WaitFor(t.Context(), "usage", acme, 1); err != nil {
		t.Fatal(err)
	}
	for range 5_000 {
		runner.Feed(acme, w.write(1, 1)[0])
	}
	close(gate)
	if err := runner.WaitFor(t.Context(), "usage", acme, w.journal.Head().Sequence); err != nil {
		t.Fatal(err)
	}
	view, err := store.View(acme, 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "usage", records(t, view), w.want(folds[2]))
}

func TestViewOfAnotherVersionIsBuiltAnew(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 5))
	w.write(10, 10)
	store := openStore(t, vfs.NewMem(), folds[2])
	view, err := store.View(acme, folds[2].Version())
	if err != nil {
		t.Fatal(err)
	}
	if err := projections.CatchUp(t.Context(), folds[2], view, w.journal, discard, nil); err != nil {
		t.Fatal(err)
	}
	change(t, view, anyKey(t, view, 'u', 0), []byte("as it was written before"))
	gate := make(chan struct{})
	close(gate)
	newer := gated{folds[2], folds[2].Version() + 1, gate}
	if err := projections.CatchUp(t.Context(), newer, view, w.journal, discard, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "usage", records(t, view), w.want(folds[2]))
	if got := view.Standing().Version; got != newer.version {
		t.Errorf("the view notes version %d", got)
	}
}
