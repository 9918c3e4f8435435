package projections_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// everyKth is how many operations of the store that write lie between two crashes.
const everyKth = 7

// crashed is what a crash left.
type crashed struct {
	what string
	fs   vfs.FS
}

// crashes is a file system that is crashed at every few operations that write.
type crashes struct {
	fs    vfs.FS
	rng   *rand.Rand
	mu    sync.Mutex
	count int
	left  []crashed // to be read when nobody writes any more
}

func newCrashes(what string, rng *rand.Rand) *crashes {
	memory := newCrashable()
	c := &crashes{rng: rng}
	c.fs = errorfs.Wrap(memory, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.count++; c.count%everyKth == 0 {
			percent := []int{0, 10, 50, 100}[c.count/everyKth%4]
			c.left = append(c.left, crashed{fmt.Sprintf("%s, crashed before write %d with %d %% of the unsynced", what, c.count, percent),
				memory.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})})
		}
		return nil
	}))
	return c
}

// Invariant 4 whenever the store's own writes are cut off, in the middle of a flush, of a compaction or of a
// change of its list of files: what is left opens at a checkpoint that its records are the fold of, and folds on.
func TestViewsSurviveACrashAtAnyWrite(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(3, 10))
	for _, fold := range folds {
		crash := newCrashes(fold.Name(), rand.New(rand.NewPCG(11, 12)))
		store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), MemTable: 64 << 10, FS: crash.fs})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.View(acme, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		for range 25 {
			w.write(2, 10)
			if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		left := crash.left
		if len(left) < 8 {
			t.Errorf("%s: only %d writes, so that %d crashes were tried", fold.Name(), crash.count, len(left))
		}
		crash.rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		for _, c := range left[:min(16, len(left))] {
			afterCrash(t, c.what, c.fs, fold, w)
		}
	}
}

// While the disk takes no new tables a view goes on in memory; a crash then costs no more than what was not
// flushed, and when the disk is back the store catches up by itself.
func TestAViewGoesOnWhileItsDiskFails(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(5, 10))
	fold := folds[0]
	memory := newCrashable()
	var failing atomic.Bool
	var refused atomic.Int32
	store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), MemTable: 256 << 10, FS: errorfs.Wrap(memory, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".sst") {
			refused.Add(1)
			return errors.New("no space")
		}
		return nil
	}))})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.View(acme, fold.Version())
	if err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	for range 30 {
		w.write(2, 10)
		if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := 0; refused.Load() == 0 && deadline < 200; deadline++ { // the first table is written in the background
		w.write(2, 10)
		if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
			t.Fatal(err)
		}
		if deadline == 199 {
			t.Error("no table was ever refused")
		}
	}
	clone := memory.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 9))})
	failing.Store(false)
	same(t, "while the disk fails", records(t, view), w.want(fold))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	afterCrash(t, "a crash while the disk fails", clone, fold, w)
}
