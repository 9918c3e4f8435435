package rules

import (
	"encoding/json"
	"fmt"
	"time"

	"creditstream/events/credit"
)

// PlaceHold sets aside what a use will cost, before the work. Lots and price are fixed here.
type PlaceHold struct {
	Meter    string
	Quantity int64         // at least 1
	TTL      time.Duration // 0 is the catalog's default; the catalog bounds it
	// Description and Attributes are kept with the hold, each at most 1 KiB.
	Description string
	Attributes  json.RawMessage
}

// maxHeldLots is of how many lots one hold sets parts aside at most: its capture, release or lapse, which
// says more of each lot than the hold does, has to fit an entry.
const maxHeldLots = 1000

// Decide states HoldPlaced, or refuses as a use would be.
func (c PlaceHold) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	r := checkUse(c.Quantity, c.Description, c.Attributes)
	if r == nil && c.TTL < 0 {
		r = invalid("ttl", "must be positive")
	}
	if r != nil {
		return nil, r
	}
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	catalog := b.At(now)
	if catalog == nil || catalog.Meters[c.Meter] == nil {
		return nil, unknownMeter(c.Meter)
	}
	ttl := c.TTL
	if ttl == 0 {
		ttl = catalog.Holds.TTL
	}
	if ttl > catalog.Holds.MaxTTL {
		return nil, invalid("ttl", fmt.Sprintf("is longer than %s", catalog.Holds.MaxTTL))
	}
	if a.Closed() {
		return nil, accountClosed(a)
	}
	if r := notInPlan(a, catalog, catalog, c.Meter); r != nil {
		return nil, r
	}
	u := burn{account: a, at: now, holding: true}
	carry := a.Carry(c.Meter)
	due, err := u.charge(catalog, catalog.Meters[c.Meter], c.Quantity, carry)
	if err != nil {
		return nil, invalid("quantity", fmt.Sprintf("%d is more than can be held at once", c.Quantity))
	}
	if due.short > 0 {
		return nil, insufficient(a, catalog, c.Meter, due)
	}
	if len(u.draws) > maxHeldLots {
		return nil, invalid("quantity", fmt.Sprintf("%d would set aside parts of more than %d lots: hold less at once", c.Quantity, maxHeldLots))
	}
	plan := planOf(catalog, a.Plan())
	before := remaining(a, plan)
	e := &credit.HoldPlaced{
		Hold: a.NextHold(), Meter: c.Meter, Quantity: c.Quantity, Cost: due.cost, Draws: u.draws, Carry: carry,
		Expires: now.Add(ttl), Remaining: before - usable(a, plan, u.draws), Catalog: catalog.Version,
		Description: c.Description, Attributes: c.Attributes,
	}
	return balanceAlerts([]credit.Fact{{At: now, Event: e}}, a, catalog, c.Meter, before, e.Remaining, now), nil
}

// CaptureHold charges what was held and gives back the rest. A Quantity above the hold draws further; 0
// is all that was held.
type CaptureHold struct {
	Hold     string
	Quantity int64
}

// Decide states HoldCaptured. The work is done: what cannot be paid beyond the hold is owed or unpaid.
func (c CaptureHold) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	if c.Quantity < 0 {
		return nil, invalid("quantity", "must be a whole number of at least 1")
	}
	h, r := holdOf(a, c.Hold)
	if r != nil {
		return nil, r
	}
	catalog := b.At(now)
	priced := b.Version(h.Catalog)
	if priced == nil {
		priced = catalog
	}
	if priced == nil || priced.Meters[h.Meter] == nil {
		return nil, unknownMeter(h.Meter)
	}
	quantity := c.Quantity
	if quantity == 0 {
		quantity = h.Quantity
	}
	x := capture{a: a, h: h, catalog: catalog, priced: priced, quantity: quantity}
	e, err := x.decide(now)
	if err != nil {
		return nil, invalid("quantity", fmt.Sprintf("%d is more than can be charged at once", quantity))
	}
	plan := planOf(catalog, a.Plan())
	before := remaining(a, plan)
	e.Remaining = before + usable(a, plan, e.Released) - usable(a, plan, e.Excess)
	facts := balanceAlerts([]credit.Fact{{At: now, Event: e}}, a, catalog, h.Meter, before, e.Remaining, now)
	return withRepayment(a, catalog, now, facts...), nil
}

// capture is the arithmetic of charging one hold.
type capture struct {
	a        *credit.Account
	h        *credit.Hold
	catalog  *Catalog // in force now: which pools pay the excess
	priced   *Catalog // in force when it was placed: the price
	quantity int64
}

func (x *capture) decide(now time.Time) (*credit.HoldCaptured, error) {
	m := x.priced.Meters[x.h.Meter]
	e := &credit.HoldCaptured{Hold: x.h.ID, Meter: m.ID, Quantity: x.quantity, Catalog: x.priced.Version}
	unit := oneUnit(x.priced)
	heldUnits, heldCredits := x.held()
	quota := min(x.quantity, int64(heldUnits/unit))

	u := burn{account: x.a, at: now}
	refused := notInPlan(x.a, x.catalog, x.catalog, m.ID)
	pools := x.catalog.PoolsFor(m.ID)
	beyond := x.quantity - x.h.Quantity
	more := int64(0)
	if refused == nil && beyond > 0 {
		more = u.quota(x.catalog, pools, m, beyond)
	}
	carry := int64(0)
	if m.Rounding == RoundAccumulate {
		carry = x.a.Carry(m.ID)
	}
	cost, after, err := m.Cost(x.quantity-quota-more, carry)
	if err != nil {
		return nil, err
	}
	e.Cost = cost
	if m.Rounding == RoundAccumulate {
		e.Carry = &after
	}
	x.split(e, credit.Amount(quota)*unit, min(cost, heldCredits), now)
	short := max(cost-heldCredits, 0)
	if refused == nil {
		u.prior = e.Draws
		short = u.draw(pools, "", short, 1)
	}
	e.Excess = u.draws
	x.leaveShort(e, short, refused)
	return e, nil
}

func (x *capture) held() (units, credits credit.Amount) {
	for _, d := range x.h.Draws {
		if d.Unit == "" {
			credits += d.Amount
		} else {
			units += d.Amount
		}
	}
	return units, credits
}

// split charges units and credits to what was held, in the order it was drawn, and gives back the rest.
func (x *capture) split(e *credit.HoldCaptured, units, credits credit.Amount, now time.Time) {
	var rest []credit.Draw
	for _, d := range x.h.Draws {
		due := &credits
		if d.Unit != "" {
			due = &units
		}
		taken := min(d.Amount, *due)
		*due -= taken
		if taken > 0 {
			d := credit.Draw{Lot: d.Lot, Pool: d.Pool, Amount: taken, Unit: d.Unit, Cycle: x.a.Cycle().Number}
			d.Revenue = revenue(x.a.Lot(d.Lot), taken, e.Draws)
			e.Draws = append(e.Draws, d)
		}
		if d.Amount -= taken; d.Amount > 0 {
			rest = append(rest, d)
		}
	}
	e.Released, e.Lapsed = giveBack(x.a, rest, e.Draws, now)
}

func (x *capture) leaveShort(e *credit.HoldCaptured, short credit.Amount, refused *Refusal) {
	if short == 0 {
		return
	}
	if refused != nil {
		e.Unpaid, e.Why = short, string(refused.Code)
		return
	}
	if e.Debt, e.Unpaid = oweWhatIsShort(x.a, x.catalog, short); e.Unpaid > 0 {
		e.Why = string(CodeInsufficientCredits)
	}
}

// giveBack sorts what was held into what lives again and what expires, because its lot ended while it
// was held; a lot stands in held once. taken are draws of the same decision on these lots.
func giveBack(a *credit.Account, held, taken []credit.Draw, at time.Time) (released, lapsed []credit.Draw) {
	for _, d := range held {
		l := a.Lot(d.Lot)
		d.Cycle, d.Revenue = a.Cycle().Number, 0
		// A lot that ends with the cycle lives until the renewal books it, which comes after a lapse.
		if l.Alive(at) || !l.Ended && at.Equal(a.Cycle().To) && l.Ends.Equal(at) {
			released = append(released, d)
			continue
		}
		d.Revenue = revenue(l, d.Amount, taken)
		lapsed = append(lapsed, d)
	}
	return released, lapsed
}

// ReleaseHold gives a hold back.
type ReleaseHold struct{ Hold string }

// Decide states HoldReleased, and the debt that what came back repays.
func (c ReleaseHold) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	h, r := holdOf(a, c.Hold)
	if r != nil {
		return nil, r
	}
	e := &credit.HoldReleased{Hold: h.ID}
	e.Released, e.Lapsed = giveBack(a, h.Draws, nil, now)
	return withRepayment(a, b.At(now), now, credit.Fact{At: now, Event: e}), nil
}

func holdOf(a *credit.Account, id string) (*credit.Hold, *Refusal) {
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	h := a.Hold(id)
	switch {
	case h == nil && !a.HoldKnown(id):
		return nil, &Refusal{Code: CodeUnknownHold, Detail: fmt.Sprintf("there is no hold %.64q", id)}
	case a.Closed():
		return nil, accountClosed(a)
	case h == nil:
		return nil, &Refusal{Code: CodeHoldClosed, Detail: fmt.Sprintf("hold %s was captured, released or has lapsed", id)}
	}
	return h, nil
}
