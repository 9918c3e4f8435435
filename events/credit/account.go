package credit

import (
	"sort"
	"strconv"
	"time"
)

// Account is what the facts about one account add up to. Its zero value, with an id, is an account that
// was never opened. Only Evolve (and Restore, which reads back what Drain wrote) changes it.
type Account struct {
	// What a use looks at lies side by side, within a few lines of the processor's cache.
	id      string
	opened  time.Time
	pools   []*Pool // by name
	plan    string
	due     time.Time // cached NextDue; zero: not computed
	lastEnd time.Time // the latest end among the lots that are booked as ended
	cycle   Cycle
	carries []Carry   // by meter
	debts   []Debt    // by meter, each > 0
	low     Amount    // the threshold that was announced last; 0: none
	lots    []*Lot    // by ordinal
	booked  time.Time // NextDue as of the last Drain
	setUp   []byte    // what appendSetUp encodes; nil: a fact may have changed it since
	changed changes

	closed        bool
	exhausted     bool // announced and not credited since
	lotsOutside   bool // as of the last Drain: the lots are records of their own
	lotCount      uint64
	holdCount     uint64
	purchaseCount uint64
	holds         map[string]*Hold
	purchases     map[string]*Purchase
	awaiting      []*Purchase // those that can still expire unpaid
	reversed      map[string]int64

	timezone     string
	nextTimezone string
	anchor       time.Time
	pending      *PendingPlan
	approval     string
	method       PaymentMethod
	metadata     Metadata
}

// PendingPlan is a plan change that waits for the next boundary.
type PendingPlan struct {
	Plan string
	Due  time.Time
}

// Hold is credits set aside: open as long as it is in the account.
type Hold struct {
	ID       string
	Ordinal  uint64
	Meter    string
	Quantity int64
	Cost     Amount
	Draws    []Draw
	Carry    int64
	Placed   time.Time
	Expires  time.Time
	Catalog  uint32
	dirty    bool
}

// Purchase is one purchase in whatever state it is.
type Purchase struct {
	ID         string
	Ordinal    uint64
	Status     string
	Pack       string
	Pool       string
	Credits    Amount
	Price      Money
	Provider   string
	Requested  time.Time
	PaysUntil  time.Time
	Catalog    uint32
	Approved   string
	Method     string // the saved method that the buyer confirmed, masked
	Lot        string // empty until the payment was confirmed
	PaidAt     time.Time
	Reference  string
	InvoiceRef string
	ReceiptURL string
	Reason     string
	Metadata   Metadata
	dirty      bool
}

// Pays reports whether a purchase still waits for its money and can expire without it.
func (p *Purchase) Pays() bool {
	return p.Status == AwaitingPayment || p.Status == RequiresAction
}

// Debt is what a meter used beyond what lots could pay.
type Debt struct {
	Meter  string
	Amount Amount
}

// Carry is how many units of a meter that accumulates have not been charged in this cycle.
type Carry struct {
	Meter string
	Units int64
}

// NewAccount returns an account that was never opened.
func NewAccount(id string) *Account { return &Account{id: id} }

// FetchDepth is how many steps deep Fetch goes.
const FetchDepth = 3

// Fetch reads a word of each part of the account, depth steps from its beginning, that most commands look at. It
// is for who is about to look at many accounts: see there. What it returns means nothing.
func (a *Account) Fetch(depth int) (read int) {
	switch depth {
	case 0:
		read = len(a.pools) + a.due.Nanosecond() + a.cycle.Step + int(a.low) + len(a.setUp) + len(a.changed.lots) + int(a.holdCount)
	case 1:
		if n := len(a.setUp); n > 0 {
			read = int(a.setUp[0]) + int(a.setUp[n-1])
		}
		for _, p := range a.pools {
			read += int(p.Terms.Remaining) + len(p.live) + len(p.Name)
		}
	default:
		for _, p := range a.pools {
			if len(p.live) > 0 {
				l := p.live[0]
				read += int(l.Remaining) + len(l.ID) + int(l.Recognised) + l.Starts.Nanosecond()
			}
		}
	}
	return read
}

// ID is the account's name.
func (a *Account) ID() string { return a.id }

// Exists reports whether the account was ever opened.
func (a *Account) Exists() bool { return !a.opened.IsZero() }

// Opened is when the account was opened.
func (a *Account) Opened() time.Time { return a.opened }

// Closed reports whether the account is closed now.
func (a *Account) Closed() bool { return a.closed }

// Timezone is the IANA name of the zone that the present cycle goes by.
func (a *Account) Timezone() string { return a.timezone }

// NextTimezone is the zone from the next boundary on; the same as Timezone unless it was changed.
func (a *Account) NextTimezone() string {
	if a.nextTimezone != "" {
		return a.nextTimezone
	}
	return a.timezone
}

// Anchor is the instant that all boundaries are counted from.
func (a *Account) Anchor() time.Time { return a.anchor }

// Cycle is the current cycle as booked.
func (a *Account) Cycle() Cycle { return a.cycle }

// Plan is the current plan, or "".
func (a *Account) Plan() string { return a.plan }

// Pending is the plan change that waits for the next boundary, or nil.
func (a *Account) Pending() *PendingPlan { return a.pending }

// Approval is "pin", "totp" or "".
func (a *Account) Approval() string { return a.approval }

// PaymentMethod is the saved method; its zero value means none.
func (a *Account) PaymentMethod() PaymentMethod { return a.method }

// Metadata is what the tenant noted. Do not change it.
func (a *Account) Metadata() Metadata { return a.metadata }

// Pools returns the account's pools by name. Do not change the slice.
func (a *Account) Pools() []*Pool { return a.pools }

// Pool returns one pool, or nil when the account never had a lot in it.
func (a *Account) Pool(name string) *Pool {
	for _, p := range a.pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Lot returns a lot that can still matter (alive, or ended within the late window), or nil.
func (a *Account) Lot(id string) *Lot {
	n, ok := ordinal(id, 'l')
	if !ok {
		return nil
	}
	from, to := 0, len(a.lots)
	for from < to {
		middle := int(uint(from+to) >> 1)
		if a.lots[middle].Ordinal < n {
			from = middle + 1
		} else {
			to = middle
		}
	}
	if from < len(a.lots) && a.lots[from].Ordinal == n {
		return a.lots[from]
	}
	return nil
}

// Lots returns all lots that can still matter, in the order of their grants.
func (a *Account) Lots() []*Lot {
	return append(make([]*Lot, 0, len(a.lots)), a.lots...)
}

// LastEnd is the latest end among the lots that are booked as ended and not forgotten yet: a use at or
// after it cannot concern any of them.
func (a *Account) LastEnd() time.Time { return a.lastEnd }

// LotKnown reports whether the account ever had a lot of that name.
func (a *Account) LotKnown(id string) bool { return known(id, 'l', a.lotCount) }

// NextLot returns the name that the n-th next grant must carry, n from 0.
func (a *Account) NextLot(n int) string {
	return "l" + strconv.FormatUint(a.lotCount+uint64(n)+1, 10)
}

// Hold returns an open hold, or nil.
func (a *Account) Hold(id string) *Hold { return a.holds[id] }

// Holds returns the open holds in the order they were placed.
func (a *Account) Holds() []*Hold {
	holds := make([]*Hold, 0, len(a.holds))
	for _, h := range a.holds {
		holds = append(holds, h)
	}
	sort.Slice(holds, func(i, j int) bool { return holds[i].Ordinal < holds[j].Ordinal })
	return holds
}

// HoldKnown reports whether the account ever had a hold of that name, open or not.
func (a *Account) HoldKnown(id string) bool { return known(id, 'h', a.holdCount) }

// NextHold returns the name that the next hold must carry.
func (a *Account) NextHold() string { return "h" + strconv.FormatUint(a.holdCount+1, 10) }

// Purchase returns a purchase, or nil.
func (a *Account) Purchase(id string) *Purchase { return a.purchases[id] }

// Purchases returns all purchases in the order of their requests.
func (a *Account) Purchases() []*Purchase {
	purchases := make([]*Purchase, 0, len(a.purchases))
	for _, p := range a.purchases {
		purchases = append(purchases, p)
	}
	sort.Slice(purchases, func(i, j int) bool { return purchases[i].Ordinal < purchases[j].Ordinal })
	return purchases
}

// Awaiting returns the purchases that expire unless they are paid. Do not change the slice.
func (a *Account) Awaiting() []*Purchase { return a.awaiting }

// Debts returns what is owed, by meter. Do not change the slice.
func (a *Account) Debts() []Debt { return a.debts }

// Debt is what is owed for one meter.
func (a *Account) Debt(meter string) Amount {
	for _, d := range a.debts {
		if d.Meter == meter {
			return d.Amount
		}
	}
	return 0
}

// Owed is the debt of all meters.
func (a *Account) Owed() Amount {
	var sum Amount
	for _, d := range a.debts {
		sum += d.Amount
	}
	return sum
}

// Carry is how many units of an accumulating meter were not charged yet in this cycle.
func (a *Account) Carry(meter string) int64 {
	for _, c := range a.carries {
		if c.Meter == meter {
			return c.Units
		}
	}
	return 0
}

// Reversed is how many units of a use were reversed, as far as this account in memory knows; see
// PartReversed for the rest.
func (a *Account) Reversed(usage string) (units int64, known bool) {
	units, known = a.reversed[usage]
	return units, known
}

// Low is the threshold whose crossing was announced last, 0 for none; Exhausted whether an empty
// balance was.
func (a *Account) Low() Amount { return a.low }

// Exhausted reports whether an empty balance was announced and nothing was credited since.
func (a *Account) Exhausted() bool { return a.exhausted }

// NextDue is the earliest instant at which something falls due: an expiry or its warning, a lapse, an abandoned
// purchase, the renewal. The zero time means that nothing ever does.
func (a *Account) NextDue() time.Time {
	if a.due.IsZero() {
		a.due = a.nextDue()
	}
	return a.due
}

// NextWarning is the lot whose end has to be announced next, at its Warns; nil when none has to be.
func (a *Account) NextWarning() (next *Lot) {
	for _, p := range a.pools {
		left := p.unwarned
		for i := 0; left > 0; i++ {
			l := p.live[i]
			if !l.unwarned() {
				continue
			}
			left--
			if next == nil || l.Warns.Before(next.Warns) {
				next = l
			}
		}
	}
	return next
}

func (a *Account) nextDue() time.Time {
	due := a.cycle.To
	earlier := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	for _, p := range a.pools {
		if len(p.live) > 0 {
			earlier(p.live[0].Ends)
		}
	}
	if l := a.NextWarning(); l != nil {
		earlier(l.Warns)
	}
	for _, h := range a.holds {
		earlier(h.Expires)
	}
	for _, p := range a.awaiting {
		earlier(p.PaysUntil)
	}
	return due
}

// Clone returns an independent copy, with what waits to be drained.
func (a *Account) Clone() *Account {
	b := *a
	b.changed = changes{head: a.changed.head, dropped: append([]dropped(nil), a.changed.dropped...), reversed: append([]string(nil), a.changed.reversed...)}
	b.lots = make([]*Lot, len(a.lots))
	for i, l := range a.lots {
		c := *l
		b.lots[i] = &c
		if c.dirty {
			b.changed.lots = append(b.changed.lots, &c)
		}
	}
	b.pools = make([]*Pool, len(a.pools))
	for i, p := range a.pools {
		c := *p
		c.live = make([]*Lot, len(p.live))
		for j, l := range p.live {
			c.live[j] = b.Lot(l.ID)
		}
		b.pools[i] = &c
	}
	b.holds = make(map[string]*Hold, len(a.holds))
	for id, h := range a.holds {
		c := *h
		b.holds[id] = &c
		if c.dirty {
			b.changed.holds = append(b.changed.holds, &c)
		}
	}
	b.purchases = make(map[string]*Purchase, len(a.purchases))
	for id, p := range a.purchases {
		c := *p
		b.purchases[id] = &c
		if c.dirty {
			b.changed.purchases = append(b.changed.purchases, &c)
		}
	}
	b.awaiting = make([]*Purchase, len(a.awaiting))
	for i, p := range a.awaiting {
		b.awaiting[i] = b.purchases[p.ID]
	}
	b.debts = append([]Debt(nil), a.debts...)
	b.carries = append([]Carry(nil), a.carries...)
	if a.pending != nil {
		pending := *a.pending
		b.pending = &pending
	}
	b.reversed = make(map[string]int64, len(a.reversed))
	for k, v := range a.reversed {
		b.reversed[k] = v
	}
	return &b
}

func known(id string, letter byte, count uint64) bool {
	n, ok := ordinal(id, letter)
	return ok && n <= count
}

// ordinal reads a name such as "l12": a letter and a number from 1.
func ordinal(id string, letter byte) (n uint64, ok bool) {
	if len(id) < 2 || len(id) > 20 || id[0] != letter || id[1] == '0' {
		return 0, false
	}
	for _, c := range []byte(id[1:]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
