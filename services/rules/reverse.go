package rules

import (
	"fmt"
	"time"

	"creditstream/events/credit"
)

// ReverseUsage takes units of an earlier use back: of r out of n the price of n less the price of n−r,
// to the lots that paid, last draw first.
type ReverseUsage struct {
	Usage    string // the key of the use
	Quantity int64  // 0 is all that was not reversed yet
	Reason   string
	// Original is the use as it was recorded, nil when there is none; a capture is given as the use that
	// it charged, with its excess after its draws.
	Original   *credit.UsageRecorded
	OriginalAt time.Time // when it was recorded
	Already    int64     // units reversed before
}

// Decide states UsageReversed, and the debt that what came back repays. What was debt and has been
// repaid since comes back as a lot of its own.
func (c ReverseUsage) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	switch {
	case c.Quantity < 0:
		return nil, invalid("quantity", "must be a whole number of at least 1")
	case tooLong(c.Reason):
		return nil, invalid("reason", fmt.Sprintf("is longer than %d bytes", maxText))
	case !a.Exists():
		return nil, unknownAccount(a)
	case c.Original == nil:
		return nil, &Refusal{Code: CodeUnknownUsage, Detail: fmt.Sprintf("there is no usage %.128q", c.Usage)}
	case a.Closed():
		return nil, accountClosed(a)
	}
	left := c.Original.Quantity - c.Already
	quantity := c.Quantity
	if quantity == 0 {
		quantity = left
	}
	if left <= 0 || quantity > left {
		return nil, &Refusal{Code: CodeReversalExceedsUsage, Field: "quantity", Detail: fmt.Sprintf("%d of %d units are left to reverse", max(left, 0), c.Original.Quantity)}
	}
	x := reversal{a: a, catalog: b.At(now), original: c.Original, now: now}
	x.price(b)
	x.e = &credit.UsageReversed{Usage: c.Usage, Meter: c.Original.Meter, Quantity: quantity, Total: c.Already + quantity, Reason: c.Reason}
	x.takeBack(c.Already, quantity)
	if x.meter != nil && x.meter.Rounding == RoundAccumulate && c.Original.Carry != nil && !c.OriginalAt.Before(a.Cycle().From) {
		x.uncarry(quantity)
	}
	facts := []credit.Fact{{At: now, Event: x.e}}
	if x.repaid > 0 {
		if f, ok := x.regrant(); ok {
			facts = append(facts, f)
		}
	}
	return withRepayment(a, x.catalog, now, facts...), nil
}

// reversal is the arithmetic of taking one use back.
type reversal struct {
	a        *credit.Account
	catalog  *Catalog // in force now
	original *credit.UsageRecorded
	now      time.Time
	e        *credit.UsageReversed

	meter    *Meter        // as it priced the use; nil when that catalog is not known
	unit     credit.Amount // one unit of the meter in a pool that counts them
	priced   int64         // units that no quota paid
	carried  int64         // what was carried into the use
	repaid   credit.Amount // debt to forgive that was repaid already
	replaced int           // replacement lots granted so far
}

// price finds what priced the use: its catalog, the units that were priced, and what was carried in.
func (x *reversal) price(b *Book) {
	then := b.Version(x.original.Catalog)
	if then == nil {
		then = x.catalog
	}
	x.unit, x.priced = 1, x.original.Quantity
	if then == nil {
		return
	}
	x.meter, x.unit = then.Meters[x.original.Meter], oneUnit(then)
	for _, d := range x.original.Draws {
		if d.Unit != "" {
			x.priced -= int64(d.Amount / x.unit)
		}
	}
	if x.meter != nil && x.meter.Rounding == RoundAccumulate && x.original.Carry != nil {
		per := x.meter.Per
		x.carried = ((*x.original.Carry-x.priced)%per + per) % per
	}
}

// refund is what the first n priced units to be reversed give back in all.
func (x *reversal) refund(n int64) credit.Amount {
	cost := x.original.Cost
	switch {
	case n == 0:
		return 0
	case n >= x.priced:
		return cost
	case x.meter == nil:
		share, _, err := cost.MulDiv(n, x.priced)
		if err != nil {
			return 0
		}
		return share
	}
	rest, _, err := x.meter.Cost(x.priced-n, x.carried)
	if err != nil {
		return 0
	}
	return max(cost-rest, 0)
}

// takeBack gives back the units that come after those already reversed: priced units first, which were
// paid last, then the quota's.
func (x *reversal) takeBack(already, quantity int64) {
	from, to := min(already, x.priced), min(already+quantity, x.priced)
	credits := span{x.refund(from), x.refund(to)}
	x.e.Credits = credits.to - credits.from
	x.e.Unpaid = credits.cut(x.original.Unpaid)
	debt := credits.cut(x.original.Debt)
	x.e.Debt = min(debt, x.a.Debt(x.original.Meter))
	x.repaid = debt - x.e.Debt
	units := span{credit.Amount(already-from) * x.unit, credit.Amount(already+quantity-to) * x.unit}
	for i := len(x.original.Draws) - 1; i >= 0; i-- {
		d := x.original.Draws[i]
		in := &credits
		if d.Unit != "" {
			in = &units
		}
		x.giveBack(d, in)
	}
}

// span is the part [from, to) of what a use cost that a reversal gives back, counted from what was paid
// last.
type span struct{ from, to credit.Amount }

// cut takes the next size off the span and returns how much of it lies within.
func (s *span) cut(size credit.Amount) credit.Amount {
	within := max(min(s.to, size)-max(s.from, 0), 0)
	s.from -= size
	s.to -= size
	return within
}

func (x *reversal) giveBack(d credit.Draw, in *span) {
	start, end := max(in.from, 0), max(min(in.to, d.Amount), 0)
	if in.cut(d.Amount) == 0 {
		return
	}
	d.Revenue = part(d.Revenue, end, d.Amount) - part(d.Revenue, start, d.Amount)
	d.Amount = end - start
	l := x.a.Lot(d.Lot)
	if l != nil && l.Alive(x.now) {
		x.e.Draws = append(x.e.Draws, d)
		return
	}
	var pool *Pool
	if x.catalog != nil {
		pool = x.catalog.Pools[d.Pool]
	}
	if pool == nil || pool.ReplaceDays == 0 {
		d.Revenue = 0 // it stays recognised, as breakage
		x.e.Lapsed = append(x.e.Lapsed, d)
		return
	}
	into := x.replacement(pool, d.Amount)
	if l != nil {
		into.Paid, into.Price.Currency = l.Paid, l.Price.Currency
	}
	into.Paid = into.Paid || d.Revenue > 0
	if into.Price.Minor = d.Revenue; d.Revenue == 0 {
		into.Price = credit.Money{}
	} else if into.Price.Currency == "" {
		into.Price.Currency = x.catalog.Currency
	}
	x.e.Replaced = append(x.e.Replaced, credit.Replaced{Draw: d, Into: into})
}

// part is floor(whole × n / d).
func part(whole int64, n, d credit.Amount) int64 {
	share, _, err := credit.Amount(whole).MulDiv(int64(n), int64(d))
	if err != nil {
		return 0
	}
	return int64(share)
}

func (x *reversal) replacement(pool *Pool, amount credit.Amount) credit.Grant {
	g := credit.Grant{
		Lot: x.a.NextLot(x.replaced), Pool: pool.ID, Unit: unitField(pool), Amount: amount, Starts: x.now, Kind: credit.KindReplacement,
		Ends: AddDays(x.now, pool.ReplaceDays, zoneOf(x.a, x.catalog)).UTC(),
	}
	g.Warns = warns(x.catalog, g, x.now)
	x.replaced++
	return g
}

// uncarry gives the units that were carried back too: what blocks are refunded for, less what was taken
// back.
func (x *reversal) uncarry(quantity int64) {
	from := min(x.e.Total-quantity, x.priced)
	priced := min(x.e.Total, x.priced) - from
	blocks := int64(x.e.Credits / x.meter.Price)
	carry := x.a.Carry(x.meter.ID) + blocks*x.meter.Per - priced
	carry = max(min(carry, x.meter.Per-1), 0)
	x.e.Carry = &carry
}

// regrant gives credits for debt that was repaid before its use was taken back: to a pool that pays the
// meter, preferably one whose lots are replaced.
func (x *reversal) regrant() (credit.Fact, bool) {
	if x.catalog == nil {
		return credit.Fact{}, false
	}
	var into *Pool
	for _, p := range x.catalog.PoolsFor(x.original.Meter) {
		if p.CountsCredits() && (into == nil || into.ReplaceDays == 0) {
			into = p
		}
	}
	if into == nil {
		return credit.Fact{}, false
	}
	g := x.replacement(into, x.repaid)
	if into.ReplaceDays == 0 {
		g.Ends = endOf(x.a, into, x.catalog, x.now, x.a.Cycle().To)
	}
	return credit.Fact{At: x.now, Event: &credit.CreditGranted{
		Grant: g, Reason: "reversal of " + x.e.Usage + ", whose debt had been repaid", Catalog: x.catalog.Version,
	}}, true
}
