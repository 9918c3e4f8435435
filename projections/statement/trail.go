package statement

import (
	"fmt"
	"slices"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Trail is the end of what led to an account as it was at an instant: the account before, and then fact by
// fact.
type Trail struct {
	// Before is the account before the first of Facts; its owner is the caller.
	Before *credit.Account
	// Facts are oldest first.
	Facts []Told
	// Earlier is how many of the account's facts come before Facts.
	Earlier uint64
	// LeftOut and Read are as in Past.
	LeftOut, Read int
}

// Told is a fact with its record. Late says that it was recorded after the instant of the trail, and may rest
// on what was not there by then.
type Told struct {
	Record
	Event credit.Event
	Late  bool
}

// Trail returns the last limit facts that make an account as of at and as far as known, as Refold folds them,
// of those before fact number before (0: all).
func (v *View) Trail(account string, at time.Time, known Known, before uint64, limit int) (Trail, error) {
	if err := v.Err(); err != nil {
		return Trail{}, err
	}
	p, err := v.look(account)
	defer p.close()
	if err != nil {
		return Trail{}, err
	}
	t, err := p.trail(at, known, before, limit)
	if err != nil {
		return Trail{}, fmt.Errorf("trail of account %s of %s: %w", account, v.Name(), err)
	}
	t.Read = p.read
	return t, nil
}

func (p *past) trail(at time.Time, known Known, before uint64, limit int) (t Trail, err error) {
	chosen, err := p.choose(at, known, before)
	if err != nil {
		return t, err
	}
	earlier, last := chosen.cut(limit)
	var decoder credit.Decoder
	for i, n := range last {
		told, err := p.tell(n, i > 0 && last[i-1] == n-1, &decoder)
		if err != nil {
			return t, err
		}
		told.Late = !at.IsZero() && told.Recorded.After(at)
		t.Facts = append(t.Facts, told)
	}
	first := before
	if len(last) > 0 {
		first = last[0]
	}
	if first > 0 {
		t.Earlier = first - 1
	}
	t.Before, t.LeftOut, err = p.fold(earlier, at)
	return t, err
}

// tell reads the n-th fact, for as long as somebody wants it.
func (p *past) tell(n uint64, next bool, decoder *credit.Decoder) (told Told, err error) {
	value, err := p.seek(n, next)
	if err != nil {
		return told, err
	}
	if err := told.decode(n, value); err != nil {
		return told, fmt.Errorf("fact %d: %w", n, err)
	}
	told.Data = slices.Clone(told.Data)
	told.Event, err = told.Record.Event(decoder)
	return told, err
}

// Fold folds the fact into the account. ok is false for a late one that does not fit: the account that is
// returned is then as it was.
func (t *Told) Fold(a *credit.Account) (next *credit.Account, ok bool, err error) {
	next, ok = evolve(a, t.Event, t.Time, t.Late)
	if !ok && !t.Late {
		return nil, false, fmt.Errorf("account %s: fact %d makes no sense: %w", a.ID(), t.N, projections.ErrDamaged)
	}
	return next, ok, nil
}

// Entry returns the facts of the entry at a position of the journal, and the account as it was when it was
// decided; no facts when the account has no entry there. Facts are found by bisection: their order is that of
// the journal.
func (v *View) Entry(account string, at projections.Position) (before *credit.Account, facts []Told, err error) {
	if err := v.Err(); err != nil {
		return nil, nil, err
	}
	p, err := v.look(account)
	defer p.close()
	if err == nil {
		before, facts, err = p.entry(at)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("entry of account %s of %s: %w", account, v.Name(), err)
	}
	return before, facts, nil
}

func (p *past) entry(at projections.Position) (before *credit.Account, facts []Told, err error) {
	first, err := p.first(p.facts, func(r *Record) bool {
		return r.At.Sequence > at.Sequence || r.At.Sequence == at.Sequence && r.At.Offset >= at.Offset
	})
	if err != nil {
		return nil, nil, err
	}
	var decoder credit.Decoder
	for n := first; n <= p.facts; n++ {
		told, err := p.tell(n, n > first, &decoder)
		if err != nil {
			return nil, nil, err
		}
		if told.At != at {
			break
		}
		facts = append(facts, told)
	}
	if len(facts) == 0 {
		return nil, nil, nil
	}
	before, _, err = p.fold(part{first: first - 1}, time.Time{})
	return before, facts, err
}
