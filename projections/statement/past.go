package statement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// past reads the facts of one account, and counts what it reads. It is for one goroutine; close it.
type past struct {
	view    *View
	account string
	facts   uint64
	// read is how many records were read.
	read int

	own  []byte // what the keys of the facts start with
	key  []byte
	iter *projections.Iter // over the facts; nil until it is needed
	at   Record
}

// look begins to read an account's past.
func (v *View) look(account string) (*past, error) {
	p := v.open(account, 0)
	value, ok, err := v.Get(nil, appendState(nil, account))
	if err != nil || !ok {
		return p, err
	}
	p.read++
	p.facts, err = decodeCount(value)
	return p, err
}

func (v *View) open(account string, facts uint64) *past {
	return &past{view: v, account: account, facts: facts, own: projections.AppendText([]byte{tagFact}, account)}
}

func (p *past) close() {
	if p.iter != nil {
		_ = p.iter.Close()
	}
}

// seek reads the n-th fact. With next it may be that the iterator stands at the one before it.
func (p *past) seek(n uint64, next bool) (value []byte, err error) {
	if p.iter == nil {
		if p.iter, err = p.view.Iter(p.own, append(slices.Clone(p.own), 0xff)); err != nil {
			return nil, err
		}
		next = false
	}
	if next {
		next = p.iter.Next()
	} else {
		p.key = binary.BigEndian.AppendUint64(append(p.key[:0], p.own...), n)
		next = p.iter.SeekGE(p.key)
	}
	if err := p.iter.Error(); err != nil {
		return nil, err
	}
	if key := p.iter.Key(); !next || len(key) != len(p.own)+8 || binary.BigEndian.Uint64(key[len(p.own):]) != n {
		return nil, fmt.Errorf("fact %d is not there: %w", n, errRecord)
	}
	p.read++
	return p.iter.ValueAndErr()
}

// numbers reads a fact without its texts.
func (p *past) numbers(n uint64, next bool) (*Record, error) {
	value, err := p.seek(n, next)
	if err == nil {
		_, err = p.at.decodeNumbers(n, value)
	}
	return &p.at, err
}

// first is the number of the first fact of the first most that is behind a bound, and most+1 when none is. Facts
// are bisected: those behind come after those that are not.
func (p *past) first(most uint64, behind func(*Record) bool) (uint64, error) {
	from, to := uint64(1), most+1
	for from < to {
		middle := from + (to-from)/2
		r, err := p.numbers(middle, false)
		if err != nil {
			return 0, err
		}
		if behind(r) {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return from, nil
}

// part is which facts are part of an account as of an instant, as far as was known: the first ones, all that
// were recorded by then, and of those behind them the late ones, which acted by then.
type part struct {
	first uint64
	late  []uint64
}

// cut tells the last limit of them from those before.
func (c part) cut(limit int) (before part, last []uint64) {
	for i := len(c.late); i > 0 && len(last) < limit; i-- {
		last = append(last, c.late[i-1])
	}
	before = part{c.first, c.late[:len(c.late)-len(last)]}
	for ; before.first > 0 && len(last) < limit; before.first-- {
		last = append(last, before.first)
	}
	slices.Reverse(last)
	return before, last
}

// choose finds the facts that are part of an account at an instant (zero: all), as far as was known, of those
// before a number (0: all).
func (p *past) choose(at time.Time, known Known, before uint64) (c part, err error) {
	most := p.facts
	if before > 0 {
		most = min(most, before-1)
	}
	if known != (Known{}) {
		unknown, err := p.first(most, func(r *Record) bool { return !known.includes(r) })
		if err != nil {
			return c, err
		}
		most = unknown - 1
	}
	if at.IsZero() {
		return part{first: most}, nil
	}
	// Nothing is recorded before it happened: what was recorded by then had happened.
	later, err := p.first(most, func(r *Record) bool { return r.Recorded.After(at) })
	if err != nil {
		return c, err
	}
	c.first = later - 1
	c.late, err = p.lateOnes(c.first, most, at)
	return c, err
}

// lateOnes are the facts behind one, up to another, that happened by an instant. Stretches without any are
// passed over.
func (p *past) lateOnes(behind, most uint64, at time.Time) (late []uint64, err error) {
	for n := behind; n < most; {
		passed, err := p.passOver(n, most, at)
		if err != nil {
			return nil, err
		}
		if passed > 0 {
			n += passed
			continue
		}
		end := min(most, n-n%stretch+stretch)
		for next := false; n < end; next = true {
			n++
			r, err := p.numbers(n, next)
			if err != nil {
				return nil, err
			}
			if !r.Time.After(at) {
				late = append(late, n)
			}
		}
	}
	return late, nil
}

// passOver is how many facts behind n happened after an instant, as the longest stretch says that begins there;
// 0 when none does.
func (p *past) passOver(n, most uint64, at time.Time) (uint64, error) {
	width, level := uint64(1), -1
	for next := uint64(stretch); n%next == 0 && n+next <= most; next *= fan {
		width, level = next, level+1
	}
	for ; level >= 0; level-- {
		r, err := p.numbers(n+width, false)
		if err != nil {
			return 0, err
		}
		if r.early[level] > at.UnixNano() {
			return width, nil
		}
		width /= fan
	}
	return 0, nil
}

// fold folds a part of the facts, from the last snapshot that has none but of its first ones. A late fact may
// rest on credits that came back only after at: it is left out, and counted.
func (p *past) fold(c part, at time.Time) (a *credit.Account, leftOut int, err error) {
	a, n, err := p.snapshot(c.first)
	if err != nil {
		return nil, 0, err
	}
	var decoder credit.Decoder
	var r Record
	take := func(n uint64, next bool) (fits bool, err error) {
		value, err := p.seek(n, next)
		if err == nil {
			err = r.decodeFact(n, value)
		}
		if err != nil {
			return false, err
		}
		event, err := r.Event(&decoder)
		if err != nil {
			return false, err
		}
		late := !at.IsZero() && r.Recorded.After(at)
		if a, fits = evolve(a, event, r.Time, late); !fits && !late {
			return false, fmt.Errorf("fact %d makes no sense: %w", n, projections.ErrDamaged)
		}
		return fits, nil
	}
	for next := false; n < c.first; next = true {
		n++
		if _, err := take(n, next); err != nil {
			return nil, 0, err
		}
	}
	for _, n := range c.late {
		fits, err := take(n, false)
		if err != nil {
			return nil, 0, err
		}
		if !fits {
			leftOut++
		}
	}
	return a, leftOut, nil
}

// snapshot returns the account as of its last snapshot that is not behind the n-th fact, and of which fact it is:
// 0, and an account without any facts, when there is none.
func (p *past) snapshot(n uint64) (a *credit.Account, after uint64, err error) {
	own := projections.AppendText([]byte{tagSnapshot}, p.account)
	it, err := p.view.Iter(own, appendSnapshot(nil, p.account, n+1))
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.Last() {
		return credit.NewAccount(p.account), 0, it.Error()
	}
	p.read++
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, 0, err
	}
	_, after, ok := cutNumbered(it.Key())
	if !ok {
		return nil, 0, errRecord
	}
	if a, err = credit.RestoreSnapshot(p.account, value); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errRecord, err)
	}
	return a, after, nil
}
