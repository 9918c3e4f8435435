package projections_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a runner folds gathers on the shelves of its views. A crash loses what was there, and no more: the views are
// folded on from what the stores had written.
func TestFoldedViewsStandOnShelves(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(4, 10))
	fs := newCrashable()
	s := newStand(t, fs)
	for _, store := range s.stores {
		store.SmallShelves(12 << 10)
	}
	s.add(t, w, nil)
	for range 12 {
		for _, c := range w.write(5, 10) {
			s.runner.Feed(acme, c)
		}
		s.await(t, w)
	}
	for _, fold := range folds {
		view := s.view(t, fold, acme)
		if view.OnShelf() == 0 || s.stores[fold.Name()].Tables() == 0 {
			t.Errorf("%s: %d records are on the shelf, %d tables were written", fold.Name(), view.OnShelf(), s.stores[fold.Name()].Tables())
		}
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	s.check(t, w)
	for _, fold := range folds {
		if behind := afterCrash(t, fold.Name(), left, fold, w); behind == 0 || behind >= w.journal.Head().Sequence {
			t.Errorf("%s is at commit %d of %d after a crash", fold.Name(), behind, w.journal.Head().Sequence)
		}
	}
}

// Records that could not be written are lost to the view, which is folded on from what its store has, whether a commit
// follows or none.
func TestAViewRecoversWhatItsShelfLost(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(5, 10))
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	lose := func() {
		for _, fold := range folds {
			if lost := s.view(t, fold, acme).LoseShelf(errors.New("the disk took nothing")); lost == 0 {
				t.Errorf("%s: nothing was on the shelf", fold.Name())
			}
		}
	}
	for _, c := range w.write(10, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, w)
	lose()
	for _, c := range w.write(1, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, w)
	s.check(t, w)
	for _, c := range w.write(5, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, w)
	lose()
	s.await(t, w)
	s.check(t, w)
}

// Until a view has again what its shelf lost, it says why, whoever waits for it waits, and a rebuild makes it whole at
// once: also when it is not served for another reason.
func TestAViewSaysThatItsShelfLostRecords(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(5, 10))
	s := newStand(t, vfs.NewMem())
	s.runner.RetryAfter(time.Hour)
	s.add(t, w, nil)
	w.write(10, 10)
	s.await(t, w)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	problems := func() (all []string) {
		status, err := s.runner.Status()
		if err != nil || len(status) != len(folds) {
			t.Fatal(status, err)
		}
		for i := range status {
			if status[i].Problem != "" && status[i].Lag > 0 {
				all = append(all, status[i].Problem)
			}
		}
		return all
	}
	lose := func() {
		for _, fold := range folds {
			s.view(t, fold, acme).LoseShelf(errors.New("the disk took nothing"))
			if err := s.runner.WaitFor(over, fold.Name(), acme, w.journal.Head().Sequence); !errors.Is(err, context.Canceled) {
				t.Errorf("%s is waited for with %v", fold.Name(), err)
			}
		}
	}
	lose()
	if all := problems(); len(all) != len(folds) || !strings.Contains(all[0], "the disk took nothing") {
		t.Errorf("the problems are %q", all)
	}
	for _, fold := range folds {
		r, err := s.runner.Rebuild(t.Context(), fold.Name(), acme, projections.RebuildOptions{Accept: true})
		if err != nil || !r.Switched || r.Different != 0 {
			t.Errorf("rebuild of %s: %+v, %v", fold.Name(), r, err)
		}
	}
	if all := problems(); len(all) != 0 {
		t.Errorf("the problems are %q after a rebuild", all)
	}
	s.await(t, w)
	s.check(t, w)
	for _, fold := range folds {
		s.view(t, fold, acme).LoseShelf(errors.New("the disk took nothing"))
		if err := s.runner.Distrust(t.Context(), fold.Name(), acme, errors.New("it differs")); err != nil {
			t.Errorf("%s is not built anew: %v", fold.Name(), err)
		}
	}
	s.await(t, w)
	s.check(t, w)
}

// begun is a fold that says when it begins to go on from a view.
type begun struct {
	projections.Fold
	begin func()
}

func (b begun) Begin(v *projections.View) projections.Work {
	b.begin()
	return b.Fold.Begin(v)
}

// Nobody who waits for a commit is told that it is there while the view goes back to what its store has.
func TestNobodyIsServedWhatIsOlderThanWhatHeWaitsFor(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(5, 10))
	w.write(10, 10)
	var runner *projections.Runner
	over, cancel := context.WithCancel(t.Context())
	cancel()
	began := make(chan error, 10)
	fold := begun{folds[1], func() { began <- runner.WaitFor(over, folds[1].Name(), acme, 1) }}
	store := openStore(t, vfs.NewMem(), fold)
	runner = projections.NewRunner(projections.RunnerConfig{Kinds: []projections.Kind{{Fold: fold, Store: store}}, Linger: -1})
	t.Cleanup(runner.Close)
	if err := runner.Add(w.journal, nil); err != nil {
		t.Fatal(err)
	}
	view, err := store.View(acme, fold.Version())
	for again := range 2 {
		if again > 0 {
			view.LoseShelf(errors.New("the disk took nothing"))
		}
		if err := errors.Join(err, runner.WaitFor(t.Context(), fold.Name(), acme, w.journal.Head().Sequence)); err != nil {
			t.Fatal(err)
		}
		if err := <-began; !errors.Is(err, context.Canceled) {
			t.Errorf("the view is said to be there, with %v, when it begins", err)
		}
	}
}
