package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// twin is a view under verification: what it was at the start, and the fold of the journal up to there.
type twin struct {
	VerifiedView
	snapshot *pebble.Snapshot
	prefix   []byte
	head     Head
	store    *Store
	folding  *folding
	reached  bool
	problem  string
	commits  chan Commit // to be folded, beside the checks
	folded   chan struct{}
}

// start folds what is handed on, until stop.
func (t *twin) start() {
	t.commits, t.folded = make(chan Commit, readAhead), make(chan struct{})
	go func() {
		defer close(t.folded)
		for c := range t.commits {
			t.add(c)
		}
	}()
}

func (t *twin) stop() {
	close(t.commits)
	<-t.folded
}

func newTwin(view VerifiedView, j Journal, dir string) (*twin, error) {
	t := &twin{VerifiedView: view}
	settled := view.View.settled()
	t.snap()
	if settled != nil {
		t.problem = settled.Error()
		return t, nil
	}
	var err error
	if t.head, err = checkpointOf(t.snapshot, t.prefix); err != nil {
		t.problem = fmt.Sprintf("%v: %s", errUnreadable, oneLine(view.View.lost(t.prefix, err)))
		return t, nil
	}
	if t.head == (Head{}) {
		t.head = j.Start()
	}
	t.reached = t.head == j.Start()
	if t.store, err = Open(Config{Dir: dir, View: view.Fold.Name(), FS: vfs.Default, Block: view.View.store.block, ReadOnce: true}); err != nil {
		return t, err
	}
	folded, err := t.store.View(j.Name(), view.Fold.Version())
	if err != nil {
		return t, err
	}
	if t.folding, err = newFolding(view.Fold, folded, j.Start()); err == nil {
		t.store.tables.pile = twinPile
		t.folding.build()
	}
	return t, err
}

// twinPile is how many bytes of a view that is folded again come together before they are sorted; twice that are in
// memory, for each view.
const twinPile = 16 << 20

// snap takes the view as it is: all of one generation.
func (t *twin) snap() {
	for {
		g := t.View.live.Load()
		t.snapshot, t.prefix = t.View.store.db.NewSnapshot(), g.prefix
		if t.View.live.Load() == g {
			return
		}
		_ = t.snapshot.Close() // it was switched meanwhile
	}
}

func (t *twin) close() error {
	if t.folding != nil {
		t.folding.close()
	}
	err := t.snapshot.Close()
	if t.store != nil {
		err = errors.Join(err, t.store.Close())
	}
	return err
}

// add folds a commit into the twin as far as the view went.
func (t *twin) add(c Commit) {
	if t.problem != "" || t.reached {
		return
	}
	if err := t.folding.add(c); err != nil {
		t.problem = err.Error()
		return
	}
	if c.Head.Sequence == t.head.Sequence {
		t.reached = true
		if c.Head != t.head {
			t.problem = fmt.Sprintf("its checkpoint at commit %d is not on this journal's chain", t.head.Sequence)
		}
	}
}

func (v *verification) compare(ctx context.Context, t *twin) error {
	report := ViewReport{View: t.Fold.Name(), Position: t.head.Sequence, Records: RecordsEqual}
	ahead := t.problem == "" && !t.reached
	defer func() {
		if report.Records != RecordsEqual && !ahead && v.report.Lost == 0 {
			report.Advice = Remedy(report.View, t.View.name)
		}
		v.report.Views = append(v.report.Views, report)
	}()
	switch {
	case t.problem != "":
		report.Records = t.problem
		return nil
	case ahead:
		report.Records = fmt.Sprintf("it is at commit %d, the journal ends at %d", t.head.Sequence, v.report.Position)
		return nil
	}
	if err := errors.Join(t.folding.flush(), t.folding.built()); err != nil {
		return err
	}
	found := differences{first: v.report.Differences}
	c := comparison{
		fold: t.Fold, name: t.View.name, borders: t.folding.view.borders,
		live: side{t.snapshot, t.prefix, t.View}, folded: side{reader: t.store.db, prefix: t.folding.view.live.Load().prefix},
	}
	err := c.run(ctx, &found)
	if err != nil && !errors.Is(err, errUnreadable) {
		return err
	}
	report.Count = found.count
	v.report.Different += found.count
	v.report.Differences = found.first
	switch {
	case err != nil:
		report.Records = err.Error()
		return nil
	case found.count > 0:
		report.Records = RecordsDifferent
		return nil
	}
	return t.View.noteVerified(t.prefix, t.head.Sequence)
}
