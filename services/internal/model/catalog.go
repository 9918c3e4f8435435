package model

import "time"

// Unit is one whole credit, or one whole unit of a meter in a pool that counts those.
const Unit = 100

// LateWindow is how long ago usage may have happened.
const LateWindow = 35 * 24 * time.Hour

// The rounding rules of a price.
const (
	Exact      = "exact"
	Ceil       = "ceil"
	Accumulate = "accumulate"
)

// Catalog is one version of a programme.
type Catalog struct {
	Meters map[string]Meter
	Pools  map[string]Pool
	Plans  map[string]Plan // "" is having none
	Pack   Pack
	Debt   int64 // the most an account may owe
}

// Meter costs Price for Per units.
type Meter struct {
	Price, Per int64
	Rounding   string
	Free       bool // needs no plan
}

// Pool is a class of lots.
type Pool struct {
	Priority int
	Unit     string   // a meter whose units it counts, "" for credits
	Meters   []string // nil: all
	CycleEnd bool     // its lots end with the cycle in which they start
	Days     int      // or so many days after their start; 0: never
	RollUpTo int64    // what of lots that end with a cycle goes on into the next
	Replace  int      // days of a lot that replaces what comes back to one that ended; 0: it expires
}

// Plan is a subscription.
type Plan struct {
	Rank       int
	Paid       bool
	Meters     []string
	Allowances map[string]int64
}

// Pack is the one thing to buy.
type Pack struct {
	Credits int64
	Pool    string
	Within  time.Duration // to be paid
}

func has(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}

func (c *Catalog) usable(plan, meter string) bool {
	m, ok := c.Meters[meter]
	return ok && (m.Free || has(c.Plans[plan].Meters, meter))
}

func (c *Catalog) pays(pool, meter string) bool {
	p := c.Pools[pool]
	if p.Unit != "" {
		return p.Unit == meter
	}
	return p.Meters == nil || has(p.Meters, meter)
}

// frozen reports whether no meter that the plan may use is paid by the pool.
func (c *Catalog) frozen(plan, pool string) bool {
	for meter := range c.Meters {
		if c.usable(plan, meter) && c.pays(pool, meter) {
			return false
		}
	}
	return true
}

// cost of units when so many were carried; and what is carried on.
func (m Meter) cost(units, carry int64) (cost, rest int64) {
	switch m.Rounding {
	case Ceil:
		return (units + m.Per - 1) / m.Per * m.Price, carry
	case Accumulate:
		return (units + carry) / m.Per * m.Price, (units + carry) % m.Per
	}
	return units * m.Price / m.Per, carry
}

// monthsAfter is n months after the anchor, on the last day of a month that is too short.
func monthsAfter(anchor time.Time, n int) time.Time {
	first := time.Date(anchor.Year(), anchor.Month()+time.Month(n), 1, anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), time.UTC)
	day := anchor.Day()
	for {
		if t := first.AddDate(0, 0, day-1); t.Month() == first.Month() {
			return t
		}
		day--
	}
}
