package model

import (
	"fmt"
	"sort"
	"time"
)

// Lot is one grant and what became of it.
type Lot struct {
	Pool       string
	Unit       string
	Allowance  bool
	Paid       bool
	Start, End time.Time // End zero: never
	Left       int64     // may be spent
	Held       int64     // in open holds
	Broken     int64     // expired, and late usage may still take it
	Over       bool
	OverIn     int // the cycle in which it was over
	order      int
}

// Draw is how much one lot paid.
type Draw struct {
	lot    *Lot
	Pool   string
	Amount int64
	cycle  int
}

// Terms are the terms of one pool in the present cycle.
type Terms struct{ Total, Used, Held, Expired, Revoked, Frozen, Remaining int64 }

// ledger is the part of the terms that is not to be seen in the lots.
type ledger struct{ opening, started, returned, used, expired, revoked int64 }

// Account is one customer.
type Account struct {
	Plan    string
	Pending *string
	Closed  bool
	Cycle   int
	From    time.Time
	To      time.Time
	anchor  time.Time
	step    int
	lots    []*Lot
	pools   map[string]*ledger
	holds   []*hold
	debts   map[string]int64
	carries map[string]int64
	uses    map[string]*use
	bought  map[string]*purchase
}

func (a *Account) pool(name string) *ledger {
	if a.pools[name] == nil {
		a.pools[name] = &ledger{}
	}
	return a.pools[name]
}

func (a *Account) start(l *Lot, amount int64) *Lot {
	l.Left, l.order = amount, len(a.lots)
	a.lots = append(a.lots, l)
	return l
}

// end is the end of a lot whose time is over, or that is ended before.
func (a *Account) end(l *Lot, at time.Time) {
	l.Over, l.OverIn = true, a.Cycle
	if l.End.IsZero() || at.Before(l.End) {
		l.End = at
	}
	a.pool(l.Pool).expired += l.Left
	l.Broken += l.Left
	l.Left = 0
}

// revoke takes back what is left.
func (a *Account) revoke(l *Lot, at time.Time) {
	a.pool(l.Pool).revoked += l.Left
	l.Left = 0
	a.end(l, at)
}

// newCycle makes what is there the opening of the next cycle.
func (a *Account) newCycle(from, to time.Time) {
	a.Cycle++
	a.From, a.To = from, to
	a.carries = map[string]int64{}
	a.pools = map[string]*ledger{}
	for _, l := range a.lots {
		a.pool(l.Pool).opening += l.Left + l.Held
	}
}

// order says which of two lots pays first.
func before(c *Catalog, x, y *Lot) bool {
	p, q := c.Pools[x.Pool], c.Pools[y.Pool]
	switch {
	case p.Priority != q.Priority:
		return p.Priority < q.Priority
	case (p.Meters != nil || p.Unit != "") != (q.Meters != nil || q.Unit != ""):
		return p.Meters != nil || p.Unit != ""
	case !x.End.Equal(y.End):
		return !x.End.IsZero() && (y.End.IsZero() || x.End.Before(y.End))
	case x.Paid != y.Paid:
		return y.Paid
	}
	return x.order < y.order
}

// take draws up to need from the lots that were valid at at and may pay the meter: those that count its
// units, in whole units, or those that count credits.
func (a *Account) take(c *Catalog, meter, unit string, need int64, at time.Time, may func(*Lot) bool) (draws []Draw, short int64) {
	var lots []*Lot
	for _, l := range a.lots {
		valid := !at.Before(l.Start) && (l.End.IsZero() || at.Before(l.End))
		if valid && l.Unit == unit && c.pays(l.Pool, meter) && (may == nil || may(l)) {
			lots = append(lots, l)
		}
	}
	sort.Slice(lots, func(i, j int) bool { return before(c, lots[i], lots[j]) })
	for _, l := range lots {
		from, cycle := &l.Left, a.Cycle
		if l.Over {
			from, cycle = &l.Broken, l.OverIn
		}
		amount := min(*from, need)
		if unit != "" {
			amount -= amount % Unit
		}
		if amount > 0 {
			*from -= amount
			need -= amount
			draws = append(draws, Draw{l, l.Pool, amount, cycle})
		}
	}
	return draws, need
}

// charge books draws as used.
func (a *Account) charge(draws []Draw) {
	for _, d := range draws {
		switch {
		case !d.lot.Over:
			a.pool(d.Pool).used += d.Amount
		case d.lot.OverIn == a.Cycle:
			a.pool(d.Pool).used += d.Amount
			a.pool(d.Pool).expired -= d.Amount
		}
	}
}

// undo puts draws back as if they had never been.
func undo(draws []Draw) {
	for _, d := range draws {
		if d.lot.Over {
			d.lot.Broken += d.Amount
		} else {
			d.lot.Left += d.Amount
		}
	}
}

// Terms are the terms of the account's pools, settled up to now. It panics when they do not close: the
// model contradicts itself.
func (w *World) Terms(account string) map[string]Terms {
	a := w.settled(account)
	c := w.current()
	all := make(map[string]Terms)
	for _, l := range a.lots {
		a.pool(l.Pool)
	}
	for name, p := range a.pools {
		t := Terms{Total: p.opening + p.started + p.returned, Used: p.used, Expired: p.expired, Revoked: p.revoked}
		for _, l := range a.lots {
			if l.Pool == name {
				t.Held += l.Held
				t.Remaining += l.Left
			}
		}
		if a.Closed || c.frozen(a.Plan, name) {
			t.Frozen, t.Remaining = t.Remaining, 0
		}
		if t.Total != t.Used+t.Held+t.Expired+t.Revoked+t.Frozen+t.Remaining {
			panic(fmt.Sprintf("model: the terms of %s do not close: %+v", name, t))
		}
		all[name] = t
	}
	return all
}

// Lots are the lots of a pool that have something left, in burn order.
func (w *World) Lots(account, pool string) (lots []*Lot) {
	for _, l := range w.settled(account).lots {
		if l.Pool == pool && l.Left > 0 {
			lots = append(lots, l)
		}
	}
	sort.Slice(lots, func(i, j int) bool { return before(w.current(), lots[i], lots[j]) })
	return lots
}

// Remaining are the credits that the account may use now.
func (w *World) Remaining(account string) (sum int64) {
	for name, t := range w.Terms(account) {
		if w.current().Pools[name].Unit == "" {
			sum += t.Remaining
		}
	}
	return sum
}

// Debt is what the account owes.
func (w *World) Debt(account string) int64 { return w.settled(account).owed() }

func (a *Account) owed() (sum int64) {
	for _, d := range a.debts {
		sum += d
	}
	return sum
}
