package model

import "time"

// hold is credits set aside.
type hold struct {
	id, meter string
	quantity  int64
	draws     []Draw
	expires   time.Time
	catalog   *Catalog
}

// use is what a use was charged, for reversals.
type use struct {
	meter                  string
	quantity, cost, unpaid int64
	draws                  []Draw
	reversed               int64
	catalog                *Catalog
	firm                   bool // may be reversed in this model
}

// Answer is what came of a command; Code is empty when it was carried out.
type Answer struct {
	Code                          string
	Cost, Remaining, Debt, Unpaid int64
	Draws                         []Draw
}

func refused(code string) Answer { return Answer{Code: code} }

// Open opens an account, on a plan or on none.
func (w *World) Open(account, plan string) {
	a := &Account{
		Plan: plan, Cycle: 1, From: w.Now, To: monthsAfter(w.Now, 1), anchor: w.Now, pools: map[string]*ledger{},
		debts: map[string]int64{}, carries: map[string]int64{}, uses: map[string]*use{}, bought: map[string]*purchase{},
	}
	w.Accounts[account] = a
	w.allow(a, w.current(), w.Now)
}

// Move changes the plan: an upgrade at once, anything else at the next boundary.
func (w *World) Move(account, plan string) Answer {
	a, c := w.settled(account), w.current()
	if plan == a.Plan && a.Pending == nil || plan != a.Plan && a.Pending != nil && *a.Pending == plan && !w.upgrades(a, plan) {
		w.repay(a, w.current(), w.Now)
		return Answer{}
	}
	if a.Closed {
		return refused("account_closed")
	}
	switch {
	case plan == a.Plan:
		a.Pending = nil
	case !w.upgrades(a, plan):
		a.Pending = &plan
	default:
		for _, l := range a.lots {
			if l.Allowance && !l.Over {
				a.end(l, w.Now)
			}
		}
		old, next := c.Plans[a.Plan], c.Plans[plan]
		if len(next.Allowances) > 0 && (a.Plan == "" || len(old.Allowances) == 0 || !old.Paid) {
			a.anchor, a.step = w.Now, 0
			a.newCycle(w.Now, monthsAfter(w.Now, 1))
		}
		a.Plan, a.Pending = plan, nil
		w.allow(a, c, w.Now)
	}
	w.repay(a, w.current(), w.Now)
	return Answer{}
}

func (w *World) upgrades(a *Account, plan string) bool {
	c := w.current()
	return plan != "" && (a.Plan == "" || c.Plans[plan].Rank > c.Plans[a.Plan].Rank)
}

// SetClosed closes or reopens.
func (w *World) SetClosed(account string, closed bool) {
	a := w.settled(account)
	if reopened := a.Closed && !closed; reopened {
		a.Closed = false
		w.repay(a, w.current(), w.Now)
	}
	a.Closed = closed
}

// Grant gives credits by hand and returns the lot.
func (w *World) Grant(account, pool string, amount int64, sold bool, end time.Time) (*Lot, Answer) {
	a, c := w.settled(account), w.current()
	if a.Closed {
		return nil, refused("account_closed")
	}
	if end.IsZero() {
		end = c.endOf(pool, w.Now, a.To)
	}
	l := a.start(&Lot{Pool: pool, Unit: c.Pools[pool].Unit, Paid: sold, Start: w.Now, End: end}, amount)
	a.pool(pool).started += amount
	w.repay(a, w.current(), w.Now)
	return l, Answer{}
}

// Revoke takes back what is left of a lot.
func (w *World) Revoke(account string, l *Lot) Answer {
	a := w.settled(account)
	switch {
	case a.Closed:
		return refused("account_closed")
	case l.Over:
		return refused("invalid")
	}
	a.revoke(l, w.Now)
	return Answer{}
}

// draw is what a use of so many units is charged: whole units of quotas first, the rest is priced.
func (a *Account) draw(c *Catalog, meter string, quantity, carry int64, at time.Time) (draws []Draw, cost, short, rest int64) {
	units, left := a.take(c, meter, meter, quantity*Unit, at, nil)
	cost, rest = c.Meters[meter].cost(left/Unit, carry)
	credits, short := a.take(c, meter, "", cost, at, nil)
	return append(units, credits...), cost, short, rest
}

// Use charges a use that happened at at. happened says that it cannot be refused for credits, plan or
// window: the intake's.
func (w *World) Use(account, key, meter string, quantity int64, at time.Time, happened bool) Answer {
	a := w.settled(account)
	c := w.at(at)
	if a.Closed {
		return refused("account_closed")
	}
	m, why := c.Meters[meter], ""
	switch {
	case at.Before(w.Now.Add(-LateWindow)):
		why = "late_event"
	case !c.usable(a.Plan, meter):
		why = "meter_not_in_plan"
	}
	if why != "" && !happened {
		return refused(why)
	}
	if why != "" {
		cost, _ := m.cost(quantity, 0)
		a.uses[key] = &use{meter: meter, quantity: quantity, cost: cost, unpaid: cost, catalog: c, firm: m.Rounding != Accumulate}
		return Answer{Cost: cost, Unpaid: cost, Remaining: w.Remaining(account)}
	}
	counted := m.Rounding == Accumulate && !at.Before(a.From)
	carry := int64(0)
	if counted {
		carry = a.carries[meter]
	}
	draws, cost, short, rest := a.draw(c, meter, quantity, carry, at)
	if short > 0 && !happened {
		undo(draws)
		return refused("insufficient_credits")
	}
	a.charge(draws)
	if counted {
		a.carries[meter] = rest
	}
	debt := w.owe(a, meter, short)
	a.uses[key] = &use{meter: meter, quantity: quantity, cost: cost, unpaid: short - debt, draws: draws, catalog: c, firm: m.Rounding != Accumulate && debt == 0}
	return Answer{Cost: cost, Draws: draws, Debt: debt, Unpaid: short - debt, Remaining: w.Remaining(account)}
}

// owe makes debt of what is short, as far as the catalog allows.
func (w *World) owe(a *Account, meter string, short int64) (debt int64) {
	debt = max(min(short, w.current().Debt-a.owed()), 0)
	if debt > 0 {
		a.debts[meter] += debt
	}
	return debt
}

// Check says whether a use would be allowed now, and what it would cost.
func (w *World) Check(account, meter string, quantity int64) Answer {
	a, c := w.settled(account), w.current()
	switch {
	case a.Closed:
		return refused("account_closed")
	case !c.usable(a.Plan, meter):
		return refused("meter_not_in_plan")
	}
	sum := int64(0)
	for _, l := range a.lots {
		if l.Unit == "" && c.pays(l.Pool, meter) {
			sum += l.Left
		}
	}
	draws, cost, short, _ := a.draw(c, meter, quantity, a.carries[meter], w.Now)
	undo(draws)
	if short > 0 {
		return Answer{Code: "insufficient_credits", Remaining: sum}
	}
	return Answer{Cost: cost, Draws: draws, Remaining: sum}
}

// Hold sets aside what a use costs.
func (w *World) Hold(account, id, meter string, quantity int64, ttl time.Duration) Answer {
	a, c := w.settled(account), w.current()
	switch {
	case a.Closed:
		return refused("account_closed")
	case !c.usable(a.Plan, meter):
		return refused("meter_not_in_plan")
	}
	draws, cost, short, _ := a.draw(c, meter, quantity, 0, w.Now)
	if short > 0 {
		undo(draws)
		return refused("insufficient_credits")
	}
	for _, d := range draws {
		d.lot.Held += d.Amount
	}
	a.holds = append(a.holds, &hold{id, meter, quantity, draws, w.Now.Add(ttl), c})
	return Answer{Cost: cost, Draws: draws, Remaining: w.Remaining(account)}
}

// giveBack puts what was held back: into lots that live; what ended meanwhile expires.
func (a *Account) giveBack(draws []Draw) {
	for _, d := range draws {
		d.lot.Held -= d.Amount
		if d.lot.Over {
			d.lot.Broken += d.Amount
			a.pool(d.Pool).expired += d.Amount
		} else {
			d.lot.Left += d.Amount
		}
	}
}

func (a *Account) closing(id string) *hold {
	for i, h := range a.holds {
		if h.id == id {
			a.holds = append(a.holds[:i:i], a.holds[i+1:]...)
			return h
		}
	}
	return nil
}

// Release gives a hold back.
func (w *World) Release(account, id string) Answer {
	a := w.settled(account)
	if a.Closed {
		return refused("account_closed")
	}
	h := a.closing(id)
	if h == nil {
		return refused("hold_closed")
	}
	a.giveBack(h.draws)
	w.repay(a, w.current(), w.Now)
	return Answer{}
}

// Capture charges a hold at the price it was placed at, gives back the rest, and draws on for what is
// beyond it.
func (w *World) Capture(account, id, key string, quantity int64) Answer {
	a, c := w.settled(account), w.current()
	if a.Closed {
		return refused("account_closed")
	}
	h := a.closing(id)
	if h == nil {
		return refused("hold_closed")
	}
	m := h.catalog.Meters[h.meter]
	var heldUnits, heldCredits int64
	for _, d := range h.draws {
		if d.lot.Unit == "" {
			heldCredits += d.Amount
		} else {
			heldUnits += d.Amount
		}
	}
	included := c.usable(a.Plan, h.meter)
	var beyond []Draw
	units := min(quantity*Unit, heldUnits)
	unpriced := units
	if more := quantity - h.quantity; more > 0 && included {
		var left int64
		beyond, left = a.take(c, h.meter, h.meter, more*Unit, w.Now, nil)
		unpriced += more*Unit - left
	}
	cost, _ := m.cost(quantity-unpriced/Unit, 0)
	charged, rest := divide(h.draws, units, min(cost, heldCredits))
	for i, d := range charged {
		d.lot.Held -= d.Amount
		charged[i].cycle = a.Cycle
		a.pool(d.Pool).used += d.Amount
	}
	short := max(cost-heldCredits, 0)
	if included {
		var credits []Draw
		credits, short = a.take(c, h.meter, "", short, w.Now, nil)
		beyond = append(beyond, credits...)
	}
	a.charge(beyond)
	a.giveBack(rest)
	debt := int64(0)
	if included {
		debt = w.owe(a, h.meter, short)
	}
	answer := Answer{Cost: cost, Draws: append(charged, beyond...), Debt: debt, Unpaid: short - debt, Remaining: w.Remaining(account)}
	a.uses[key] = &use{meter: h.meter, quantity: quantity, cost: cost, unpaid: answer.Unpaid, draws: answer.Draws, catalog: h.catalog, firm: debt == 0}
	w.repay(a, w.current(), w.Now)
	return answer
}

// divide splits what was held into what is charged and what is given back, in the order it was drawn.
func divide(held []Draw, units, credits int64) (charged, rest []Draw) {
	for _, d := range held {
		due := &credits
		if d.lot.Unit != "" {
			due = &units
		}
		taken := min(d.Amount, *due)
		*due -= taken
		if taken > 0 {
			charged = append(charged, Draw{d.lot, d.Pool, taken, d.cycle})
		}
		if d.Amount > taken {
			rest = append(rest, Draw{d.lot, d.Pool, d.Amount - taken, d.cycle})
		}
	}
	return charged, rest
}

// Reversible reports whether the model can say what a reversal of the use gives back.
func (w *World) Reversible(account, key string) bool {
	u := w.Accounts[account].uses[key]
	return u != nil && u.firm
}

// Reverse takes units of a use back, the last that were charged first: 0 is all that is left. It gives
// back, coin by coin, what price(n) is more than price(n-r).
func (w *World) Reverse(account, key string, quantity int64) Answer {
	a, c := w.settled(account), w.current()
	if a.Closed {
		return refused("account_closed")
	}
	u := a.uses[key]
	if quantity == 0 {
		quantity = u.quantity - u.reversed
	}
	if quantity == 0 || u.reversed+quantity > u.quantity {
		return refused("reversal_exceeds_usage")
	}
	priced := u.quantity
	for _, d := range u.draws {
		if d.lot.Unit != "" {
			priced -= d.Amount / Unit
		}
	}
	refund := func(n int64) int64 {
		rest, _ := u.catalog.Meters[u.meter].cost(priced-min(n, priced), 0)
		return u.cost - rest
	}
	credits := refund(u.reversed+quantity) - refund(u.reversed)
	skipped := refund(u.reversed)
	units := (max(u.reversed+quantity-priced, 0) - max(u.reversed-priced, 0)) * Unit
	skippedUnits := max(u.reversed-priced, 0) * Unit
	u.reversed += quantity
	part := func(size int64, skipped, due *int64) int64 {
		skip := min(size, *skipped)
		*skipped -= skip
		back := min(size-skip, *due)
		*due -= back
		return back
	}
	part(u.unpaid, &skipped, &credits)
	for i := len(u.draws) - 1; i >= 0; i-- {
		d := u.draws[i]
		if d.lot.Unit == "" {
			w.comeBack(a, c, d, part(d.Amount, &skipped, &credits))
		} else {
			w.comeBack(a, c, d, part(d.Amount, &skippedUnits, &units))
		}
	}
	w.repay(a, w.current(), w.Now)
	return Answer{}
}

// comeBack gives a part of a draw back to its lot: where that has ended, to the expired, or into a lot that
// replaces it.
func (w *World) comeBack(a *Account, c *Catalog, d Draw, amount int64) {
	l, p := d.lot, a.pool(d.Pool)
	switch {
	case amount == 0:
		return
	case !l.Over && d.cycle == a.Cycle:
		p.used -= amount
	case !l.Over:
		p.returned += amount
	case d.cycle == a.Cycle:
		p.used -= amount
		p.expired += amount
	case l.OverIn == a.Cycle:
		p.returned += amount
		p.expired += amount
	}
	if !l.Over {
		l.Left += amount
		return
	}
	if days := c.Pools[d.Pool].Replace; days > 0 {
		a.start(&Lot{Pool: d.Pool, Unit: l.Unit, Paid: l.Paid, Start: w.Now, End: w.Now.AddDate(0, 0, days)}, amount)
		p.started += amount
		return
	}
	l.Broken += amount
}

// Rename gives an open hold the name that it got outside.
func (w *World) Rename(account, id, name string) {
	for _, h := range w.Accounts[account].holds {
		if h.id == id {
			h.id = name
		}
	}
}
