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

// Refold gives an account as it was at an instant, as far as was known: the fold of its facts that had
// happened by then, in the order they were recorded. Zero for at means the latest. What fell due by then and
// was booked later is in it if the booking was known; settle the account for the rest.
//
// A late use can rest on credits that came back only after at (a reversal made room for it). Such a fact
// cannot be part of an earlier balance; it is left out and counted in leftOut.
func (v *View) Refold(account string, at time.Time, known Known) (a *credit.Account, leftOut int, err error) {
	if err := v.Err(); err != nil {
		return nil, 0, err
	}
	return v.refold(account, at, known, 0)
}

// refold folds the facts before a number; 0: all.
func (v *View) refold(account string, at time.Time, known Known, before uint64) (a *credit.Account, leftOut int, err error) {
	a = credit.NewAccount(account)
	var decoder credit.Decoder
	for r, err := range v.Facts(account, 1) {
		if err != nil {
			return nil, 0, err
		}
		if !known.includes(r) || before > 0 && r.N >= before {
			break
		}
		if !at.IsZero() && r.Time.After(at) {
			continue
		}
		event, err := r.Event(&decoder)
		if err != nil {
			return nil, 0, fmt.Errorf("account %s: %w", account, err)
		}
		late := !at.IsZero() && r.Recorded.After(at)
		next, ok := evolve(a, event, r.Time, late)
		if !ok && !late {
			return nil, 0, fmt.Errorf("account %s: fact %d makes no sense: %w", account, r.N, projections.ErrDamaged)
		}
		if !ok {
			leftOut++
		}
		a = next
	}
	return a, leftOut, nil
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
