package statement

import (
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Known says up to where the journal was known: both bounds include what they name, and zero means all.
type Known struct {
	// Position is the last entry known.
	Position projections.Position
	// Recorded is the latest decision known.
	Recorded time.Time
}

// includes reports whether a fact was known; facts are recorded in order, so that none after the first
// unknown one was.
func (k Known) includes(r *Record) bool {
	if k.Position != (projections.Position{}) {
		p := k.Position
		if r.At.Sequence > p.Sequence || (r.At.Sequence == p.Sequence && r.At.Offset > p.Offset) {
			return false
		}
	}
	return k.Recorded.IsZero() || !r.Recorded.After(k.Recorded)
}

// Past is an account as it was.
type Past struct {
	// Account belongs to the caller. What was reversed of single uses it does not know.
	Account *credit.Account
	// LeftOut counts late facts that could not be part of it: a late use can rest on credits that came back
	// only after the instant (a reversal made room for it).
	LeftOut int
	// Read is how many records it took.
	Read int
}

// Refold gives an account as it was at an instant, as far as was known: the fold of its facts that had
// happened by then, in the order they were recorded. Zero for at means the latest. What fell due by then and
// was booked later is in it if the booking was known; settle the account for the rest.
//
// It starts at a snapshot, the last one all of whose facts were known and recorded by then: so they happened by
// then, and no fact that the instant leaves out is in it. Of the facts behind it, those recorded by then follow,
// less than two intervals of snapshots for an account that does not hold more than it does; and those that were
// recorded later and acted by then, which are looked up. So it costs the same however long the history is, before
// the instant and after it.
func (v *View) Refold(account string, at time.Time, known Known) (Past, error) {
	if err := v.Err(); err != nil {
		return Past{}, err
	}
	p, err := v.look(account)
	defer p.close()
	if err != nil {
		return Past{}, err
	}
	c, err := p.choose(at, known, 0)
	if err != nil {
		return Past{}, fmt.Errorf("facts of account %s of %s: %w", account, v.Name(), err)
	}
	a, leftOut, err := p.fold(c, at)
	if err != nil {
		return Past{}, fmt.Errorf("account %s of %s: %w", account, v.Name(), err)
	}
	return Past{Account: a, LeftOut: leftOut, Read: p.read}, nil
}

// evolve folds a fact; careful keeps the account as it was when the fact does not fit.
func evolve(a *credit.Account, event credit.Event, at time.Time, careful bool) (next *credit.Account, ok bool) {
	before := a
	if careful {
		a = a.Clone()
	}
	defer func() {
		if recover() != nil {
			next, ok = before, false
		}
	}()
	a.Evolve(event, at)
	return a, true
}
