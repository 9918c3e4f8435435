package model

import (
	"sort"
	"time"
)

// World is one tenant.
type World struct {
	Now      time.Time
	Accounts map[string]*Account
	catalogs []published
}

type published struct {
	at      time.Time
	catalog *Catalog
}

// New is a world with its first catalog.
func New(now time.Time, c *Catalog) *World {
	return &World{Now: now, Accounts: map[string]*Account{}, catalogs: []published{{now, c}}}
}

// Publish puts another catalog in force.
func (w *World) Publish(c *Catalog) { w.catalogs = append(w.catalogs, published{w.Now, c}) }

func (w *World) current() *Catalog { return w.catalogs[len(w.catalogs)-1].catalog }

// at is the catalog in force at t; the first also counts for what came before it.
func (w *World) at(t time.Time) *Catalog {
	c := w.catalogs[0].catalog
	for _, p := range w.catalogs {
		if !p.at.After(t) {
			c = p.catalog
		}
	}
	return c
}

// before is the catalog that goes for what falls due at t, which comes before all that is asked at t.
func (w *World) before(t time.Time) *Catalog { return w.at(t.Add(-1)) }

// settled is an account after everything that fell due by now.
func (w *World) settled(account string) *Account {
	a := w.Accounts[account]
	if a == nil {
		return nil
	}
	for {
		due := a.To
		sooner := func(t time.Time) {
			if !t.IsZero() && t.Before(due) {
				due = t
			}
		}
		for _, l := range a.lots {
			if !l.Over {
				sooner(l.End)
			}
		}
		for _, h := range a.holds {
			sooner(h.expires)
		}
		for _, p := range a.bought {
			if p.Status == "awaiting_payment" {
				sooner(p.until)
			}
		}
		if due.After(w.Now) {
			return a
		}
		w.happen(a, due)
	}
}

// happen is what happens by itself at one instant.
func (w *World) happen(a *Account, at time.Time) {
	boundary := a.To.Equal(at)
	for _, l := range a.lots {
		if !boundary && !l.Over && !l.End.IsZero() && !l.End.After(at) {
			a.end(l, at)
		}
	}
	open := a.holds
	a.holds = nil
	for _, h := range open {
		if h.expires.After(at) {
			a.holds = append(a.holds, h)
			continue
		}
		a.giveBack(h.draws)
		if !boundary { // what ends with the cycle repays nothing any more
			w.repay(a, w.before(at), at)
		}
	}
	for _, p := range a.bought {
		if p.Status == "awaiting_payment" && !p.until.After(at) {
			p.Status = "expired"
		}
	}
	if boundary {
		w.renew(a, at)
	}
}

// renew ends a cycle and begins the next: expire, roll over, grant.
func (w *World) renew(a *Account, at time.Time) {
	c, plan := w.before(at), a.Plan
	if a.Pending != nil {
		plan = *a.Pending
	}
	a.step++
	to := monthsAfter(a.anchor, a.step+1)
	for _, name := range sorted(c.Pools) {
		w.endPool(a, c, name, plan, at, to)
	}
	changed := plan != a.Plan
	a.Plan, a.Pending = plan, nil
	for _, l := range a.lots {
		if changed && l.Allowance && !l.Over {
			panic("model: an allowance outlived its plan")
		}
	}
	a.newCycle(at, to)
	w.allow(a, c, at)
	w.repay(a, w.before(at), at)
}

// endPool ends the lots of one pool whose time is over, and the allowances of a plan that ends. What burns
// last rolls over first.
func (w *World) endPool(a *Account, c *Catalog, name, plan string, at, to time.Time) {
	var over []*Lot
	for _, l := range a.lots {
		timely := !l.End.IsZero() && !l.End.After(at)
		if l.Pool == name && !l.Over && (timely || l.Allowance && plan != a.Plan) {
			over = append(over, l)
		}
	}
	sort.Slice(over, func(i, j int) bool { return before(c, over[j], over[i]) })
	room := c.Pools[name].RollUpTo
	for _, l := range over {
		rolls := min(l.Left, room)
		if l.End.IsZero() || l.End.After(at) {
			rolls = 0
		}
		if rolls > 0 {
			room -= rolls
			l.Left -= rolls
			a.start(&Lot{Pool: name, Unit: l.Unit, Paid: l.Paid, Start: at, End: to}, rolls)
		}
		a.end(l, at)
	}
}

// allow grants what the plan allows for the cycle.
func (w *World) allow(a *Account, c *Catalog, at time.Time) {
	for _, pool := range sorted(c.Plans[a.Plan].Allowances) {
		amount := c.Plans[a.Plan].Allowances[pool]
		l := a.start(&Lot{Pool: pool, Unit: c.Pools[pool].Unit, Allowance: true, Start: at, End: c.endOf(pool, at, a.To)}, amount)
		a.pool(pool).started += l.Left
	}
}

func (c *Catalog) endOf(pool string, start, cycleEnd time.Time) time.Time {
	switch p := c.Pools[pool]; {
	case p.CycleEnd:
		return cycleEnd
	case p.Days > 0:
		return start.AddDate(0, 0, p.Days)
	}
	return time.Time{}
}

// repay pays debts out of what is there now.
func (w *World) repay(a *Account, c *Catalog, at time.Time) {
	for _, meter := range sorted(a.debts) {
		if a.Closed {
			return
		}
		draws, short := a.take(c, meter, "", a.debts[meter], at, func(l *Lot) bool { return !l.Over && !c.frozen(a.Plan, l.Pool) })
		a.charge(draws)
		if a.debts[meter] = short; short == 0 {
			delete(a.debts, meter)
		}
	}
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
