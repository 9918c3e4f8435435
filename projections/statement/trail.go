package statement

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
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
	// LeftOut is as in Refold.
	LeftOut int
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
	var t Trail
	var decoder credit.Decoder
	err := v.backwards(account, before, func(r *Record) (more bool, err error) {
		if !known.includes(r) || !at.IsZero() && r.Time.After(at) {
			return true, nil
		}
		told := Told{Record: *r, Late: !at.IsZero() && r.Recorded.After(at)}
		told.Data = slices.Clone(r.Data)
		if told.Event, err = r.Event(&decoder); err != nil {
			return false, err
		}
		t.Facts = append(t.Facts, told)
		return len(t.Facts) < limit, nil
	})
	if err != nil {
		return Trail{}, fmt.Errorf("trail of account %s of %s: %w", account, v.Name(), err)
	}
	slices.Reverse(t.Facts)
	first := before
	if len(t.Facts) > 0 {
		first = t.Facts[0].N
	}
	if first > 0 {
		t.Earlier = first - 1
	}
	if t.Before, t.LeftOut, err = v.refold(account, at, known, first); err != nil {
		return Trail{}, err
	}
	return t, nil
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

// backwards hands out the records of facts before a number (0: all), newest first, until each says that it
// wants no more. A record is valid until the next.
func (v *View) backwards(account string, before uint64, each func(*Record) (more bool, err error)) error {
	own := projections.AppendText([]byte{tagFact}, account)
	it, err := v.Iter(own, append(slices.Clone(own), 0xff))
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	valid := false
	if before == 0 {
		valid = it.Last()
	} else {
		valid = it.SeekLT(binary.BigEndian.AppendUint64(slices.Clone(own), before))
	}
	var r Record
	for ; valid; valid = it.Prev() {
		_, n, ok := cutFact(it.Key())
		value, err := it.ValueAndErr()
		if err == nil && !ok {
			err = errRecord
		}
		if err == nil {
			err = r.decode(n, value)
		}
		if err != nil {
			return err
		}
		if more, err := each(&r); err != nil || !more {
			return err
		}
	}
	return it.Error()
}

// Entry returns the facts of the entry at a position of the journal, and the account as it was when it was
// decided; no facts when the account has no entry there. Facts are found by bisection: their order is that of
// the journal.
func (v *View) Entry(account string, at projections.Position) (before *credit.Account, facts []Told, err error) {
	if err := v.Err(); err != nil {
		return nil, nil, err
	}
	s, err := v.state(account)
	if err != nil {
		return nil, nil, err
	}
	var fault error
	n := 1 + uint64(sort.Search(int(s.facts), func(i int) bool {
		r, err := v.fact(account, uint64(i)+1)
		if err != nil {
			fault = err
			return true
		}
		return r.At.Sequence > at.Sequence || r.At.Sequence == at.Sequence && r.At.Offset >= at.Offset
	}))
	var decoder credit.Decoder
	for i := n; i <= s.facts && fault == nil; i++ {
		r, err := v.fact(account, i)
		if fault = err; err != nil || r.At != at {
			break
		}
		told := Told{Record: *r}
		if told.Event, fault = r.Event(&decoder); fault == nil {
			facts = append(facts, told)
		}
	}
	if fault != nil {
		return nil, nil, fmt.Errorf("entry of account %s of %s: %w", account, v.Name(), fault)
	}
	if len(facts) == 0 {
		return nil, nil, nil
	}
	before, _, err = v.refold(account, time.Time{}, Known{}, n)
	return before, facts, err
}

func (v *View) state(account string) (*state, error) {
	s := &state{account: account}
	value, ok, err := v.Get(nil, appendState(nil, account))
	if err != nil || !ok {
		return s, err
	}
	return s, s.decode(value)
}

func (v *View) fact(account string, n uint64) (*Record, error) {
	value, ok, err := v.Get(nil, appendFact(nil, account, n))
	if err == nil && !ok {
		err = fmt.Errorf("fact %d is not there: %w", n, errRecord)
	}
	if err != nil {
		return nil, err
	}
	r := new(Record)
	return r, r.decode(n, value)
}
