package projections_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/accounts"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var discard = slog.New(slog.DiscardHandler)

// While commits arrive, every view is rebuilt: what serves afterwards is the same, in another generation.
func TestRebuildWhileCommitsArrive(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 10))
	w.write(30, 10)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for _, c := range w.write(1, 5) {
					s.runner.Feed(acme, c)
				}
			}
		}
	})
	for _, fold := range folds {
		before := s.view(t, fold, acme).Standing().Generation
		var last uint64
		r, err := s.runner.Rebuild(t.Context(), fold.Name(), acme, projections.RebuildOptions{Progress: func(done, total uint64) {
			if done < last || done > total {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		}})
		if err != nil || !r.Compared || r.Different != 0 || !r.Switched || last == 0 {
			t.Errorf("rebuild of %s: %+v, %v, progress %d", fold.Name(), r, err, last)
		}
		if s.view(t, fold, acme).Standing().Generation == before {
			t.Errorf("%s serves the old generation", fold.Name())
		}
	}
	close(stop)
	writing.Wait()
	s.await(t, w)
	s.check(t, w)
}

// A record that is changed, missing or too much is found by its key, and the switch waits for a person.
func TestRebuildReportsWhatDiffers(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 10))
	w.write(30, 10)
	for _, c := range []struct {
		fold   projections.Fold
		letter byte
		says   string
	}{{folds[0], 'a', "account account-00000"}, {folds[1], 'f', "of account account-00000"}, {folds[2], 'u', "usage of "}} {
		s := newStand(t, vfs.NewMem())
		s.add(t, w, nil)
		s.await(t, w)
		view := s.view(t, c.fold, acme)
		changed, missing := anyKey(t, view, c.letter, 0), anyKey(t, view, c.letter, 3)
		change(t, view, changed, []byte{1, 2, 3})
		change(t, view, missing, nil)
		change(t, view, string(c.letter)+"nobody\x00zzzzzzzzz", []byte{1})
		damaged := records(t, view)
		r, err := s.runner.Rebuild(t.Context(), c.fold.Name(), acme, projections.RebuildOptions{})
		if err != nil || r.Different != 3 || len(r.Differences) != 3 || r.Switched {
			t.Fatalf("rebuild of %s: %+v, %v", c.fold.Name(), r, err)
		}
		same(t, "what serves on", records(t, view), damaged)
		sides := 0
		for _, d := range r.Differences {
			if d.Tenant != "acme" || d.View != c.fold.Name() {
				t.Errorf("difference %+v", d)
			}
			if strings.Contains(d.Record, c.says) && d.Journal != "" {
				sides++
			}
		}
		if sides != 2 {
			t.Errorf("%s: differences %+v", c.fold.Name(), r.Differences)
		}
		if r, err = s.runner.Rebuild(t.Context(), c.fold.Name(), acme, projections.RebuildOptions{Accept: true}); err != nil || !r.Switched || r.Different != 3 {
			t.Fatalf("rebuild of %s: %+v, %v", c.fold.Name(), r, err)
		}
		s.check(t, w)
	}
}

// loop stands for the one who writes a view of its own: it lets in between two commits.
type loop struct {
	mu      sync.Mutex
	between int
}

func (l *loop) Between(_ context.Context, f func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.between++
	return f()
}

// newStagedStand is a stand with a view of some commits that a loop goes on to write.
func newStagedStand(t *testing.T, w *writer) (*stand, *accounts.View, *accounts.Stage) {
	t.Helper()
	w.write(30, 10)
	s := newStand(t, vfs.NewMem(), "accounts")
	view, err := accounts.Of(s.stores["accounts"], acme)
	if err != nil {
		t.Fatal(err)
	}
	if err := projections.CatchUp(t.Context(), accounts.Fold{}, view.View, w.journal, discard, nil); err != nil {
		t.Fatal(err)
	}
	stage := view.Stage()
	t.Cleanup(func() { _ = stage.Close() })
	return s, view, stage
}

// commitStaged writes a commit to the accounts view as the loop does.
func commitStaged(t *testing.T, view *accounts.View, stage *accounts.Stage, c projections.Commit) {
	t.Helper()
	loaded := make(map[string]*credit.Account)
	for i := range c.Entries {
		e := &c.Entries[i]
		a := loaded[e.Account]
		if a == nil {
			var err error
			if a, err = view.Load(e.Account); err != nil {
				t.Fatal(err)
			}
			loaded[e.Account] = a
		}
		for _, f := range e.Facts {
			a.Evolve(f.Event, f.At)
		}
		stage.Account(a)
		stage.Key(e.Account, e.Key, e.Hash, c.Head.Sequence, uint32(i))
	}
	if err := stage.Commit(c.Head); err != nil {
		t.Fatal(err)
	}
}

func TestRebuildOfAViewThatTheLoopWrites(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 10))
	s, view, stage := newStagedStand(t, w)
	l := &loop{}
	s.add(t, w, l)
	// A stage from before the switch has to write into what is live after it.
	commit := func(c projections.Commit) { commitStaged(t, view, stage, c) }
	if err := stage.Commit(w.journal.Head()); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.write(5, 3) { // compared with though no table has them
		commit(c)
	}
	r, err := s.runner.Rebuild(t.Context(), "accounts", acme, projections.RebuildOptions{})
	if err != nil || !r.Switched || !r.Compared || l.between != 2 {
		t.Fatalf("rebuild %+v, %v, %d pauses", r, err, l.between)
	}
	for _, c := range w.write(3, 3) {
		commit(c)
	}
	s.await(t, w)
	s.check(t, w)

	wrong := view.NewCommitBatch()
	defer func() { _ = wrong.Close() }()
	if err := errors.Join(wrong.Put(append(wrong.Key(), "a-wrong"...), []byte("nonsense")), wrong.Commit(w.journal.Head())); err != nil {
		t.Fatal(err)
	}
	if r, err = s.runner.Rebuild(t.Context(), "accounts", acme, projections.RebuildOptions{Accept: true}); err != nil || !r.Switched || r.Different != 1 {
		t.Fatalf("rebuild %+v, %v", r, err)
	}
	s.check(t, w)

	commit(w.write(1, 3)[0])
	verified, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir(), Views: []projections.VerifiedView{{Fold: accounts.Fold{}, View: view.View}}})
	if err != nil || len(verified.Views) != 1 || verified.Views[0].Position != w.journal.Head().Sequence || verified.Different != 0 {
		t.Fatalf("verified %+v, %v", verified, err)
	}
	commit(w.write(1, 3)[0])
	w.write(2, 3) // who writes gave up here, and what it put is not in the store
	if err := projections.CatchUp(t.Context(), accounts.Fold{}, view.View, w.journal, discard, nil); err != nil {
		t.Fatal(err)
	}
	s.await(t, w)
	s.check(t, w)
}

// A rebuild that is given up leaves the live records, and nothing else.
func TestRebuildGivenUp(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 10))
	w.write(30, 10)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.runner.Rebuild(ctx, "statement", acme, projections.RebuildOptions{Progress: func(uint64, uint64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a rebuild that was cancelled: %v", err)
	}
	s.check(t, w)
	if r, err := s.runner.Rebuild(t.Context(), "statement", acme, projections.RebuildOptions{}); err != nil || !r.Switched {
		t.Fatalf("the next rebuild: %+v, %v", r, err)
	}
	if _, err := s.runner.Rebuild(t.Context(), "nothing", acme, projections.RebuildOptions{}); err == nil {
		t.Fatal("a view that is none was rebuilt")
	}
}

// moody is a fold that finds nonsense until its program is mended.
type moody struct {
	projections.Fold
	broken *atomic.Bool
}

func (m moody) Begin(v *projections.View) projections.Work {
	return moodyWork{m.Fold.Begin(v), m.broken}
}

type moodyWork struct {
	projections.Work
	broken *atomic.Bool
}

func (m moodyWork) Apply(b *projections.Batch, at projections.Position, e *credit.Entry) error {
	if m.broken.Load() && at.Sequence == 4 {
		panic("what is this?")
	}
	return m.Work.Apply(b, at, e)
}

// A view that was marked damaged stays so over a restart, and is served again after a rebuild.
func TestRebuildMendsADamagedView(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 5))
	w.write(10, 10)
	var broken atomic.Bool
	broken.Store(true)
	fold := moody{folds[2], &broken}
	store := openStore(t, vfs.NewMem(), fold)
	for _, restarted := range []bool{false, true} {
		runner := projections.NewRunner(projections.RunnerConfig{Kinds: []projections.Kind{{Fold: fold, Store: store}}})
		if err := runner.Add(w.journal, nil); err != nil {
			t.Fatal(err)
		}
		err := runner.WaitFor(t.Context(), "usage", acme, 11)
		if !errors.Is(err, projections.ErrDamaged) || !strings.Contains(err.Error(), "commit 4, entry 0") {
			t.Fatalf("restarted %v: %v", restarted, err)
		}
		status, err := runner.Status()
		if err != nil || status[0].Problem == "" || status[0].Damaged == "" || status[0].Lag == 0 {
			t.Fatalf("status %+v, %v", status, err)
		}
		if _, err := runner.Rebuild(t.Context(), "usage", acme, projections.RebuildOptions{}); !errors.Is(err, projections.ErrDamaged) {
			t.Fatalf("a rebuild by the same program: %v", err)
		}
		if restarted {
			broken.Store(false)
			if r, err := runner.Rebuild(t.Context(), "usage", acme, projections.RebuildOptions{}); err != nil || !r.Switched || r.Compared {
				t.Fatalf("rebuild %+v, %v", r, err)
			}
			if err := runner.WaitFor(t.Context(), "usage", acme, w.journal.Head().Sequence); err != nil {
				t.Fatal(err)
			}
		}
		runner.Close()
	}
	view, err := store.View(acme, fold.Version())
	if err != nil || view.Err() != nil {
		t.Fatal(err, view.Err())
	}
	same(t, "usage", records(t, view), w.want(folds[2]))
}
