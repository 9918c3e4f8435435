package projections_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A view that was built in tables has the records of one that was not, and is written on like any other.
func TestAViewBuiltInTablesIsTheFold(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 30))
	w.write(60, 20)
	for _, fold := range folds {
		store := openStore(t, vfs.NewMem(), fold)
		view, err := store.View(acme, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := projections.CatchUp(t.Context(), fold, view, w.journal, discard, nil); err != nil {
				t.Fatal(err)
			}
			same(t, fold.Name(), records(t, view), w.want(fold))
			w.write(3, 20)
		}
		if n := store.Tables(); n < 3 && fold.Name() != "usage" || n < 1 { // totals come together in memory
			t.Errorf("%s was built in %d tables", fold.Name(), n)
		}
		if n := view.Parts(); n < 4 && fold.Name() != "usage" {
			t.Errorf("%s is compared in %d parts", fold.Name(), n)
		}
	}
}

// Whenever a rebuild is cut off, what is left opens with the live view as it was and nothing else.
func TestARebuildInTablesSurvivesACrashAtAnyWrite(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(3, 10))
	w.write(30, 10)
	for _, fold := range folds {
		memory := newCrashable()
		rng := rand.New(rand.NewPCG(11, 12))
		var mu sync.Mutex
		var left []crashed
		count, rebuilding := 0, false
		fs := errorfs.Wrap(memory, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !rebuilding {
				return nil
			}
			if count++; count%everyKth == 0 {
				percent := []int{0, 50, 100}[count/everyKth%3]
				left = append(left, crashed{fmt.Sprintf("%s, crashed before write %d (%s) with %d %% of the unsynced", fold.Name(), count, op.Path, percent),
					memory.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})})
			}
			return nil
		}))
		s := newStand(t, fs)
		s.add(t, w, nil)
		s.await(t, w)
		tables := s.stores[fold.Name()].Tables()
		mu.Lock()
		rebuilding = true
		mu.Unlock()
		r, err := s.runner.Rebuild(t.Context(), fold.Name(), acme, projections.RebuildOptions{})
		if err != nil || !r.Switched || r.Different > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		mu.Lock()
		rebuilding = false
		mu.Unlock()
		if n := s.stores[fold.Name()].Tables() - tables; n < 1 || len(left) == 0 {
			t.Errorf("%s: %d tables, %d crashes", fold.Name(), n, len(left))
		}
		rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		for _, c := range left[:min(12, len(left))] {
			afterCrash(t, c.what, c.fs, fold, w)
			nothingLeft(t, c.what, c.fs, fold)
		}
	}
}

// nothingLeft opens a store and sees to it that there is nothing in it but the live view.
func nothingLeft(t *testing.T, what string, fs vfs.FS, fold projections.Fold) {
	t.Helper()
	store := openStore(t, fs, fold)
	if _, err := store.View(acme, fold.Version()); err != nil {
		t.Fatal(what, err)
	}
	if generations, files, err := store.Left(); err != nil || generations+files > 0 {
		t.Errorf("%s: %d generations and %d files are nobody's, %v", what, generations, files, err)
	}
}

// A rebuild that is given up, or whose disk takes no table, leaves the view as it was and nothing else.
func TestARebuildThatEndsEarlyLeavesNothing(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(3, 10))
	w.write(60, 20)
	full := errors.New("no space")
	for _, fold := range folds {
		for _, failing := range []bool{false, true} {
			var mu sync.Mutex
			refuse := 0
			fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if refuse == 0 || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.Contains(op.Path, "drafts") {
					return nil
				}
				if refuse--; refuse == 0 {
					refuse = 1
					return full
				}
				return nil
			}))
			s := newStand(t, fs)
			s.add(t, w, nil)
			s.await(t, w)
			ctx, cancel := context.WithCancel(t.Context())
			if failing {
				mu.Lock()
				refuse = 12
				mu.Unlock()
			}
			var last uint64
			_, err := s.runner.Rebuild(ctx, fold.Name(), acme, projections.RebuildOptions{Progress: func(done, _ uint64) {
				if last = done; done > 20 && !failing {
					cancel()
				}
			}})
			cancel()
			if want := map[bool]error{false: context.Canceled, true: full}[failing]; !errors.Is(err, want) {
				t.Errorf("%s: %v at %d, want %v", fold.Name(), err, last, want)
			}
			mu.Lock()
			refuse = 0
			mu.Unlock()
			if generations, files, err := s.stores[fold.Name()].Left(); err != nil || generations > 0 || files > 0 && !failing {
				t.Errorf("%s, failing %v: %d generations and %d files are nobody's, %v", fold.Name(), failing, generations, files, err)
			}
			s.check(t, w)
			r, err := s.runner.Rebuild(t.Context(), fold.Name(), acme, projections.RebuildOptions{})
			if err != nil || !r.Switched {
				t.Errorf("%s: the next rebuild: %+v, %v", fold.Name(), r, err)
			}
		}
	}
}
