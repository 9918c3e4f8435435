package projections

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Difference is one record that two sets of records disagree on, in words.
type Difference struct {
	View   string `json:"view"`
	Tenant string `json:"tenant"`
	Shard  int    `json:"shard"`
	Record string `json:"record"`
	// Live is what the view says, Journal what the fold of the journal says; empty where there is no record.
	Live    string `json:"live,omitempty"`
	Journal string `json:"journal,omitempty"`
}

// maxDifferences bounds how many differences are described; all are counted.
const maxDifferences = 100

// differences collects what a comparison found.
type differences struct {
	count uint64
	first []Difference
}

// side is one of the two sets: all records with a prefix.
type side struct {
	reader pebble.Reader
	prefix []byte
	view   *View // whose they are; nil for those that are made for the comparison
}

// comparison is one of two sides, in parts that lie between borders: keys without the view's prefix, in order.
type comparison struct {
	fold         Fold
	name         Name
	live, folded side
	borders      [][]byte
}

// run goes over the records of both sides by key, over as many parts at a time as there are processors. The
// checkpoints are left out: those who compare see to it that both stand for the same place. errUnreadable is about the
// live ones; what was found beside that is counted.
func (c *comparison) run(ctx context.Context, found *differences) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	parts := make([]differences, len(c.borders)+1)
	unreadable := make([]error, len(parts))
	var next atomic.Int64
	var comparing sync.WaitGroup
	for range min(len(parts), runtime.GOMAXPROCS(0)) {
		comparing.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(parts); n = int(next.Add(1)) - 1 {
				err := c.part(ctx, n, &parts[n])
				if errors.Is(err, errUnreadable) {
					unreadable[n], err = err, nil
				}
				if err != nil {
					stop(err)
					return
				}
			}
		})
	}
	comparing.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("compare view %s of %s: %w", c.fold.Name(), c.name, err)
	}
	for i := range parts {
		found.add(&parts[i])
	}
	return cmp.Or(unreadable...)
}

// part compares what lies before the n-th border and not before the one before it.
func (c *comparison) part(ctx context.Context, n int, found *differences) error {
	from, to := firstRecord, []byte(nil)
	if n > 0 {
		from = c.borders[n-1]
	}
	if n < len(c.borders) {
		to = c.borders[n]
	}
	a, err := c.live.iterate(from, to)
	if err != nil {
		return fmt.Errorf("%w: %s", errUnreadable, oneLine(err))
	}
	b, err := c.folded.iterate(from, to)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	err = merge(ctx, c.fold, c.name, a, b, found)
	if err := errors.Join(err, b.Error(), b.Close()); err != nil {
		return errors.Join(err, a.Close())
	}
	if err := errors.Join(a.Error(), a.Close()); err != nil {
		return fmt.Errorf("%w: %s", errUnreadable, oneLine(err))
	}
	return nil
}

// firstRecord is the first key behind that of the checkpoint, whose rest is empty.
var firstRecord = []byte{0}

// iterate goes over the records from a key to before another one, nil for all from there.
func (s side) iterate(from, to []byte) (*Iter, error) {
	lower, upper := slices.Concat(s.prefix, from), after(s.prefix)
	if to != nil {
		upper = slices.Concat(s.prefix, to)
	}
	it, err := s.reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, s.view.lost(s.prefix, err)
	}
	return &Iter{Iterator: it, view: s.view, prefix: s.prefix}, nil
}

// merge ends early where one of them cannot be read on: what the other one has from there is no difference.
func merge(ctx context.Context, fold Fold, name Name, live, folded *Iter, found *differences) error {
	a, b := live.First(), folded.First()
	for n := 0; a || b; n++ {
		if !a && live.Error() != nil || !b && folded.Error() != nil {
			return nil
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		order := 0
		switch {
		case !b:
			order = -1
		case !a:
			order = 1
		default:
			order = bytes.Compare(live.Key(), folded.Key())
		}
		switch {
		case order < 0:
			found.note(fold, name, live, nil)
		case order > 0:
			found.note(fold, name, nil, folded)
		case !bytes.Equal(live.Value(), folded.Value()):
			found.note(fold, name, live, folded)
		}
		if order <= 0 {
			a = live.Next()
		}
		if order >= 0 {
			b = folded.Next()
		}
	}
	return nil
}

// add takes in what was found in a part behind.
func (d *differences) add(part *differences) {
	d.count += part.count
	d.first = append(d.first, part.first[:min(len(part.first), maxDifferences-len(d.first))]...)
}

func (d *differences) note(fold Fold, name Name, live, folded *Iter) {
	d.count++
	if len(d.first) >= maxDifferences {
		return
	}
	diff := Difference{View: fold.Name(), Tenant: name.Tenant, Shard: name.Shard}
	if live != nil {
		diff.Record, diff.Live = fold.Describe(live.Key(), live.Value())
	}
	if folded != nil {
		diff.Record, diff.Journal = fold.Describe(folded.Key(), folded.Value())
	}
	d.first = append(d.first, diff)
}
