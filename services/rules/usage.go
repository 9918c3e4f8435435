package rules

import (
	"encoding/json"
	"fmt"
	"time"

	"creditstream/events/credit"
)

// aheadOfUs is how far in the future a use may say that it happened; it then counts as now.
const aheadOfUs = 5 * time.Minute

// maxText bounds ids, descriptions and attributes, in bytes.
const maxText = 1024

// Use charges a use of a meter to the lots that may pay it, all of it or nothing (T7).
type Use struct {
	Meter    string
	Quantity int64     // at least 1
	Time     time.Time // when it happened; zero is now
	// Description and Attributes are kept with the use, each at most 1 KiB.
	Description string
	Attributes  json.RawMessage
	// Intake says that the use already happened and is never refused for credits, plan or window: what
	// lots cannot pay is owed or unpaid.
	Intake bool
}

// decidedUse is what most uses come to: one fact, paid by one lot. In one piece it is garbage once.
type decidedUse struct {
	event credit.UsageRecorded
	facts [1]credit.Fact
	draws [1]credit.Draw
}

// Decide states UsageRecorded. A refusal for plan or credits comes with a UsageDenied where the catalog
// keeps denials.
func (c Use) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	at, r := c.instant(now)
	if r == nil {
		r = checkUse(c.Quantity, c.Description, c.Attributes)
	}
	if r != nil {
		return nil, r
	}
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	catalog, then := b.At(now), b.At(at)
	if then == nil || then.Meters[c.Meter] == nil {
		return nil, unknownMeter(c.Meter)
	}
	if a.Closed() {
		return nil, accountClosed(a)
	}
	plan := planOf(catalog, a.Plan())
	m := then.Meters[c.Meter]
	decided := &decidedUse{}
	e := &decided.event
	*e = credit.UsageRecorded{Meter: c.Meter, Quantity: c.Quantity, Catalog: then.Version, Description: c.Description, Attributes: c.Attributes}
	if r := c.admit(a, catalog, then, at, now); r != nil {
		if !c.Intake {
			return c.deny(catalog, r, now)
		}
		return c.unpaid(a, plan, m, e, r.Code, at)
	}
	u := burnAt(a, at)
	u.draws = decided.draws[:0]
	counted := m.Rounding == RoundAccumulate && !at.Before(a.Cycle().From)
	var carry int64
	if counted {
		carry = a.Carry(c.Meter)
	}
	due, err := u.charge(then, m, c.Quantity, carry)
	if err != nil {
		return nil, invalid("quantity", fmt.Sprintf("%d is more than can be charged at once", c.Quantity))
	}
	before := remaining(a, plan)
	if due.short > 0 {
		if !c.Intake {
			return c.deny(catalog, insufficient(a, catalog, c.Meter, due), now)
		}
		if e.Debt, e.Unpaid = oweWhatIsShort(a, catalog, due.short); e.Unpaid > 0 {
			e.Why = string(CodeInsufficientCredits)
		}
	}
	if counted {
		units := due.carry
		e.Carry = &units
	}
	if e.Cost = due.cost; len(u.draws) > 0 {
		e.Draws = u.draws
	}
	e.Remaining = before - usable(a, plan, u.draws)
	decided.facts[0] = credit.Fact{At: at, Event: e}
	return balanceAlerts(decided.facts[:1:1], a, catalog, c.Meter, before, e.Remaining, now), nil
}

func (c Use) instant(now time.Time) (time.Time, *Refusal) {
	switch {
	case c.Time.IsZero():
		return now, nil
	case !inRange(c.Time):
		return now, invalid("time", "must be between the years 1970 and 2200")
	case c.Time.After(now.Add(aheadOfUs)):
		return now, invalid("time", "is more than 5 minutes in the future")
	case c.Time.After(now):
		return now, nil
	}
	return c.Time.UTC(), nil
}

// admit says whether the window and the plan let the use in. The price, and what the plan includes,
// are those of the catalog in force at the time of the use.
func (c Use) admit(a *credit.Account, catalog, then *Catalog, at, now time.Time) *Refusal {
	if at.Before(now.Add(-catalog.LateWindow)) {
		return &Refusal{Code: CodeLateEvent, Field: "time", Detail: fmt.Sprintf("happened more than %s ago", inDays(catalog.LateWindow))}
	}
	rules := then
	if then.PlanOf(a.Plan()) == nil {
		rules = catalog
	}
	return notInPlan(a, catalog, rules, c.Meter)
}

// unpaid records a use that no lot may pay.
func (c Use) unpaid(a *credit.Account, plan *Plan, m *Meter, e *credit.UsageRecorded, why Code, at time.Time) ([]credit.Fact, error) {
	cost, _, err := m.Cost(c.Quantity, 0)
	if err != nil {
		return nil, invalid("quantity", fmt.Sprintf("%d is more than can be charged at once", c.Quantity))
	}
	e.Cost, e.Unpaid, e.Why, e.Remaining = cost, cost, string(why), remaining(a, plan)
	return []credit.Fact{{At: at, Event: e}}, nil
}

// deny refuses, on record where the tenant wants it. Usage that comes too late is bad input and no denial.
func (c Use) deny(catalog *Catalog, r *Refusal, now time.Time) ([]credit.Fact, error) {
	if !catalog.Denials || r.Code == CodeLateEvent {
		return nil, r
	}
	return []credit.Fact{{At: now, Event: &credit.UsageDenied{
		Meter: c.Meter, Quantity: c.Quantity, Code: string(r.Code), BlockedBy: r.BlockedBy, Short: r.Short, Catalog: catalog.Version,
	}}}, r
}

func checkUse(quantity int64, description string, attributes json.RawMessage) *Refusal {
	switch {
	case quantity < 1:
		return invalid("quantity", "must be a whole number of at least 1")
	case tooLong(description):
		return invalid("description", fmt.Sprintf("is longer than %d bytes", maxText))
	case len(attributes) > maxText && !sealedAttributes(attributes):
		return invalid("attributes", fmt.Sprintf("are longer than %d bytes", maxText))
	}
	return nil
}

// inRange reports whether an instant fits what is stored, nanoseconds in an int64, with room for every
// lot that starts there.
func inRange(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2200 }

func unknownMeter(id string) *Refusal {
	return &Refusal{Code: CodeUnknownMeter, Field: "meter", Detail: fmt.Sprintf("there is no meter %.64q", id)}
}

// notInPlan refuses a meter that the account's plan does not include (P2).
func notInPlan(a *credit.Account, catalog, rules *Catalog, meter string) *Refusal {
	if rules.Usable(planOf(rules, a.Plan()), meter) {
		return nil
	}
	r := &Refusal{Code: CodeMeterNotInPlan, BlockedBy: BlockedByPlan}
	if a.Plan() == "" {
		r.Detail = fmt.Sprintf("%s needs a plan", meter)
	} else {
		r.Detail = fmt.Sprintf("%s is not part of plan %s", meter, a.Plan())
	}
	plan := planOf(catalog, a.Plan())
	r.Contact = contactOf(plan)
	return r
}

// contactOf is whom to ask for more credits, or how to get a plan that may do more.
func contactOf(plan *Plan) string {
	if plan.Contact != "" {
		return plan.Contact
	}
	return plan.Upgrade
}

// insufficient says why lots do not pay a use, and what would help: how much is missing, when the next
// allowance comes, whom to ask, and a purchase that is under way (P13, T8).
func insufficient(a *credit.Account, c *Catalog, meter string, due charge) *Refusal {
	plan := planOf(c, a.Plan())
	r := &Refusal{
		Code: CodeInsufficientCredits, BlockedBy: blockedBy(a, c, plan, meter, due), Short: due.short,
		Contact: contactOf(plan), PendingPurchase: underWay(a),
	}
	next := plan
	if p := a.Pending(); p != nil {
		next = planOf(c, p.Plan)
	}
	for _, allowance := range next.Allowances {
		if c.Pays(allowance.Pool, meter) {
			r.NextRenewal = a.Cycle().To
		}
	}
	r.Detail = fmt.Sprintf("%s more credits are needed for %s", due.short.Format(c.Scale), meter)
	return r
}

func blockedBy(a *credit.Account, c *Catalog, plan *Plan, meter string, due charge) string {
	for _, p := range a.Pools() {
		if p.Terms.Remaining > 0 && !c.Pays(p.Name, meter) {
			return BlockedByPool
		}
	}
	if due.short == due.cost {
		for _, p := range c.PoolsFor(meter) {
			if !p.CountsCredits() && plan.Allowance(p.ID) > 0 {
				return BlockedByQuota
			}
		}
	}
	return BlockedByCredits
}

// underWay is the latest purchase that may still be paid, "" when there is none.
func underWay(a *credit.Account) string {
	purchases := a.Purchases()
	for i := len(purchases) - 1; i >= 0; i-- {
		if p := purchases[i]; p.Pays() || p.Status == credit.Processing {
			return p.ID
		}
	}
	return ""
}

func inDays(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
