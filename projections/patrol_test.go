package projections_test

import (
	"errors"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watch runs a patrol without pauses; rounds gets one for each round that ended.
func watch(t *testing.T, s *stand) (p *projections.Patrol, found chan projections.Finding, rounds chan struct{}) {
	t.Helper()
	found, rounds = make(chan projections.Finding, 100), make(chan struct{}, 1000)
	p = s.runner.Patrol(projections.PatrolConfig{
		Share: 1, Between: time.Nanosecond,
		Found: func(f projections.Finding) { found <- f },
		Now: func() time.Time {
			select {
			case rounds <- struct{}{}:
			default: // there were more than anybody waits for
			}
			return time.Now()
		},
	})
	t.Cleanup(p.Close)
	return p, found, rounds
}

func first[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// Round and round, beside a writer, the patrol finds nothing where nothing is wrong; and it does compare.
func TestPatrolFindsNothingWrong(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 40))
	w.write(70, 15)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	p, found, rounds := watch(t, s)
	for range 4 {
		first(t, rounds)
		for _, c := range w.write(5, 10) {
			s.runner.Feed(acme, c)
		}
	}
	if status := p.Status(); status.Compared == 0 || status.Rounds < 3 || len(found) > 0 {
		t.Errorf("%+v, %d differences", status, len(found))
	}
}

// It compares what the loop wrote, and no table has yet, as well.
func TestPatrolComparesWhatIsInMemory(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 5))
	s, view, stage := newStagedStand(t, w)
	s.add(t, w, &loop{})
	for _, c := range w.write(5, 3) {
		commitStaged(t, view, stage, c)
	}
	s.await(t, w)
	p, found, rounds := watch(t, s)
	for range 3 {
		first(t, rounds)
	}
	if status := p.Status(); status.Compared == 0 || len(found) > 0 {
		t.Errorf("%+v, %d differences", status, len(found))
	}
}

// A record of any view that is not what the journal says is found, whichever account it is about, and the view is
// named.
func TestPatrolFindsAChangedRecord(t *testing.T) {
	for i, letter := range []byte{'a', 'f', 'u'} {
		w := newWriter(t, connect(t), acme, trial.New(1, 5))
		w.write(20, 10)
		s := newStand(t, vfs.NewMem())
		s.add(t, w, nil)
		s.await(t, w)
		view := s.view(t, folds[i], acme)
		change(t, view, anyKey(t, view, letter, 1), []byte("?"))
		_, found, _ := watch(t, s)
		f := first(t, found)
		if f.View != folds[i].Name() || f.Name != acme || !errors.Is(f.Err, projections.ErrDamaged) || journal.SequenceOf(f.Err) != w.journal.Head().Sequence || len(f.Differences) == 0 {
			t.Errorf("a changed record of %s: %+v", folds[i].Name(), f)
		}
		if err := s.runner.Distrust(t.Context(), f.View, f.Name, f.Err); err != nil {
			t.Fatal(err)
		}
		s.await(t, w)
		s.check(t, w)
	}
}

// What is wrong in the journal is named by its commit, and the patrol leaves that journal alone afterwards.
func TestPatrolFindsADamagedCommit(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 5))
	w.write(20, 10)
	s := newStand(t, vfs.NewMem())
	if err := s.runner.Add(tampered{w.journal, 7}, nil); err != nil {
		t.Fatal(err)
	}
	_, found, rounds := watch(t, s)
	f := first(t, found)
	if f.View != "" || f.Name != acme || !errors.Is(f.Err, journal.ErrDamaged) || journal.SequenceOf(f.Err) != 7 {
		t.Errorf("%+v", f)
	}
	for range 3 {
		first(t, rounds)
	}
	if len(found) > 0 {
		t.Errorf("again: %+v", <-found)
	}
}
