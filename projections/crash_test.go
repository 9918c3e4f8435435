package projections_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// After a crash a view is at a checkpoint that its records are the fold of, whatever of what was not synced
// survived; and it folds on to the same bytes.
func TestViewsSurviveACrash(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 10))
	for _, fold := range folds {
		fs := newCrashable()
		store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: fs, MemTable: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.View(acme, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(7, uint64(len(fold.Name()))))
		var positions []uint64
		for range 4 {
			for range 12 {
				w.write(2, 10)
				if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, percent := range []int{0, 50, 100} {
				clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
				positions = append(positions, afterCrash(t, fmt.Sprintf("%s with %d %% of what was not synced", fold.Name(), percent), clone, fold, w))
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		lost := false
		for _, p := range positions {
			lost = lost || p < w.journal.Head().Sequence
		}
		if !lost {
			t.Errorf("%s: no crash lost anything, so that nothing was recovered", fold.Name())
		}
	}
}

// afterCrash opens what a crash left, sees to it that it is the fold of the journal up to its checkpoint, and
// catches up.
func afterCrash(t *testing.T, what string, fs vfs.FS, fold projections.Fold, w *writer) uint64 {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: fs})
	if err != nil {
		t.Fatal(what, err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	view, err := store.View(acme, fold.Version())
	if err != nil {
		t.Fatal(what, err)
	}
	head, err := view.Checkpoint()
	if err != nil {
		t.Fatal(what, err)
	}
	if head.Sequence > 1 {
		prefix := *w
		prefix.entries = w.entries[:head.Sequence]
		same(t, what, records(t, view), prefix.want(fold))
	}
	if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
		t.Fatal(what, err)
	}
	same(t, what+", caught up", records(t, view), w.want(fold))
	return head.Sequence
}
