package rules

import (
	"cmp"
	"slices"
	"time"

	"creditstream/events/credit"
)

// UnitCredit is the unit of a pool that is counted in credits. Every other unit is the name of
// the one meter whose units the pool counts (T4).
const UnitCredit = "credit"

// Catalog is one version of a tenant's rules: everything that differs between two credit
// programmes. ParseCatalog makes one; it is not changed afterwards and may be shared between
// goroutines. All amounts are in the tenant's smallest unit (Scale decimals).
type Catalog struct {
	// Version counts a tenant's published catalogs from 1; 0 until it is published.
	Version uint32
	// Name is what pages call the tenant.
	Name string
	// Language of the pages: "en" or "pt".
	Language string
	// Timezone is the IANA name that an account gets unless it chooses its own; Location is the
	// same, resolved.
	Timezone string
	Location *time.Location
	// Currency is the ISO 4217 code of every price in the catalog.
	Currency string
	// Scale is the number of decimals of an amount, 0 to credit.MaxScale. It is part of what the
	// journal's amounts mean: a later version must keep it.
	Scale int

	Plans  map[string]*Plan
	Pools  map[string]*Pool
	Meters map[string]*Meter
	Packs  map[string]*Pack
	// NoPlan holds the rules for accounts without a plan; its ID is "".
	NoPlan *Plan
	// PlanOrder is sorted by rank, then name; PoolOrder is the burn order; MeterOrder is sorted by
	// name; PackOrder is the order in which the catalog lists them (T14).
	PlanOrder  []*Plan
	PoolOrder  []*Pool
	MeterOrder []*Meter
	PackOrder  []*Pack

	// TopUp is nil when customers cannot choose an amount of money of their own.
	TopUp *TopUp
	// Approval is the code that guards the Subscription page and buying (T13).
	Approval Approval
	// PaymentMethod says whether buying needs a saved payment method (W8).
	PaymentMethod PaymentMethod
	// Debt says how far usage that already happened may go below zero (T16).
	Debt Debt
	// LateWindow is how long ago usage may have happened when it arrives; default 35 days.
	LateWindow time.Duration
	Holds      HoldLimits
	// Denials says whether a refused usage leaves a line in the history.
	Denials bool
	Alerts  Alerts
	// Words replaces what the pages call a type of history line ("purchase", "usage", …); a type
	// that is absent keeps the word of the Language.
	Words map[string]string

	// Translations are by language, without the catalog's own.
	Translations map[string]*Translation
	// IndicatorOrigins are the sites whose pages may show the indicator, sorted; none: only our own.
	IndicatorOrigins []string

	// Source is the catalog as published: canonical YAML with every setting spelled out, so that a
	// default that changes later cannot change what was published. ParseCatalog(Source) gives an
	// equal catalog with the same Source.
	Source []byte

	payers map[string][]*Pool
}

// Plan is a subscription. The zero permissions refuse everything.
type Plan struct {
	// ID is "" for the rules of accounts without a plan.
	ID   string
	Name string
	// Rank orders plans: a move to a higher rank is an upgrade and acts at once, every other move
	// at the next boundary.
	Rank int
	// Paid is false for a free plan. It bears on the anchor when an account leaves the plan; who
	// may buy is Purchase.
	Paid bool
	// Allowances are granted at the start of each cycle, sorted by pool; at most one per pool.
	Allowances []Allowance
	// Purchase says whether an account on this plan may buy packs and top-ups (W1, P14).
	Purchase bool
	// Contact is shown when credits end or a purchase is refused (P13); "" when there is none.
	Contact string
	// Upgrade says how to get a plan that may do more (W1); "" when there is no such way.
	Upgrade string
	// WholeDay says that the cycle's boundary is the first instant of the renewal's date, because
	// an allowance of this plan ends the day before the renewal (P5). Pass it to Boundary.
	WholeDay bool

	meters map[string]bool
	grants map[string]bool
	spends map[string]bool
}

// Allowance is what a plan grants into a pool for one cycle. Amount is positive; in a pool
// counted in a meter's units it is a whole number of them.
type Allowance struct {
	Pool   string
	Amount credit.Amount
}

// Includes reports whether the plan lists the meter. A meter that needs no plan may be used
// without being listed: ask Catalog.Usable.
func (p *Plan) Includes(meter string) bool { return p.meters[meter] }

// MayGrant reports whether credits may be granted into the pool on this plan (P2).
func (p *Plan) MayGrant(pool string) bool { return p.grants[pool] }

// MaySpend reports whether any meter that may be used on this plan is paid by the pool. The
// lots of other pools are frozen while the account is on the plan.
func (p *Plan) MaySpend(pool string) bool { return p.spends[pool] }

// Allowance returns what the plan grants into the pool each cycle, 0 when nothing.
func (p *Plan) Allowance(pool string) credit.Amount {
	for _, a := range p.Allowances {
		if a.Pool == pool {
			return a.Amount
		}
	}
	return 0
}

// Pool is a class of lots.
type Pool struct {
	ID          string
	Name        string
	Description string
	// Priority orders spending: the lowest is spent first.
	Priority int
	// Unit is UnitCredit, or the meter whose units the pool counts and which alone it pays.
	Unit string
	// Meters are the meters the pool pays, sorted; nil means any meter (T9).
	Meters []string
	// Expiry is when a lot of the pool ends, unless its grant says otherwise.
	Expiry Expiry
	// Rollover is what survives the end of a cycle.
	Rollover Rollover
	// ReplaceDays is what a reversal into a lot that has ended does: 0 expires the credits in the
	// open; otherwise a replacement lot of that many days takes them.
	ReplaceDays int

	pays map[string]bool
}

// Restricted reports whether the pool pays only some meters. Of two pools with the same
// priority the restricted one is spent first.
func (p *Pool) Restricted() bool { return p.Meters != nil || p.Unit != UnitCredit }

// CountsCredits reports whether the pool's amounts are credits, so that they enter the
// account's own terms, and not the units of a meter.
func (p *Pool) CountsCredits() bool { return p.Unit == UnitCredit }

// Pays reports whether lots of the pool may pay the meter.
func (p *Pool) Pays(meter string) bool { return p.Meters == nil && p.CountsCredits() || p.pays[meter] }

// ExpiryKind says how the end of a lot is found.
type ExpiryKind string

// The ways a lot can end.
const (
	// ExpireMonths is N calendar months after the grant, same local time (T1).
	ExpireMonths ExpiryKind = "months"
	// ExpireDays is N calendar days after the grant, same local time.
	ExpireDays ExpiryKind = "days"
	// ExpireCycleEnd is the end of the cycle in which the lot starts (T5, W7).
	ExpireCycleEnd ExpiryKind = "cycle_end"
	// ExpireDayBeforeRenewal is the end of that cycle too, and makes its boundary the first
	// instant of the renewal's date (P5).
	ExpireDayBeforeRenewal ExpiryKind = "day_before_renewal"
	// ExpireNever lots stay until they are spent.
	ExpireNever ExpiryKind = "never"
)

// Expiry is a pool's rule for the end of its lots. N is used by months and days.
type Expiry struct {
	Kind ExpiryKind
	N    int
}

// WithCycle reports whether lots end with the cycle they start in.
func (e Expiry) WithCycle() bool {
	return e.Kind == ExpireCycleEnd || e.Kind == ExpireDayBeforeRenewal
}

// At returns the instant at which a lot ends that starts at start, in a cycle that ends at
// cycleEnd, for an account in loc. The zero time means never.
func (e Expiry) At(start, cycleEnd time.Time, loc *time.Location) time.Time {
	switch e.Kind {
	case ExpireMonths:
		return AddMonths(start, e.N, loc)
	case ExpireDays:
		return AddDays(start, e.N, loc)
	case ExpireCycleEnd, ExpireDayBeforeRenewal:
		return cycleEnd
	default:
		return time.Time{}
	}
}

// Rollover says what of a lot that ends with its cycle goes on into the next one. The zero
// value lets nothing roll over (T5, P6).
type Rollover struct {
	On bool
	// UpTo is the most that rolls over from one cycle into the next; 0 is no limit.
	UpTo credit.Amount
	// Cycles is how many further cycles a lot may live through; 0 is no limit.
	Cycles int
}

// Rounding says what part of a price a usage below a whole Per costs.
type Rounding string

// The rounding rules of a price of P credits per N units.
const (
	// RoundExact: every unit costs exactly P/N. ParseCatalog refuses a price for which that is
	// not a whole number of smallest units.
	RoundExact Rounding = "exact"
	// RoundCeil: each usage costs P for every started block of N units.
	RoundCeil Rounding = "ceil"
	// RoundAccumulate: each Nth unit costs P; units that fill no block are carried on per account,
	// meter and cycle.
	RoundAccumulate Rounding = "accumulate"
)

// Meter is something that is counted and costs credits.
type Meter struct {
	ID          string
	Name        string
	Description string
	// Units is what pages call the things counted ("services"); may be "".
	Units string
	// Price credits are due per Per units.
	Price    credit.Amount
	Per      int64
	Rounding Rounding
	// NeedsPlan is false for a meter that every account may use, with or without a plan.
	NeedsPlan bool
}

// Pack is a fixed bundle of credits for a price (T14, W2).
type Pack struct {
	ID      string
	Name    string
	Price   credit.Money
	Credits credit.Amount
	// Pool is always one counted in credits.
	Pool string
	// PaysWithin is how long a purchase may await its payment.
	PaysWithin time.Duration
}

// TopUp is the rule for buying credits for an amount of money that the customer chooses (W3).
type TopUp struct {
	Pool     string
	Currency string
	// Rate is the credits per whole unit of the currency. Every minor unit buys a whole number of
	// smallest units of credit.
	Rate credit.Amount
	// Min and Max are the smallest and largest price, both allowed.
	Min, Max credit.Money
	// PaysWithin is how long a purchase may await its payment.
	PaysWithin time.Duration
}

// ApprovalKind is the sort of code that guards a step.
type ApprovalKind string

// The sorts of code.
const (
	ApprovalOff  ApprovalKind = "off"
	ApprovalPIN  ApprovalKind = "pin"
	ApprovalTOTP ApprovalKind = "totp"
)

// Approval says which code opens the Subscription page and which one a purchase carries (T13).
type Approval struct {
	View, Buy ApprovalKind
	// ViewFor is how long a right code opens the page for one browser session; default 15 minutes.
	ViewFor time.Duration
}

// PaymentMethod says whether an account needs a saved payment method to buy.
type PaymentMethod string

// The values of a PaymentMethod.
const (
	PaymentMethodNone     PaymentMethod = "none"
	PaymentMethodRequired PaymentMethod = "required"
)

// Debt bounds what usage that already happened may leave unpaid by lots and still be owed.
type Debt struct {
	// Limit is the most an account may owe, in credits; 0 means debt is off.
	Limit credit.Amount
}

// Allowed reports whether an account may owe anything at all.
func (d Debt) Allowed() bool { return d.Limit > 0 }

// HoldLimits bound how long credits may be set aside.
type HoldLimits struct {
	// TTL is used when a hold names none; default 15 minutes.
	TTL time.Duration
	// MaxTTL is the longest a hold may ask for; default 1 hour, at most 24 hours.
	MaxTTL time.Duration
}

// Alerts are the thresholds at which an account's balance is reported.
type Alerts struct {
	// LowBalance are amounts of remaining credits, highest first; falling to one of them or
	// below is reported once.
	LowBalance []credit.Amount
	// ExpiringDays is how many days before its end a lot is reported; 0 is never.
	ExpiringDays int
}

// PlanOf returns the rules of a plan, those of accounts without a plan for "", and nil for a
// plan that this catalog does not have.
func (c *Catalog) PlanOf(id string) *Plan {
	if id == "" {
		return c.NoPlan
	}
	return c.Plans[id]
}

// Pays reports whether lots of the pool may pay the meter. It is false for a pool or a meter
// that this catalog does not have: such lots are frozen.
func (c *Catalog) Pays(pool, meter string) bool {
	p := c.Pools[pool]
	return p != nil && c.Meters[meter] != nil && p.Pays(meter)
}

// Usable reports whether an account on the plan may use the meter. plan may be nil: then only
// meters that need no plan are usable.
func (c *Catalog) Usable(plan *Plan, meter string) bool {
	m := c.Meters[meter]
	return m != nil && (!m.NeedsPlan || plan != nil && plan.Includes(meter))
}

// PoolsFor returns the pools that pay the meter in burn order: priority, then restricted before
// unrestricted, then name. The slice belongs to the catalog and must not be changed.
func (c *Catalog) PoolsFor(meter string) []*Pool { return c.payers[meter] }

// burnOrder compares two pools: the one that is spent first is less.
func burnOrder(a, b *Pool) int {
	restricted := func(p *Pool) int {
		if p.Restricted() {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(restricted(a), restricted(b)),
		cmp.Compare(a.ID, b.ID),
	)
}

// index fills everything that is derived from the settings, once they are known to be valid.
func (c *Catalog) index() {
	slices.SortFunc(c.PoolOrder, burnOrder)
	slices.SortFunc(c.MeterOrder, func(a, b *Meter) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.PlanOrder, func(a, b *Plan) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.ID, b.ID))
	})
	c.payers = make(map[string][]*Pool, len(c.Meters))
	for id := range c.Meters {
		for _, pool := range c.PoolOrder {
			if pool.Pays(id) {
				c.payers[id] = append(c.payers[id], pool)
			}
		}
	}
	c.indexPlan(c.NoPlan)
	for _, plan := range c.PlanOrder {
		c.indexPlan(plan)
	}
}

func (c *Catalog) indexPlan(plan *Plan) {
	usable := slices.ContainsFunc(c.MeterOrder, func(m *Meter) bool { return c.Usable(plan, m.ID) })
	plan.spends = make(map[string]bool)
	for _, pool := range c.PoolOrder {
		if !pool.Restricted() {
			plan.spends[pool.ID] = usable
			continue
		}
		for meter := range pool.pays {
			if c.Usable(plan, meter) {
				plan.spends[pool.ID] = true
				break
			}
		}
	}
	for _, a := range plan.Allowances {
		if c.Pools[a.Pool].Expiry.Kind == ExpireDayBeforeRenewal {
			plan.WholeDay = true
		}
	}
}
