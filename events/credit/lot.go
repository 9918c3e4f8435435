package credit

import (
	"sort"
	"time"
)

// Lot is what is left of one grant. Rules read it; only Evolve writes it.
type Lot struct {
	ID         string
	Ordinal    uint64 // the order of grants in the account, from 1
	Pool, Unit string
	Kind       string // the kinds of a Grant
	Paid       bool
	Granted    Amount
	Remaining  Amount
	Held       Amount
	Breakage   Amount // what expired of it and late usage may still take
	Starts     time.Time
	Ends       time.Time // zero: never
	Warns      time.Time // when its end is announced; zero: it is not
	Ended      bool      // booked as ended; a lot with nothing remaining may end without a fact
	EndedCycle uint32    // the cycle that its breakage belongs to
	Warned     bool      // its end was announced
	Price      Money     // net revenue of the whole lot
	Recognised int64     // revenue recognised so far, handed on by rollover or paid back, minor units
	Cycles     uint32    // how many boundaries its credits have crossed by rollover
	dirty      bool
}

// Alive reports whether the lot may be drawn, or given back to, at t.
func (l *Lot) Alive(t time.Time) bool {
	return !l.Ended && !t.Before(l.Starts) && (l.Ends.IsZero() || t.Before(l.Ends))
}

// ValidAt reports whether t lies within the lot's life, whether or not it has ended since.
func (l *Lot) ValidAt(t time.Time) bool {
	return !t.Before(l.Starts) && (l.Ends.IsZero() || t.Before(l.Ends))
}

// Before is the burn order among lots of pools with equal priority and restriction: earlier end, free
// before paid, earlier grant.
func (l *Lot) Before(o *Lot) bool {
	if !l.Ends.Equal(o.Ends) {
		if l.Ends.IsZero() || o.Ends.IsZero() {
			return o.Ends.IsZero()
		}
		return l.Ends.Before(o.Ends)
	}
	if l.Paid != o.Paid {
		return !l.Paid
	}
	return l.Ordinal < o.Ordinal
}

// Terms are the terms of a balance for one pool in the current cycle (RULES.md). They close:
// Opening + Started + Returned = Used + Held + Expired + Revoked + Remaining.
// Remaining contains what a plan freezes; which pools those are is a rule and not a fact.
type Terms struct {
	Opening, Started, Returned              Amount
	Used, Held, Expired, Revoked, Remaining Amount
}

// Total is opening + started + returned.
func (t Terms) Total() Amount { return t.Opening + t.Started + t.Returned }

// Close reports whether the terms close and none of them is negative.
func (t Terms) Close() bool {
	for _, term := range [...]Amount{t.Opening, t.Started, t.Returned, t.Used, t.Held, t.Expired, t.Revoked, t.Remaining} {
		if term < 0 {
			return false
		}
	}
	return t.Total() == t.Used+t.Held+t.Expired+t.Revoked+t.Remaining
}

// Pool is the account's part of one pool: its terms, and its lots that have something remaining.
type Pool struct {
	Name, Unit string
	Terms      Terms
	live       []*Lot // Remaining > 0, in burn order
	unwarned   int    // how many of them are still to be announced
}

// Live returns the lots with something remaining, in burn order. The slice belongs to the account: read
// it before the next Evolve and do not change it.
func (p *Pool) Live() []*Lot { return p.live }

// unwarned reports whether the lot's end is still to be announced.
func (l *Lot) unwarned() bool { return !l.Warned && !l.Warns.IsZero() }

func (p *Pool) insert(l *Lot) {
	if l.unwarned() {
		p.unwarned++
	}
	i := sort.Search(len(p.live), func(i int) bool { return l.Before(p.live[i]) })
	p.live = append(p.live, nil)
	copy(p.live[i+1:], p.live[i:])
	p.live[i] = l
}

func (p *Pool) remove(l *Lot) {
	if l.unwarned() {
		p.unwarned--
	}
	if len(p.live) > 0 && p.live[0] == l {
		copy(p.live, p.live[1:])
		p.live = p.live[:len(p.live)-1]
		return
	}
	i := sort.Search(len(p.live), func(i int) bool { return !p.live[i].Before(l) })
	if i >= len(p.live) || p.live[i] != l {
		panic("credit: a lot with something remaining is not where the burn order says: " + l.ID)
	}
	p.live = append(p.live[:i], p.live[i+1:]...)
}
