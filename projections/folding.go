package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	"creditstream/events/credit"
	"creditstream/events/journal"
)

// Journal is a journal as views read it; journal.Journal is one.
type Journal interface {
	Name() Name
	// Start is the place before the first commit, Head the last that is known to be durable.
	Start() Head
	Head() Head
	// Check says whether a checkpoint is on the journal's chain.
	Check(context.Context, Head) error
	// Read yields the commits from a sequence to the end as it is now, and verifies the chain.
	Read(ctx context.Context, from uint64) iter.Seq2[journal.Commit, error]
	// ReadInto is Read for who uses the memory of commits again.
	ReadInto(ctx context.Context, from uint64, memory func(size int) []byte) iter.Seq2[journal.Commit, error]
	// Audit is Read that tells damaged what the server's files do not have any more.
	Audit(ctx context.Context, from uint64, damaged func(journal.FileDamage)) iter.Seq2[journal.Commit, error]
}

// Nonsense is an entry that a fold cannot make sense of: no rule decided it. It is ErrDamaged.
type Nonsense struct {
	View   string
	Name   Name
	At     Position
	Reason string
}

// Error names tenant, shard, commit and entry.
func (n *Nonsense) Error() string {
	return fmt.Sprintf("view %s of %s: commit %d, entry %d makes no sense: %s", n.View, n.Name, n.At.Sequence, n.At.Offset, n.Reason)
}

// Is makes it ErrDamaged.
func (n *Nonsense) Is(target error) bool { return target == ErrDamaged }

// A batch is written when it has so many entries, so many bytes, or its fold's memory is full. One that is full is a table of
// its own in Pebble, as each beyond half a memtable is.
const (
	batchEntries = 200_000
	batchBytes   = 4 << 20
	// tableEntries is batchEntries of a view that is written in tables, whose batches are larger.
	tableEntries = 500_000
)

// folding is a fold under way, on one goroutine.
type folding struct {
	fold    Fold
	view    *View
	work    Work
	batch   *Batch
	head    Head // with what is in the batch
	entries int  // in the batch
	commits int  // in the batch
	limit   int  // of entries
	bytes   int  // limit of the batch
}

// newFolding goes on from the view's checkpoint, or from start when it is empty.
func newFolding(fold Fold, view *View, start Head) (*folding, error) {
	head, err := view.Checkpoint()
	if err != nil {
		return nil, err
	}
	if head == (Head{}) {
		head = start
	}
	return &folding{fold: fold, view: view, work: fold.Begin(view), batch: view.NewBatch(), head: head, limit: batchEntries, bytes: batchBytes}, nil
}

// onShelf lets what is folded gather on the view's shelf, as it does for who writes commit by commit: an account that
// comes again and again is written to the store once, and nothing goes through memtables, where the place of each record
// among all others is looked for.
func (f *folding) onShelf() {
	_ = f.batch.Close() // it is empty
	f.batch = f.view.NewCommitBatch()
}

// build lets a view that has nothing yet be written in tables of its own, until built; nobody else writes it.
func (f *folding) build() {
	if f.head.Sequence > 0 {
		return
	}
	f.batch.build(f.view.buildTables())
	f.limit, f.bytes = tableEntries, f.batch.tables.sizes.pile
}

// built waits until all is in the store, and goes on as any view does.
func (f *folding) built() error {
	if f.batch.tables == nil {
		return nil
	}
	err := f.batch.tables.close()
	f.batch.build(nil)
	f.limit, f.bytes = batchEntries, batchBytes
	return err
}

// add folds one commit and writes the batch when it is full. After an error the folding is dropped.
func (f *folding) add(c Commit) error {
	if c.Head.Sequence != f.head.Sequence+1 {
		return fmt.Errorf("view %s of %s: commit %d does not follow %d", f.fold.Name(), f.view.name, c.Head.Sequence, f.head.Sequence)
	}
	for i := range c.Entries {
		if err := f.apply(Position{c.Head.Sequence, uint32(i)}, &c.Entries[i]); err != nil {
			return err
		}
	}
	f.head = c.Head
	f.entries += len(c.Entries)
	f.commits++
	if f.entries >= f.limit || f.batch.Len() >= f.bytes || f.work.Full() {
		return f.flush()
	}
	return nil
}

// apply turns the panic of a fold into an error: one tenant's nonsense must not stop the others.
func (f *folding) apply(at Position, e *credit.Entry) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &Nonsense{View: f.fold.Name(), Name: f.view.name, At: at, Reason: fmt.Sprint(reason)}
		}
	}()
	if err := f.work.Apply(f.batch, at, e); err != nil {
		return fmt.Errorf("view %s of %s: commit %d, entry %d: %w", f.fold.Name(), f.view.name, at.Sequence, at.Offset, err)
	}
	return nil
}

// flush writes the batch.
func (f *folding) flush() error {
	if f.commits == 0 {
		return nil
	}
	f.entries, f.commits = 0, 0
	if err := f.work.Flush(f.batch); err != nil {
		return err
	}
	return f.batch.Commit(f.head)
}

func (f *folding) close() { _ = f.batch.Close() }

// catchUp folds the journal on to its end as it is now; progress, which may be nil, is told on the way.
func (f *folding) catchUp(ctx context.Context, j Journal, progress func(done, total uint64)) error {
	total := j.Head().Sequence
	for c, err := range commits(ctx, j, f.head.Sequence+1) {
		if err == nil {
			err = f.add(c)
		}
		if err != nil {
			return err
		}
		if progress != nil && (f.commits == 0 || c.Head.Sequence == total) {
			progress(c.Head.Sequence, max(total, c.Head.Sequence))
		}
	}
	return errors.Join(f.flush(), f.built())
}

// readAhead is how many decoded commits may wait for the fold.
const readAhead = 32

// commits reads and decodes a journal beside the one who folds it. A commit, its entries and body, is good until the next one
// is asked for. A body that is no commit is Nonsense.
func commits(ctx context.Context, j Journal, from uint64) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		r := reader{journal: j, decoded: make(chan decoded, readAhead), done: make(chan *room, readAhead+2)}
		var failed error
		var reading sync.WaitGroup
		reading.Go(func() {
			defer close(r.decoded)
			failed = r.read(ctx, from)
		})
		defer reading.Wait()
		defer cancel()
		for c := range r.decoded {
			if !yield(c.Commit, nil) {
				return
			}
			r.done <- c.room
		}
		if failed != nil {
			yield(Commit{}, failed)
		}
	}
}

// reader decodes a journal.
type reader struct {
	journal Journal
	decoded chan decoded
	done    chan *room // to be used again; there is room for all that there are
	next    *room      // of the commit that is read; nil: none yet
}

// room is the memory of one commit. It is used again: a journal that is read to its end leaves next to nothing to the
// collector, and what is read next is where the processor has just been.
type room struct {
	body []byte
	slab credit.Slab
}

// decoded is a commit, and the memory that it and its entries are in.
type decoded struct {
	Commit
	room *room
}

// take has room for the next commit.
func (r *reader) take() *room {
	if r.next == nil {
		select {
		case r.next = <-r.done:
		default:
			r.next = new(room)
		}
	}
	return r.next
}

// memory is that for the next commit as it stands in a file.
func (r *reader) memory(size int) []byte {
	next := r.take()
	if cap(next.body) < size {
		next.body = make([]byte, size+size/4)
	}
	return next.body[:size]
}

func (r *reader) read(ctx context.Context, from uint64) error {
	var decoder credit.Decoder
	for c, err := range r.journal.ReadInto(ctx, from, r.memory) {
		if err != nil {
			return err
		}
		room := r.take()
		r.next = nil
		entries, err := decoder.DecodeInto(&room.slab, c.Body)
		if err != nil {
			return &Nonsense{View: "any", Name: r.journal.Name(), At: Position{Sequence: c.Sequence}, Reason: err.Error()}
		}
		select {
		case r.decoded <- decoded{Commit{Head: c.Head, Entries: entries, Body: c.Body}, room}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// CatchUp brings a view to the end of its journal before anyone else writes it. A view that is not of this
// journal, or of another version, is thrown away first, which log (nil discards) is told. One that is ahead of
// its journal, or on another chain, is journal.ErrDamaged. Nonsense marks the view damaged.
func CatchUp(ctx context.Context, fold Fold, view *View, j Journal, log *slog.Logger, progress func(done, total uint64)) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := boot(ctx, fold, view, j, log); err != nil {
		return err
	}
	f, err := newFolding(fold, view, j.Start())
	if err != nil {
		return err
	}
	defer f.close()
	f.build()
	return noteDamage(view, f.catchUp(ctx, j, progress))
}

// boot checks a view against its journal, and throws it away where the journal is right and the view is not.
func boot(ctx context.Context, fold Fold, view *View, j Journal, log *slog.Logger) error {
	standing := view.Standing()
	head, err := view.Checkpoint()
	switch {
	case standing.Version != fold.Version():
		return throwAway(fold, view, log, fmt.Errorf("it has version %d, this program makes %d", standing.Version, fold.Version()))
	case standing.Suspect != "":
		return throwAway(fold, view, log, fmt.Errorf("its records differ from the journal: %s", standing.Suspect))
	case err != nil && errors.Is(err, ErrDamaged):
		return throwAway(fold, view, log, err)
	case err != nil:
		return err
	}
	if err := view.Err(); err != nil || head == (Head{}) {
		return err
	}
	err = witness(ctx, view, head, j)
	if errors.Is(err, journal.ErrOtherJournal) {
		return throwAway(fold, view, log, err)
	}
	return err
}

// witness holds a journal against a view's checkpoint. A view is only told of commits that are on disk: one that
// knows of a commit which its journal does not have (ErrAhead, ErrDiverged) says that the journal was shortened
// or replaced, and that is journal.ErrDamaged.
func witness(ctx context.Context, view *View, head Head, j Journal) error {
	err := j.Check(ctx, head)
	if errors.Is(err, journal.ErrAhead) || errors.Is(err, journal.ErrDiverged) {
		return &journal.At{Sequence: head.Sequence, Err: fmt.Errorf("%w: the view %s of %s knows this commit, which was acknowledged: %w", journal.ErrDamaged, view.store.name, view.name, err)}
	}
	return err
}

func throwAway(fold Fold, view *View, log *slog.Logger, reason error) error {
	log.Warn("a view is thrown away and built anew", "view", fold.Name(), "journal", view.Name().String(), "reason", reason)
	return view.Reset(fold.Version())
}

// noteDamage marks the view when err says that its journal makes no sense to it, and returns err.
func noteDamage(view *View, err error) error {
	var nonsense *Nonsense
	if errors.As(err, &nonsense) {
		return errors.Join(err, view.note(func(s *Standing) { s.Damaged = err.Error() }))
	}
	return err
}
