package trial

import (
	"encoding/json"
	"fmt"
	"time"

	"creditstream/events/credit"
)

var meters = [...]string{"sticker", "ai_service", "dynamic_video"}

// move lets one thing happen to an account.
func (s *Source) move(c *customer) {
	if !c.Exists() {
		s.open(c)
		return
	}
	if s.plain {
		s.use(c, s.now)
		return
	}
	moves := []func(*customer){
		func(c *customer) { s.use(c, s.now) },
		func(c *customer) { s.use(c, s.now) },
		func(c *customer) { s.use(c, s.now.Add(-time.Duration(s.rng.Int64N(int64(12*24*time.Hour))))) },
		s.grant, s.purchase, s.payment, s.reverse, s.hold, s.closeHold, s.takeBack, s.changePlan, s.note, s.repay,
	}
	moves[s.rng.IntN(len(moves))](c)
}

func (s *Source) open(c *customer) {
	cycle := credit.Cycle{Number: 1, From: s.now, To: s.now.Add(cycleLength)}
	zone := [...]string{"UTC", "America/Sao_Paulo", "Europe/Madrid"}[s.rng.IntN(3)]
	events := []credit.Event{&credit.AccountOpened{Timezone: zone, Anchor: s.now, Cycle: cycle, Metadata: credit.Metadata{"tier": json.RawMessage(`"gold"`)}}}
	if s.plain {
		events = append(events, &credit.CreditGranted{Grant: credit.Grant{Lot: "l1", Pool: "purchased", Amount: 1_000_000_000 * unit, Starts: s.now, Kind: credit.KindOpening}})
	} else if s.chance(80) {
		lots := 0
		name := func() string { lots++; return c.NextLot(lots - 1) }
		events = append(events, &credit.PlanChanged{Plan: "pro", Catalog: 1, Anchor: s.now, Cycle: cycle, Granted: s.allowance(cycle, s.now, name)})
	}
	s.asked(c, s.now, events...)
}

// draw takes up to amount from lots that were there at t, also from what broke of those that ended.
func (s *Source) draw(c *customer, meter string, amount credit.Amount, t time.Time) (draws []credit.Draw, left credit.Amount) {
	for _, l := range c.Lots() {
		if amount == 0 || !l.ValidAt(t) || (l.Unit != "" && l.Unit != meter) {
			continue
		}
		d := credit.Draw{Lot: l.ID, Pool: l.Pool, Unit: l.Unit, Cycle: c.Cycle().Number, Amount: min(amount, l.Remaining)}
		if l.Ended {
			d.Cycle, d.Amount = l.EndedCycle, min(amount, l.Breakage)
		} else if !l.Alive(s.now) {
			continue
		}
		if d.Amount == 0 {
			continue
		}
		if l.Price.Minor > 0 {
			d.Revenue = 1
		}
		amount -= d.Amount
		draws = append(draws, d)
	}
	return draws, amount
}

func (s *Source) use(c *customer, at time.Time) {
	if at.Before(c.Opened()) {
		at = s.now
	}
	meter := meters[s.rng.IntN(len(meters))]
	quantity := 1 + s.rng.Int64N(4)
	if s.plain {
		quantity = 1
	}
	u := &credit.UsageRecorded{Meter: meter, Quantity: quantity, Cost: credit.Amount(quantity) * unit, Catalog: 1}
	var left credit.Amount
	u.Draws, left = s.draw(c, meter, u.Cost, at)
	switch {
	case left == 0:
	case s.chance(30):
		u.Debt = left
	case s.chance(50):
		u.Unpaid, u.Why = left, "insufficient_credits"
	default:
		s.asked(c, s.now, &credit.UsageDenied{Meter: meter, Quantity: quantity, Code: "insufficient_credits", BlockedBy: "credits", Short: left, Catalog: 1})
		return
	}
	u.Remaining = alive(c.Account)
	for _, d := range u.Draws {
		u.Remaining -= credits(d, c)
	}
	if s.chance(10) {
		u.Description, u.Attributes = "a \"fine\" one", json.RawMessage(`{"job": [1, 2]}`)
		carry := quantity % 2
		u.Carry = &carry
	}
	key := s.asked(c, at, u)
	c.uses = append(c.uses, &use{key: key, meter: meter, quantity: quantity, draws: u.Draws})
	if len(c.uses) > 16 {
		c.uses = c.uses[1:]
	}
}

// credits is by how much a draw lessens what remains to the account.
func credits(d credit.Draw, c *customer) credit.Amount {
	if l := c.Lot(d.Lot); d.Unit != "" || l.Ended {
		return 0
	}
	return d.Amount
}

// alive is what all pools counted in credits have.
func alive(a *credit.Account) (sum credit.Amount) {
	for _, p := range a.Pools() {
		if p.Unit == "" {
			sum += p.Terms.Remaining
		}
	}
	return sum
}

func (s *Source) grant(c *customer) {
	g := credit.Grant{Lot: c.NextLot(0), Pool: "extra", Amount: credit.Amount(1+s.rng.Int64N(9)) * unit, Starts: s.now, Kind: credit.KindGoodwill}
	if s.chance(80) {
		g.Ends = s.now.Add(time.Duration(1+s.rng.Int64N(50*24)) * time.Hour)
	}
	if s.chance(50) && g.Ends.After(s.now.Add(48*time.Hour)) {
		g.Warns = g.Ends.Add(-24 * time.Hour)
	}
	s.asked(c, s.now, &credit.CreditGranted{Grant: g, Reason: "sorry", Catalog: 1})
}

func (s *Source) purchase(c *customer) {
	s.asked(c, s.now, &credit.PurchaseRequested{
		Purchase: "p" + s.id().String(), Pack: "pack-50", Pool: "purchased", Credits: 50 * unit, Price: credit.Money{Currency: "BRL", Minor: 4900},
		Provider: "sandbox", PaysUntil: s.now.Add(24 * time.Hour), Catalog: 1,
	})
}

func (s *Source) payment(c *customer) {
	for _, p := range c.Purchases() {
		switch {
		case p.Lot != "" && s.chance(5):
			l := c.Lot(p.Lot)
			if l == nil || l.Ended || p.Status != credit.Completed {
				continue
			}
			s.asked(c, s.now, &credit.PurchaseRefunded{Purchase: p.ID, Lot: l.ID, Pool: l.Pool, Amount: l.Remaining, Money: p.Price, Status: credit.Refunded})
		case p.Lot != "":
			continue
		case s.chance(60):
			g := credit.Grant{Lot: c.NextLot(0), Pool: p.Pool, Amount: p.Credits, Starts: s.now, Ends: s.now.AddDate(0, 2, 0), Kind: credit.KindPurchase, Paid: true, Price: p.Price}
			s.asked(c, s.now, &credit.CreditPurchased{Grant: g, Purchase: p.ID, PaidAt: s.now, Reference: "r-1", Catalog: 1})
		case s.chance(30):
			s.asked(c, s.now, &credit.PurchaseApproved{Purchase: p.ID, Method: "Visa •••• 4242"})
		case s.chance(30):
			s.asked(c, s.now, &credit.PurchaseFailed{Purchase: p.ID, Reason: "declined"})
		case s.chance(50):
			s.asked(c, s.now, &credit.PurchaseUpdated{Purchase: p.ID, Status: credit.RequiresAction})
		default:
			s.asked(c, s.now, &credit.PaymentMismatched{Purchase: p.ID, Paid: credit.Money{Currency: "BRL", Minor: 1}})
		}
		return
	}
}

func (s *Source) reverse(c *customer) {
	if len(c.uses) == 0 {
		return
	}
	u := c.uses[s.rng.IntN(len(c.uses))]
	if u.quantity == u.total || len(u.draws) == 0 {
		return
	}
	e := &credit.UsageReversed{Usage: u.key, Meter: u.meter, Quantity: 1, Total: u.total + 1, Reason: "twice"}
	amount := unit
	for amount > 0 && len(u.draws) > 0 {
		d := u.draws[len(u.draws)-1]
		back := d
		back.Amount, back.Revenue = min(amount, d.Amount), 0
		amount -= back.Amount
		u.draws = u.draws[: len(u.draws)-1 : len(u.draws)-1]
		if d.Amount > back.Amount {
			d.Amount -= back.Amount
			u.draws = append(u.draws, d)
		}
		if back.Unit == "" {
			e.Credits += back.Amount
		}
		s.giveBack(c, e, back)
	}
	u.total++
	s.asked(c, s.now, e)
}

func (s *Source) giveBack(c *customer, e *credit.UsageReversed, d credit.Draw) {
	if l := c.Lot(d.Lot); l != nil && l.Alive(s.now) {
		e.Draws = append(e.Draws, d)
		return
	}
	if d.Pool == "allowance" || d.Unit != "" {
		e.Lapsed = append(e.Lapsed, d)
		return
	}
	e.Replaced = append(e.Replaced, credit.Replaced{Draw: d, Into: credit.Grant{
		Lot: c.NextLot(len(e.Replaced)), Pool: d.Pool, Amount: d.Amount, Starts: s.now, Ends: s.now.Add(cycleLength), Kind: credit.KindReplacement,
	}})
}

func (s *Source) hold(c *customer) {
	draws, left := s.draw(c, "ai_service", 3*unit, s.now)
	if left > 0 {
		return
	}
	for i := range draws {
		draws[i].Revenue = 0 // a hold recognises none; its capture does
	}
	h := &credit.HoldPlaced{Hold: c.NextHold(), Meter: "ai_service", Quantity: 3, Cost: 3 * unit, Draws: draws, Expires: s.now.Add(72 * time.Hour), Remaining: alive(c.Account), Catalog: 1}
	for _, d := range draws {
		h.Remaining -= credits(d, c)
	}
	s.asked(c, s.now, h)
}

func (s *Source) closeHold(c *customer) {
	holds := c.Holds()
	if len(holds) == 0 {
		return
	}
	h := holds[s.rng.IntN(len(holds))]
	if s.chance(40) {
		released, lapsed := s.apart(c, h.Draws, s.now)
		s.asked(c, s.now, &credit.HoldReleased{Hold: h.ID, Released: released, Lapsed: lapsed})
		return
	}
	quantity := 1 + s.rng.Int64N(4)
	e := &credit.HoldCaptured{Hold: h.ID, Meter: h.Meter, Quantity: quantity, Cost: credit.Amount(quantity) * unit, Catalog: 1}
	charge := e.Cost
	var rest []credit.Draw
	for _, d := range h.Draws {
		d.Cycle = c.Cycle().Number
		take := d
		take.Amount = min(charge, d.Amount)
		charge -= take.Amount
		if take.Amount > 0 {
			e.Draws = append(e.Draws, take)
		}
		if d.Amount -= take.Amount; d.Amount > 0 {
			rest = append(rest, d)
		}
	}
	e.Released, e.Lapsed = s.apart(c, rest, s.now)
	if charge > 0 {
		e.Excess, e.Debt = s.draw(c, h.Meter, charge, s.now)
	}
	e.Remaining = alive(c.Account)
	s.asked(c, s.now, e)
}

func (s *Source) takeBack(c *customer) {
	for _, l := range c.Lots() {
		if l.Pool == "extra" && l.Remaining > 0 && s.chance(20) {
			s.asked(c, s.now, &credit.GrantRevoked{Lot: l.ID, Pool: l.Pool, Amount: l.Remaining, Reason: "by mistake"})
			return
		}
	}
}

func (s *Source) changePlan(c *customer) {
	if s.chance(60) {
		return
	}
	cycle, anchor := c.Cycle(), c.Anchor()
	if s.chance(50) {
		cycle = credit.Cycle{Number: cycle.Number + 1, From: s.now, To: s.now.Add(cycleLength)}
		anchor = s.now
	}
	lots := 0
	name := func() string { lots++; return c.NextLot(lots - 1) }
	e := &credit.PlanChanged{From: c.Plan(), Plan: "max", Catalog: 1, Anchor: anchor, Cycle: cycle}
	for _, l := range c.Lots() {
		if l.Kind == credit.KindAllowance && l.Remaining > 0 {
			e.Expired = append(e.Expired, ended(l))
		}
	}
	e.Granted = s.allowance(cycle, s.now, name)
	s.asked(c, s.now, e)
}

func (s *Source) note(c *customer) {
	zone := "Europe/Madrid"
	notes := []credit.Event{
		&credit.AccountChanged{Timezone: &zone, Metadata: &credit.Metadata{"n": json.RawMessage(fmt.Sprint(s.ids))}},
		&credit.AccountClosed{Reason: "asked"},
		&credit.AccountReopened{},
		&credit.PlanChangeScheduled{Plan: "pro", Due: c.Cycle().To},
		&credit.BalanceLow{Remaining: unit, Threshold: 5 * unit},
		&credit.BalanceExhausted{},
		&credit.NothingChanged{},
		&credit.PersonalErased{},
	}
	s.asked(c, s.now, notes[s.rng.IntN(len(notes))])
}

func (s *Source) repay(c *customer) {
	for _, d := range c.Debts() {
		draws, left := s.draw(c, d.Meter, min(d.Amount, 2*unit), s.now)
		if paid := min(d.Amount, 2*unit) - left; paid > 0 {
			s.asked(c, s.now, &credit.DebtRepaid{Meter: d.Meter, Amount: paid, Draws: draws})
			return
		}
	}
}
