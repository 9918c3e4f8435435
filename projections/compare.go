package projections

import (
	"bytes"
	"context"
	"errors"
	"fmt"

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

// compare goes over the records of both sides by key. The checkpoints are left out: those who compare see to
// it that both stand for the same place. errUnreadable is about the live ones; what was found before that is counted.
func compare(ctx context.Context, fold Fold, name Name, live, folded side, found *differences) error {
	a, err := live.iterate()
	if err != nil {
		return fmt.Errorf("%w: %s", errUnreadable, oneLine(err))
	}
	b, err := folded.iterate()
	if err != nil {
		return errors.Join(err, a.Close())
	}
	err = merge(ctx, fold, name, a, b, found)
	if err := errors.Join(err, b.Error(), b.Close()); err != nil {
		return errors.Join(fmt.Errorf("compare view %s of %s: %w", fold.Name(), name, err), a.Close())
	}
	if err := errors.Join(a.Error(), a.Close()); err != nil {
		return fmt.Errorf("%w: %s", errUnreadable, oneLine(err))
	}
	return nil
}

func (s side) iterate() (*Iter, error) {
	// The first key behind the checkpoint, whose rest is empty.
	from := append(bytes.Clone(s.prefix), 0)
	it, err := s.reader.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(s.prefix)})
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
