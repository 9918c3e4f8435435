package projections

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"creditstream/events/journal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Owner is a fold that can say where the records of one account are: ranges of keys, from and to (not included),
// that hold nothing else. What it has elsewhere, such as an index, is found by the keys that a refold makes.
type Owner interface {
	Own(account string) [][2][]byte
}

// pick keeps the accounts that a hash with a seed of its own likes best: a fair sample, whatever their number.
type pick struct {
	seed maphash.Seed
	best map[string]uint64
	most uint64 // the greatest hash among them
}

func newPick() *pick { return &pick{seed: maphash.MakeSeed(), best: make(map[string]uint64)} }

func (p *pick) offer(account string) {
	h := maphash.String(p.seed, account)
	if len(p.best) == sampledAccounts && h >= p.most {
		return
	}
	if _, known := p.best[account]; known {
		return
	}
	p.best[account] = h
	if len(p.best) > sampledAccounts {
		for other, hash := range p.best {
			if hash == p.most {
				delete(p.best, other)
			}
		}
	}
	p.most = 0
	for _, hash := range p.best {
		p.most = max(p.most, hash)
	}
}

func (p *pick) accounts() map[string]int {
	sample := make(map[string]int, len(p.best))
	for account := range p.best {
		sample[account] = 0
	}
	return sample
}

// open makes the stores in memory; without accounts to sample there are none.
func (r *refold) open() error {
	if len(r.accounts) == 0 {
		return nil
	}
	for _, k := range r.beat.kinds {
		store, err := Open(Config{Dir: "patrol", View: k.fold.Name(), FS: vfs.NewMem(), MemTable: 1 << 20})
		if err != nil {
			return err
		}
		r.stores = append(r.stores, store)
		view, err := store.View(r.beat.name, k.fold.Version())
		if err != nil {
			return err
		}
		f, err := newFolding(k.fold, view, r.beat.journal.Start())
		if err != nil {
			return err
		}
		r.folds, r.upTo = append(r.folds, f), append(r.upTo, 0)
	}
	return nil
}

// patience is how long a view that lags may take to come to where the patrol is.
const patience = 10 * time.Second

// compare holds the views, each as it is at one moment, against the refold up to the same commit.
func (p *Patrol) compare(ctx context.Context, r *refold) error {
	live := make([]*twin, len(r.folds))
	defer func() {
		for _, t := range live {
			if t != nil {
				_ = t.snapshot.Close()
			}
		}
	}()
	furthest := r.at
	for k := range r.folds {
		waiting, cancel := context.WithTimeout(ctx, patience)
		err := r.beat.kinds[k].waitFor(waiting, r.beat.name, r.at.Sequence)
		cancel()
		if err != nil {
			return err
		}
		if live[k], err = p.snap(ctx, r, k); err != nil {
			return err
		}
		t := live[k]
		if r.upTo[k] = t.head.Sequence; t.head.Sequence > furthest.Sequence {
			furthest = t.head
		}
	}
	if err := p.advance(ctx, r, furthest); err != nil {
		return err
	}
	for k, t := range live {
		if err := p.compareView(ctx, r, k, t); err != nil {
			return err
		}
	}
	p.note(func(s *PatrolStatus) { s.Compared += uint64(len(r.accounts)) })
	return nil
}

// snap takes a view as it is, once it is where the patrol is: what is acknowledged is committed a moment later, and may
// stand on a shelf for long.
func (p *Patrol) snap(ctx context.Context, r *refold, k int) (*twin, error) {
	for end := time.Now().Add(patience); ; {
		t := &twin{VerifiedView: VerifiedView{r.folds[k].fold, r.beat.views[k].view}}
		t.snap()
		var err error
		if t.head, err = checkpointOf(t.snapshot, t.prefix); err == nil && t.head.Sequence >= r.at.Sequence {
			return t, nil
		}
		if err == nil && (ctx.Err() != nil || time.Now().After(end)) {
			err = fmt.Errorf("view %s of %s is at commit %d, behind the patrol", t.Fold.Name(), r.beat.name, t.head.Sequence)
		}
		if closed := t.snapshot.Close(); err != nil || closed != nil {
			return nil, errors.Join(err, closed)
		}
		if err := t.View.settled(); err != nil {
			return nil, err
		}
		p.sleep(ctx, 10*time.Millisecond)
	}
}

func (p *Patrol) compareView(ctx context.Context, r *refold, k int, live *twin) error {
	f := r.folds[k]
	if err := f.flush(); err != nil {
		return err
	}
	var found differences
	err := r.differences(ctx, k, live, &found)
	if err != nil && !errors.Is(err, ErrDamaged) && !pebble.IsCorruptionError(err) {
		return err
	}
	if err == nil && found.count == 0 {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%d records of sampled accounts are not what commits 1 to %d say; the first: %s", found.count, live.head.Sequence, found.first[0].Record)
	}
	p.found(Finding{Name: r.beat.name, View: f.fold.Name(), Differences: found.first, Err: &journal.At{
		Sequence: live.head.Sequence, Err: fmt.Errorf("view %s of %s: %w: %w", f.fold.Name(), r.beat.name, ErrDamaged, err),
	}})
	return nil
}

// differences compares all records of the sampled accounts, and then whatever else the refold made.
func (r *refold) differences(ctx context.Context, k int, live *twin, found *differences) error {
	f := r.folds[k]
	folded := side{reader: r.stores[k].db, prefix: f.view.live.Load().prefix}
	owner, ok := f.fold.(Owner)
	if !ok {
		return nil
	}
	tooLong := make(map[string]bool)
	for account, seen := range r.accounts {
		if seen >= sampledEntries {
			tooLong[account] = true
			continue
		}
		for _, own := range owner.Own(account) {
			if err := compareRange(ctx, f.fold, r.beat.name, side{live.snapshot, live.prefix, live.View}, folded, own, found); err != nil {
				return err
			}
		}
	}
	if len(tooLong) > 0 {
		return nil // its records are not complete, and the index does not tell whose they are
	}
	return r.indexes(live, folded, f.fold, found)
}

func compareRange(ctx context.Context, fold Fold, name Name, live, folded side, own [2][]byte, found *differences) error {
	a, err := live.iterate(own[0], own[1])
	if err != nil {
		return err
	}
	b, err := folded.iterate(own[0], own[1])
	if err != nil {
		return errors.Join(err, a.Close())
	}
	err = merge(ctx, fold, name, a, b, found)
	return errors.Join(err, a.Error(), b.Error(), a.Close(), b.Close())
}

// indexes looks up each record of the refold in the live view.
func (r *refold) indexes(live *twin, folded side, fold Fold, found *differences) error {
	it, err := folded.iterate(firstRecord, nil)
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for it.First(); it.Valid(); it.Next() {
		value, closer, err := live.snapshot.Get(append(bytes.Clone(live.prefix), it.Key()...))
		if errors.Is(err, pebble.ErrNotFound) {
			found.note(fold, r.beat.name, nil, it)
			continue
		}
		if err != nil {
			return err
		}
		same := bytes.Equal(value, it.Value())
		if err := closer.Close(); err != nil {
			return err
		}
		if !same {
			found.note(fold, r.beat.name, nil, it)
		}
	}
	return it.Error()
}

// Distrust is for a view whose records were found to differ from the journal. One that the runner writes is not
// served from now on, is built anew at once and served again. One that somebody else writes (the accounts, that
// decisions rest on) is built anew at the next start: until then its writer has to stop.
func (r *Runner) Distrust(ctx context.Context, view string, name Name, reason error) error {
	k, err := r.kind(view)
	if err != nil {
		return err
	}
	k.mu.Lock()
	s := k.shards[name]
	if s != nil && !k.written {
		s.err = reason
		s.tell()
	}
	k.mu.Unlock()
	if s == nil {
		return fmt.Errorf("view %s: there is no journal %s", view, name)
	}
	if err := s.view.note(func(standing *Standing) { standing.Suspect = reason.Error() }); err != nil || k.written {
		return err
	}
	_, err = r.Rebuild(ctx, view, name, RebuildOptions{Accept: true})
	return err
}
