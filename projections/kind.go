package projections

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"creditstream/events/journal"
)

// kind is all views of one store, and the goroutine that keeps them up to date.
type kind struct {
	fold  Fold
	store *Store
	log   *slog.Logger
	trap  func(point string) // nil but in tests
	// written says that someone else writes these views (the loop that decides): the kind has no
	// goroutine, and shards only for their standing.
	written bool
	linger  time.Duration
	retry   time.Duration // how long a shard is left alone that has to wait

	mu      sync.Mutex
	shards  map[Name]*shard
	queue   []fed
	queued  int // bytes of bodies
	waiting int // how many wait for a position
	asked   []*asked
	wake    chan struct{}
	hurry   chan struct{}
	ended   chan struct{} // closed when the goroutine has ended

	// Only the goroutine uses what follows.
	open map[*shard]*folding
}

// fed is a commit that the writer handed on.
type fed struct {
	shard  *shard
	commit Commit
}

// shard is one view of a kind.
type shard struct {
	journal Journal
	view    *View
	writer  Writer

	// Guarded by kind.mu.
	position uint64 // of what is written
	behind   bool   // commits were not queued: read the journal
	fresh    bool   // not checked against the journal yet, or what was folded is lost: it goes on from what its store has
	stalled  bool   // it is behind and waits a moment before it tries again
	err      error  // why it is not served
	waiters  []waiter
	rebuild  *Progress
}

// Bounds of a kind's queue: beyond them a shard is marked behind, and reads its journal.
const (
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
)

// openFoldings is how many shards keep their work in memory between batches.
const openFoldings = 32

func (k *kind) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// feed never blocks.
func (k *kind) feed(name Name, c Commit) {
	k.mu.Lock()
	s := k.shards[name]
	switch {
	case s == nil || s.behind || s.err != nil:
	case len(k.queue) >= maxQueued || k.queued+len(c.Body) > maxQueuedBytes:
		s.behind = true
	default:
		k.queue = append(k.queue, fed{s, c})
		k.queued += len(c.Body)
	}
	k.mu.Unlock()
	k.nudge()
}

// run is the goroutine: it ends with ctx, after having written what it folded.
func (k *kind) run(ctx context.Context) {
	k.open = make(map[*shard]*folding)
	defer close(k.ended)
	defer func() {
		for s := range k.open {
			k.drop(s)
		}
	}()
	for {
		select {
		case <-k.wake:
		case <-ctx.Done():
			return
		}
		k.pause(ctx)
		for k.round(ctx) && ctx.Err() == nil {
		}
	}
}

// pause lets commits gather while nobody waits: one batch of many costs a fraction of many of one.
func (k *kind) pause(ctx context.Context) {
	k.mu.Lock()
	hasten := k.waiting > 0 || len(k.asked) > 0
	k.mu.Unlock()
	if hasten || k.linger == 0 {
		return
	}
	timer := time.NewTimer(k.linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.hurry:
	case <-ctx.Done():
	}
}

// round writes what is queued, then does one slice of what is behind, then what was asked for. It reports
// whether something is still behind.
func (k *kind) round(ctx context.Context) bool {
	k.mu.Lock()
	queue, asked := k.queue, k.asked
	k.queue, k.queued, k.asked = nil, 0, nil
	var behind []*shard
	for _, s := range k.shards {
		if s.behind && s.err == nil && !s.stalled {
			behind = append(behind, s)
		}
	}
	k.mu.Unlock()

	touched := make(map[*shard]bool)
	for _, f := range queue {
		if k.take(f) {
			touched[f.shard] = true
		}
	}
	for s := range touched {
		if f := k.open[s]; f != nil {
			k.wrote(s, f.flush())
		}
	}
	more := false
	for _, s := range behind {
		more = k.readOn(ctx, s) || more
	}
	for _, a := range asked {
		a.done <- a.do()
	}
	for s := range k.open {
		if len(k.open) <= openFoldings {
			break
		}
		if !touched[s] {
			k.drop(s)
		}
	}
	return more
}

// take folds a queued commit.
func (k *kind) take(q fed) bool {
	s := q.shard
	k.mu.Lock()
	skip := s.behind || s.err != nil
	k.mu.Unlock()
	if skip {
		return false
	}
	f, err := k.folding(s)
	if err == nil {
		switch next := f.head.Sequence + 1; {
		case q.commit.Head.Sequence < next:
			return false
		case q.commit.Head.Sequence > next:
			k.setBehind(s)
			return false
		}
		err = f.add(q.commit)
	}
	if err != nil {
		k.wrote(s, err)
		return false
	}
	return true
}

func (k *kind) folding(s *shard) (*folding, error) {
	if f := k.open[s]; f != nil {
		return f, nil
	}
	f, err := newFolding(k.fold, s.view, s.journal.Start())
	if err != nil {
		return nil, err
	}
	s.view.shelf.tell(func(err error) { k.lost(s, err) })
	f.onShelf()
	k.mu.Lock()
	if !s.fresh {
		s.position = f.head.Sequence
	}
	k.mu.Unlock()
	k.open[s] = f
	return f, nil
}

func (k *kind) setBehind(s *shard) {
	k.mu.Lock()
	s.behind = true
	k.mu.Unlock()
	k.nudge()
}

// drop closes a shard's work, which is written already.
func (k *kind) drop(s *shard) {
	if f := k.open[s]; f != nil {
		f.close()
		delete(k.open, s)
	}
}

// sliceEntries bounds how long one shard that is behind keeps the others waiting.
const sliceEntries = 200_000

// errSlice ends a slice.
var errSlice = errors.New("enough for now")

// readOn reads a slice of the journal of a shard that is behind, and reports whether there is more.
func (k *kind) readOn(ctx context.Context, s *shard) bool {
	k.mu.Lock()
	fresh := s.fresh
	s.fresh = false
	k.mu.Unlock()
	if fresh {
		err := k.regain(s)
		if err == nil {
			err = boot(ctx, k.fold, s.view, s.journal, k.log)
		}
		if err != nil {
			k.wrote(s, err)
			return false
		}
	}
	f, err := k.folding(s)
	if err != nil {
		k.wrote(s, err)
		return false
	}
	entries := 0
	for c, failed := range commits(ctx, s.journal, f.head.Sequence+1) {
		if err = failed; err == nil {
			err = f.add(c)
		}
		if entries += len(c.Entries); err == nil && entries >= sliceEntries {
			err = errSlice
		}
		if err != nil {
			break
		}
	}
	more := errors.Is(err, errSlice)
	if more || err == nil {
		err = f.flush()
	}
	k.wrote(s, err)
	if err == nil && !more {
		k.caughtUp(s, f.head.Sequence)
	}
	return err == nil && more
}

// regain lets a shard be folded on from what its store has, unless what its shelf lost is lost for a reason that stays.
func (k *kind) regain(s *shard) error {
	k.drop(s)
	if err := s.view.shelf.lost(); err != nil && k.lasting(err) {
		return err
	}
	s.view.shelf.forget()
	return nil
}

// caughtUp lets a shard be fed again, unless it was overtaken or lost something meanwhile: then it reads on.
func (k *kind) caughtUp(s *shard, position uint64) {
	k.mu.Lock()
	s.behind = s.fresh || position < s.journal.Head().Sequence
	again := s.behind
	k.mu.Unlock()
	if again {
		k.nudge()
	}
}

// wrote notes how far a shard's view is now, or what went wrong with it, and tells those who wait.
func (k *kind) wrote(s *shard, err error) {
	if err != nil {
		k.drop(s)
		if errors.Is(err, context.Canceled) {
			return
		}
		if !k.lasting(err) {
			k.stall(s, err)
			return
		}
		err = noteDamage(s.view, err)
		k.log.Error("a view is not served", "view", k.fold.Name(), "journal", s.view.Name().String(), "reason", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		s.err = err
	} else if f := k.open[s]; f != nil && !s.fresh {
		s.position = f.head.Sequence
	}
	s.tell()
}

// lasting reports whether an error does not go by itself.
func (k *kind) lasting(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, journal.ErrDamaged) || k.store.Unreadable() != ""
}

// lost is told by a shard's shelf, which nobody reads meanwhile, that it could not be written. Whoever waits for a commit
// waits from now on, until it is folded again: else he would be served, without an error, what the store has of before.
func (k *kind) lost(s *shard, err error) {
	k.stall(s, err) // first: while it is fresh, nobody raises its position
	k.mu.Lock()
	s.position = 0
	k.mu.Unlock()
}

// retryAfter is how long a shard whose journal or store could not be reached is left alone.
const retryAfter = time.Second

// stall lets a shard try again later from where its view is.
func (k *kind) stall(s *shard, err error) {
	k.log.Warn("a view has to wait", "view", k.fold.Name(), "journal", s.view.Name().String(), "reason", err)
	k.mu.Lock()
	s.behind, s.fresh, s.stalled = true, true, true
	k.mu.Unlock()
	time.AfterFunc(k.retry, func() {
		k.mu.Lock()
		s.stalled = false
		k.mu.Unlock()
		k.nudge()
	})
}
