package credit

import (
	"fmt"
	"time"
)

func (a *Account) placeHold(e *HoldPlaced, at time.Time) {
	for _, d := range e.Draws {
		l := a.mustLot(d.Lot)
		a.spend(l, d.Amount)
		l.Held += d.Amount
		a.mustPool(l.Pool).Terms.Held += d.Amount
	}
	a.holdCount++
	h := &Hold{ID: e.Hold, Ordinal: a.holdCount, Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Draws: e.Draws, Carry: e.Carry, Placed: at, Expires: e.Expires, Catalog: e.Catalog}
	if a.holds == nil {
		a.holds = make(map[string]*Hold)
	}
	a.holds[h.ID] = h
	a.touchHold(h)
	a.due = time.Time{}
}

func (a *Account) closeHold(id string, charged, released, lapsed []Draw) {
	if a.holds[id] == nil {
		panic("credit: account " + a.id + " has no open hold " + id)
	}
	delete(a.holds, id)
	a.drop(PartHold, id)
	a.due = time.Time{}
	for _, d := range charged {
		_, p := a.unhold(d)
		p.Terms.Used += d.Amount
		a.recognise(d)
	}
	for _, d := range released {
		l, p := a.unhold(d)
		a.refill(l, p, d.Amount)
	}
	for _, d := range lapsed {
		l, p := a.unhold(d)
		if !l.Ended {
			// All of it was held when its time came, so no fact ended it.
			a.end(l, l.Ends)
		}
		l.Breakage += d.Amount
		p.Terms.Expired += d.Amount
		a.recognise(d)
	}
}

func (a *Account) unhold(d Draw) (*Lot, *Pool) {
	l := a.mustLot(d.Lot)
	p := a.mustPool(l.Pool)
	if l.Held < d.Amount {
		panic(fmt.Sprintf("credit: account %s: lot %s holds %d, not %d", a.id, l.ID, l.Held, d.Amount))
	}
	l.Held -= d.Amount
	p.Terms.Held -= d.Amount
	a.touchLot(l)
	return l, p
}

// takeAll charges draws to lots: to what remains of a lot that lives, or to the breakage of one that
// ended, which restates a closed cycle unless the lot ended in this one.
func (a *Account) takeAll(draws []Draw) {
	for _, d := range draws {
		l := a.mustLot(d.Lot)
		if !l.Ended {
			a.spend(l, d.Amount)
			a.mustPool(l.Pool).Terms.Used += d.Amount
		} else {
			if l.Breakage < d.Amount {
				panic(fmt.Sprintf("credit: account %s: lot %s broke %d, not %d", a.id, l.ID, l.Breakage, d.Amount))
			}
			l.Breakage -= d.Amount
			a.touchLot(l)
			if a.inPopulation(l) {
				p := a.mustPool(l.Pool)
				p.Terms.Expired -= d.Amount
				p.Terms.Used += d.Amount
			}
		}
		a.recognise(d)
	}
}

func (a *Account) recognise(d Draw) {
	if d.Revenue != 0 {
		l := a.mustLot(d.Lot)
		l.Recognised += d.Revenue
		a.touchLot(l)
	}
}

func (a *Account) reverse(e *UsageReversed) {
	for _, d := range e.Draws {
		l := a.mustLot(d.Lot)
		p := a.mustPool(l.Pool)
		if d.Cycle == a.cycle.Number {
			p.Terms.Used -= d.Amount
		} else {
			p.Terms.Returned += d.Amount
		}
		a.refill(l, p, d.Amount)
		l.Recognised -= d.Revenue
	}
	for _, d := range e.Lapsed {
		a.comeBackEnded(d)
		if l := a.Lot(d.Lot); l != nil {
			l.Breakage += d.Amount
			a.touchLot(l)
		}
	}
	for _, r := range e.Replaced {
		a.comeBackEnded(r.Draw)
		a.addLot(r.Into)
	}
	a.owe(e.Meter, -e.Debt)
	if e.Carry != nil {
		a.setCarry(e.Meter, *e.Carry)
	}
	if a.reversed == nil {
		a.reversed = make(map[string]int64)
	}
	a.reversed[e.Usage] = e.Total
	a.changed.reversed = append(a.changed.reversed, e.Usage)
}

// comeBackEnded books what came back to a lot that has ended: used or returned, and expired.
func (a *Account) comeBackEnded(d Draw) {
	p := a.Pool(d.Pool)
	l := a.Lot(d.Lot)
	switch {
	case p == nil:
	case d.Cycle == a.cycle.Number:
		p.Terms.Used -= d.Amount
		p.Terms.Expired += d.Amount
	case l != nil && a.inPopulation(l):
		p.Terms.Returned += d.Amount
		p.Terms.Expired += d.Amount
	}
	if l != nil && !l.Ended {
		// It was spent to nothing when its time came, so no fact ended it.
		a.end(l, l.Ends)
	}
}

func (a *Account) expire(e Ended, at time.Time) {
	l := a.mustLot(e.Lot)
	p := a.mustPool(l.Pool)
	if l.Remaining != e.Amount {
		panic(fmt.Sprintf("credit: account %s: lot %s ended with %d, not %d", a.id, l.ID, l.Remaining, e.Amount))
	}
	a.spend(l, e.Amount)
	a.end(l, at)
	l.Breakage += e.Amount
	l.Recognised += e.Revenue
	p.Terms.Expired += e.Amount
}

func (a *Account) end(l *Lot, at time.Time) {
	if l.Remaining != 0 {
		panic("credit: account " + a.id + " ended lot " + l.ID + " with something remaining")
	}
	l.Ended, l.EndedCycle = true, a.cycle.Number
	if l.Ends.IsZero() || at.Before(l.Ends) {
		l.Ends = at
	}
	a.noteEnd(l)
	a.touchLot(l)
}

func (a *Account) noteEnd(l *Lot) {
	if l.Ended && l.Ends.After(a.lastEnd) {
		a.lastEnd = l.Ends
	}
}

func (a *Account) revoke(lot string, amount Amount, at time.Time) {
	if l := a.Lot(lot); amount == 0 && (l == nil || l.Ended) {
		// A refund of a lot that ended, perhaps so long ago that it was forgotten, takes nothing back.
		return
	}
	l := a.mustLot(lot)
	a.spend(l, amount)
	a.end(l, at)
	a.mustPool(l.Pool).Terms.Revoked += amount
}

// inPopulation reports whether the lot counts in the terms of the current cycle: it lives, or it ended
// within the cycle.
func (a *Account) inPopulation(l *Lot) bool {
	return !l.Ended || l.EndedCycle == a.cycle.Number
}

// addLot starts a lot within the current cycle.
func (a *Account) addLot(g Grant) {
	a.birth(g).Terms.Started += g.Amount
	a.low, a.exhausted = 0, false
}

func (a *Account) birth(g Grant) *Pool {
	a.lotCount++
	l := &Lot{ID: g.Lot, Ordinal: a.lotCount, Pool: g.Pool, Unit: g.Unit, Kind: g.Kind, Paid: g.Paid, Granted: g.Amount, Starts: g.Starts, Ends: g.Ends, Warns: g.Warns, Price: g.Price, Cycles: g.Cycles}
	if n, ok := ordinal(l.ID, 'l'); !ok || n != l.Ordinal {
		panic(fmt.Sprintf("credit: account %s granted lot %q as its number %d", a.id, l.ID, l.Ordinal))
	}
	a.lots = append(a.lots, l)
	p := a.ensurePool(g.Pool, g.Unit)
	a.refill(l, p, g.Amount)
	a.due = time.Time{}
	return p
}

// spend takes from what remains of a lot.
func (a *Account) spend(l *Lot, amount Amount) {
	if l.Remaining < amount || amount < 0 {
		panic(fmt.Sprintf("credit: account %s: lot %s has %d, not %d", a.id, l.ID, l.Remaining, amount))
	}
	if amount == 0 {
		return
	}
	p := a.mustPool(l.Pool)
	if l.Remaining == amount {
		p.remove(l)
		a.due = time.Time{}
	}
	l.Remaining -= amount
	p.Terms.Remaining -= amount
	a.touchLot(l)
}

// refill adds to what remains of a lot.
func (a *Account) refill(l *Lot, p *Pool, amount Amount) {
	if amount < 0 || l.Ended {
		panic(fmt.Sprintf("credit: account %s: %d cannot come back to lot %s", a.id, amount, l.ID))
	}
	if l.Remaining == 0 && amount > 0 {
		p.insert(l)
		a.due = time.Time{}
	}
	l.Remaining += amount
	p.Terms.Remaining += amount
	a.touchLot(l)
}
