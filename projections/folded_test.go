package projections_test

import (
	"errors"
	"testing"

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

// Records that could not be written are lost to the view, which says so to whoever waits for it and is folded on from what
// its store has.
func TestAViewRecoversWhatItsShelfLost(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(5, 10))
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	for _, c := range w.write(10, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, w)
	for _, fold := range folds {
		if lost := s.view(t, fold, acme).LoseShelf(errors.New("the disk took nothing")); lost == 0 {
			t.Errorf("%s: nothing was on the shelf", fold.Name())
		}
	}
	for _, c := range w.write(1, 10) {
		s.runner.Feed(acme, c)
	}
	s.await(t, w)
	s.check(t, w)
}
