package projections

import (
	"context"
	"errors"
	"fmt"
)

// RebuildOptions say how to rebuild a view.
type RebuildOptions struct {
	// Accept switches to the new records though they differ from the live ones.
	Accept bool
	// Progress is told how many commits of how many are folded; nil for nobody.
	Progress func(done, total uint64)
}

// Rebuilt is what came of a rebuild.
type Rebuilt struct {
	View     string `json:"view"`
	Tenant   string `json:"tenant"`
	Shard    int    `json:"shard"`
	Position uint64 `json:"position"` // the commit at which live and new records were compared
	// Compared is false where there was nothing sound to compare with; then it is switched to all the same.
	Compared bool `json:"compared"`
	// Unreadable is why the live records could not be compared to their end; empty where they could.
	Unreadable string `json:"unreadable,omitempty"`
	// Different counts the records that differ; Differences describes the first of them.
	Different   uint64       `json:"different"`
	Differences []Difference `json:"differences,omitempty"`
	// Switched says that the new records are live now.
	Switched bool `json:"switched"`
}

// ErrRebuilding says that this view is being rebuilt already.
var ErrRebuilding = errors.New("a rebuild of this view is under way")

// closeEnough is how many commits a rebuild may be behind when it asks the writer to pause.
const closeEnough = 64

// Rebuild folds a journal from its start into new records beside the live ones, which are served
// meanwhile; compares both at the same commit; and makes the new ones live between two commits. When they
// differ it switches only with Accept; else it reports what differs and leaves all as it was.
func (r *Runner) Rebuild(ctx context.Context, view string, name Name, o RebuildOptions) (Rebuilt, error) {
	k, err := r.kind(view)
	if err != nil {
		return Rebuilt{}, err
	}
	k.mu.Lock()
	s := k.shards[name]
	k.mu.Unlock()
	if s == nil {
		return Rebuilt{}, fmt.Errorf("view %s: there is no journal %s", view, name)
	}
	if !k.startRebuild(s) {
		return Rebuilt{}, fmt.Errorf("view %s of %s: %w", view, name, ErrRebuilding)
	}
	defer k.endRebuild(s)
	draft, err := k.store.draft(name, k.fold.Version())
	if err != nil {
		return Rebuilt{}, fmt.Errorf("rebuild view %s of %s: %w", view, name, err)
	}
	b := &rebuild{kind: k, shard: s, draft: draft, options: o, result: Rebuilt{View: view, Tenant: name.Tenant, Shard: name.Shard}}
	err = b.run(ctx)
	if !b.result.Switched {
		err = errors.Join(err, draft.discard())
	}
	if err != nil {
		return b.result, fmt.Errorf("rebuild view %s of %s: %w", view, name, err)
	}
	return b.result, nil
}

func (k *kind) startRebuild(s *shard) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.rebuild != nil {
		return false
	}
	s.rebuild = &Progress{}
	return true
}

func (k *kind) endRebuild(s *shard) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.rebuild = nil
}

// rebuild is one under way.
type rebuild struct {
	kind    *kind
	shard   *shard
	draft   *View
	folding *folding
	options RebuildOptions
	result  Rebuilt
}

func (b *rebuild) run(ctx context.Context) error {
	var err error
	if b.folding, err = newFolding(b.kind.fold, b.draft, b.shard.journal.Start()); err != nil {
		return err
	}
	defer b.folding.close()
	b.folding.build()
	if err := b.closeIn(ctx); err != nil {
		return err
	}
	if b.sound() {
		found, err := b.compare(ctx)
		if b.result.Unreadable = b.unreadable(err); err != nil && b.result.Unreadable == "" {
			return err
		}
		b.result.Compared, b.result.Different, b.result.Differences = err == nil, found.count, found.first
		if found.count > 0 && !b.options.Accept {
			return nil
		}
		if err := b.closeIn(ctx); err != nil {
			return err
		}
	}
	return b.switchOver(ctx)
}

// closeIn folds until little is missing, so that a writer has to pause for a moment only.
func (b *rebuild) closeIn(ctx context.Context) error {
	for {
		if err := b.folding.catchUp(ctx, b.shard.journal, b.progress); err != nil {
			return err
		}
		if b.folding.head.Sequence+closeEnough >= b.shard.journal.Head().Sequence {
			return nil
		}
	}
}

func (b *rebuild) progress(done, total uint64) {
	b.kind.mu.Lock()
	*b.shard.rebuild = Progress{Done: done, Total: total}
	b.kind.mu.Unlock()
	if b.kind.trap != nil {
		b.kind.trap(TrappedRebuilding)
	}
	if b.options.Progress != nil {
		b.options.Progress(done, total)
	}
}

// unreadable is why live records could not be compared, where that is what err is about.
func (b *rebuild) unreadable(err error) string {
	switch why := b.shard.view.Unreadable(); {
	case err == nil:
		return ""
	case why == "" && errors.Is(err, errUnreadable):
		return err.Error()
	default:
		return why
	}
}

// sound reports whether the live records may be compared with at all.
func (b *rebuild) sound() bool {
	b.kind.mu.Lock()
	defer b.kind.mu.Unlock()
	return b.shard.err == nil && b.shard.view.Standing().Version == b.kind.fold.Version()
}

// compare brings the new records to the commit of the live ones while these stand still, and compares what
// both were at that moment.
func (b *rebuild) compare(ctx context.Context) (found differences, err error) {
	db := b.kind.store.db
	live, folded := side{}, side{}
	err = b.kind.between(ctx, b.shard, func() error {
		if err := b.meet(ctx); err != nil {
			return err
		}
		b.result.Position = b.folding.head.Sequence
		if err := b.shard.view.settled(); err != nil {
			return err
		}
		snapshot := db.NewSnapshot()
		live = side{snapshot, b.shard.view.live.Load().prefix, b.shard.view}
		folded = side{reader: snapshot, prefix: b.draft.live.Load().prefix}
		return nil
	})
	if err != nil {
		return found, err
	}
	c := comparison{b.kind.fold, b.shard.view.name, live, folded, b.draft.borders}
	err = c.run(ctx, &found)
	return found, errors.Join(err, live.reader.Close())
}

// meet folds up to exactly the live view's checkpoint. A live view that lags is brought on first: it may be
// behind what is to replace it.
func (b *rebuild) meet(ctx context.Context) error {
	if !b.kind.written {
		for b.kind.readOn(ctx, b.shard) {
		}
	}
	live, err := b.shard.view.Checkpoint()
	if err != nil {
		return err
	}
	if live == (Head{}) {
		live = b.shard.journal.Start()
	}
	for c, err := range commits(ctx, b.shard.journal, b.folding.head.Sequence+1) {
		if b.folding.head.Sequence >= live.Sequence {
			break
		}
		if err == nil {
			err = b.folding.add(c)
		}
		if err != nil {
			return err
		}
	}
	if err := b.folding.flush(); err != nil {
		return err
	}
	if b.folding.head != live {
		return fmt.Errorf("%w: it stands at commit %d, the journal's fold at %d", errApart, live.Sequence, b.folding.head.Sequence)
	}
	return nil
}

// errApart: live and new records cannot be brought to the same commit.
var errApart = errors.New("the live view is not at a place of its journal that the rebuild could meet it at")

func (b *rebuild) switchOver(ctx context.Context) error {
	return b.kind.between(ctx, b.shard, func() error {
		if b.sound() && b.result.Unreadable == "" {
			if err := b.meet(ctx); err != nil {
				return err
			}
		} else if err := b.folding.catchUp(ctx, b.shard.journal, nil); err != nil {
			return err
		} else if !b.kind.written {
			b.kind.drop(b.shard)
			b.shard.view.shelf.forget() // what it lost is in the new records
		}
		if b.kind.trap != nil {
			b.kind.trap(TrappedSwitching)
			defer b.kind.trap(TrappedSwitched)
		}
		var err error
		if b.result.Switched, err = b.shard.view.become(b.draft); b.result.Switched {
			b.result.Position = b.folding.head.Sequence
			b.kind.switched(b.shard, b.folding.head.Sequence)
		}
		return err
	})
}

// switched lets the new records be served. For a kind with a goroutine it runs on it.
func (k *kind) switched(s *shard, position uint64) {
	if !k.written {
		k.drop(s)
	}
	k.mu.Lock()
	s.err, s.position = nil, position
	s.behind = true
	s.tell()
	k.mu.Unlock()
	k.nudge()
}
