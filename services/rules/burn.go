package rules

import (
	"slices"
	"time"

	"creditstream/events/credit"
)

// burn collects what an account's lots pay for one use, in burn order: pool priority, restricted before
// unrestricted, earlier end, free before paid, earlier grant. It touches only the lots that it draws.
type burn struct {
	account *credit.Account
	at      time.Time     // of the use: a lot that started later never pays it
	holding bool          // set aside only: revenue is recognised when the hold is captured
	broken  []*credit.Lot // lots booked as ended that were alive at the time of a late use, in burn order
	draws   []credit.Draw
	// prior are draws of the same decision on lots that this burn may draw again.
	prior []credit.Draw
}

// burnAt prepares the burn of a use that happened at at. What is booked as ended but was alive then may
// pay as well (late usage).
func burnAt(a *credit.Account, at time.Time) burn {
	u := burn{account: a, at: at}
	if !at.Before(a.LastEnd()) {
		return u
	}
	for _, l := range a.Lots() {
		if l.Ended && l.Breakage > 0 && l.ValidAt(at) {
			u.broken = append(u.broken, l)
		}
	}
	slices.SortFunc(u.broken, func(x, y *credit.Lot) int {
		if x.Before(y) {
			return -1
		}
		return 1
	})
	return u
}

// charge is what a use comes to.
type charge struct {
	cost  credit.Amount // of the units that no pool counted in units pays
	short credit.Amount // of cost, what no lot pays
	carry int64         // what to carry into the meter's next use
}

// charge draws what a quantity of the meter costs: pools counted in its units first, because the
// quota's quantity comes off before pricing, then pools counted in credits (T7). The error is
// credit.ErrOverflow.
func (u *burn) charge(c *Catalog, m *Meter, quantity, carry int64) (charge, error) {
	pools := c.PoolsFor(m.ID)
	priced := quantity - u.quota(c, pools, m, quantity)
	cost, after, err := m.Cost(priced, carry)
	if err != nil {
		return charge{}, err
	}
	return charge{cost: cost, short: u.draw(pools, "", cost, 1), carry: after}, nil
}

// quota draws whole units of the meter from pools that count them and returns how many were paid.
func (u *burn) quota(c *Catalog, pools []*Pool, m *Meter, quantity int64) int64 {
	if !slices.ContainsFunc(pools, func(p *Pool) bool { return !p.CountsCredits() }) {
		return 0
	}
	unit := oneUnit(c)
	need := min(credit.Amount(quantity), credit.MaxAmount/unit) * unit
	return int64((need - u.draw(pools, m.ID, need, unit)) / unit)
}

// draw takes up to need, in multiples of whole, from lots counted in unit ("" for credits), and returns
// what they could not pay.
func (u *burn) draw(pools []*Pool, unit string, need, whole credit.Amount) (short credit.Amount) {
	for i := 0; i < len(pools) && need > 0; {
		next := i + 1
		for next < len(pools) && sameTurn(pools[i], pools[next]) {
			next++
		}
		if next == i+1 && u.broken == nil {
			if p := u.account.Pool(pools[i].ID); p != nil {
				need = u.drawInOrder(p.Live(), unit, need, whole)
			}
		} else {
			need = u.drawMerged(pools[i:next], unit, need, whole)
		}
		i = next
	}
	return need
}

// sameTurn reports whether the order of two pools is left to their lots.
func sameTurn(p, o *Pool) bool { return p.Priority == o.Priority && p.Restricted() == o.Restricted() }

func (u *burn) drawInOrder(lots []*credit.Lot, unit string, need, whole credit.Amount) credit.Amount {
	for _, l := range lots {
		if need == 0 {
			break
		}
		need -= u.drawLot(l, unit, need, whole)
	}
	return need
}

// drawMerged draws from the lots of several pools, and from broken ones, as if they were one list.
func (u *burn) drawMerged(pools []*Pool, unit string, need, whole credit.Amount) credit.Amount {
	lists := make([][]*credit.Lot, 0, len(pools)+1)
	var broken []*credit.Lot
	for _, l := range u.broken {
		if slices.ContainsFunc(pools, func(p *Pool) bool { return p.ID == l.Pool }) {
			broken = append(broken, l)
		}
	}
	lists = append(lists, broken)
	for _, pool := range pools {
		if p := u.account.Pool(pool.ID); p != nil {
			lists = append(lists, p.Live())
		}
	}
	for need > 0 {
		first := -1
		for i, lots := range lists {
			if len(lots) > 0 && (first < 0 || lots[0].Before(lists[first][0])) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		need -= u.drawLot(lists[first][0], unit, need, whole)
		lists[first] = lists[first][1:]
	}
	return need
}

// drawLot takes what one lot can pay: of a lot that ended, from what expired of it.
func (u *burn) drawLot(l *credit.Lot, unit string, need, whole credit.Amount) credit.Amount {
	if l.Unit != unit || l.Starts.After(u.at) {
		return 0
	}
	have, cycle := l.Remaining, u.account.Cycle().Number
	if l.Ended {
		have, cycle = l.Breakage, l.EndedCycle
	}
	amount := min(have-have%whole, need)
	if amount == 0 {
		return 0
	}
	d := credit.Draw{Lot: l.ID, Pool: l.Pool, Amount: amount, Unit: unit, Cycle: cycle}
	if !u.holding && !l.Ended {
		d.Revenue = revenue(l, amount, u.prior)
	}
	u.draws = append(u.draws, d)
	return amount
}

// revenue is what is recognised when amount leaves a lot: its share of the price, rounded down; what
// takes the last of the lot takes the rest. prior are draws of the same decision that came before. What
// late usage takes from breakage was recognised when it expired.
func revenue(l *credit.Lot, amount credit.Amount, prior []credit.Draw) int64 {
	if l.Price.Minor == 0 {
		return 0
	}
	left, rest := l.Remaining+l.Held, l.Price.Minor-l.Recognised
	for _, d := range prior {
		if d.Lot == l.ID {
			left -= d.Amount
			rest -= d.Revenue
		}
	}
	if left <= amount {
		return max(rest, 0)
	}
	share, _, err := credit.Amount(l.Price.Minor).MulDiv(int64(amount), int64(l.Granted))
	if err != nil {
		return 0
	}
	return max(min(int64(share), rest), 0)
}

// planOf returns the rules of the account's plan. A plan that the catalog dropped allows what having no
// plan allows.
func planOf(c *Catalog, id string) *Plan {
	if c == nil {
		return &Plan{}
	}
	if p := c.PlanOf(id); p != nil {
		return p
	}
	if c.NoPlan != nil {
		return c.NoPlan
	}
	return &Plan{}
}

// remaining is the credits usable now: pools counted in credits that the plan does not freeze.
func remaining(a *credit.Account, plan *Plan) credit.Amount {
	if a.Closed() {
		return 0
	}
	var sum credit.Amount
	for _, p := range a.Pools() {
		if p.Unit == "" && p.Terms.Remaining > 0 && plan.MaySpend(p.Name) {
			sum += p.Terms.Remaining
		}
	}
	return sum
}

// usable is the part of draws that changes remaining: credits of living lots that the plan does not
// freeze.
func usable(a *credit.Account, plan *Plan, draws []credit.Draw) credit.Amount {
	if a.Closed() {
		return 0
	}
	var sum credit.Amount
	for i := range draws {
		d := &draws[i]
		if l := a.Lot(d.Lot); d.Unit == "" && plan.MaySpend(d.Pool) && l != nil && !l.Ended {
			sum += d.Amount
		}
	}
	return sum
}
