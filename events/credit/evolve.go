package credit

import (
	"fmt"
	"time"
)

// Evolve folds one fact into the account. It is total over the facts that rules can state: it returns
// no error and reads no clock, and it panics on nonsense (a draw beyond what a lot has, a second
// opening), because an account that nonsense was folded into must never be served.
//
// at is the instant of the fact.
func (a *Account) Evolve(e Event, at time.Time) {
	a.changed.head = true
	if _, use := e.(*UsageRecorded); !use {
		a.setUp = nil
	}
	switch e := e.(type) {
	case *UsageRecorded:
		a.takeAll(e.Draws)
		a.owe(e.Meter, e.Debt)
		if e.Carry != nil {
			a.setCarry(e.Meter, *e.Carry)
		}
	case *HoldPlaced:
		a.placeHold(e, at)
	case *HoldCaptured:
		a.closeHold(e.Hold, e.Draws, e.Released, e.Lapsed)
		a.takeAll(e.Excess)
		a.owe(e.Meter, e.Debt)
		if e.Carry != nil {
			a.setCarry(e.Meter, *e.Carry)
		}
	case *HoldReleased:
		a.closeHold(e.Hold, nil, e.Released, e.Lapsed)
	case *HoldLapsed:
		a.closeHold(e.Hold, nil, e.Released, e.Lapsed)
	case *UsageReversed:
		a.reverse(e)
	case *DebtRepaid:
		a.takeAll(e.Draws)
		a.owe(e.Meter, -e.Amount)
	case *CreditGranted:
		a.addLot(e.Grant)
	case *CreditPurchased:
		a.addLot(e.Grant)
		p := a.purchase(e.Purchase)
		p.Lot, p.PaidAt, p.Reference, p.InvoiceRef, p.ReceiptURL = e.Lot, e.PaidAt, e.Reference, e.InvoiceRef, e.ReceiptURL
		a.setStatus(p, Completed, "")
	case *CreditExpired:
		a.expire(e.Ended, at)
	case *CreditRolledOver:
		a.rollOver(e.Rolled, at)
	case *GrantRevoked:
		a.revoke(e.Lot, e.Amount, at)
	case *CycleRenewed:
		a.renew(e, at)
	case *AccountOpened:
		a.open(e, at)
	case *AccountChanged:
		a.change(e)
	case *PersonalErased:
		a.metadata = nil
	case *AccountClosed:
		a.closed = true
	case *AccountReopened:
		a.closed = false
	case *PlanChanged:
		a.changePlan(e, at)
	case *PlanChangeScheduled:
		a.pending = nil
		if !e.Cancelled {
			a.pending = &PendingPlan{Plan: e.Plan, Due: e.Due}
		}
	case *PurchaseRequested:
		a.request(e, at)
	case *PurchaseApproved:
		p := a.purchase(e.Purchase)
		p.Method = e.Method
		a.setStatus(p, Processing, "")
	case *PurchaseUpdated:
		p := a.purchase(e.Purchase)
		if e.Reference != "" {
			p.Reference = e.Reference
		}
		a.setStatus(p, e.Status, e.Reason)
	case *PurchaseFailed:
		a.setStatus(a.purchase(e.Purchase), Failed, e.Reason)
	case *PurchaseExpired:
		a.setStatus(a.purchase(e.Purchase), Expired, "")
	case *PurchaseRefunded:
		a.revoke(e.Lot, e.Amount, at)
		a.recognise(Draw{Lot: e.Lot, Revenue: e.Money.Minor})
		a.setStatus(a.purchase(e.Purchase), e.Status, e.Reason)
	case *BalanceLow:
		a.low = e.Threshold
	case *BalanceExhausted:
		a.exhausted = true
	case *CreditExpiringSoon:
		l := a.mustLot(e.Lot)
		if l.unwarned() && l.Remaining > 0 {
			a.mustPool(l.Pool).unwarned--
		}
		l.Warned = true
		a.due = time.Time{}
		a.touchLot(l)
	case *UsageDenied, *PaymentMismatched, *NothingChanged, *CatalogPublished:
		// On record, and nothing to add up.
	default:
		panic(fmt.Sprintf("credit: no fold for %T", e))
	}
}

func (a *Account) open(e *AccountOpened, at time.Time) {
	if a.Exists() {
		panic("credit: account " + a.id + " opened twice")
	}
	a.opened = at
	a.timezone, a.anchor, a.cycle, a.metadata = e.Timezone, e.Anchor, e.Cycle, e.Metadata
	a.due = time.Time{}
}

func (a *Account) change(e *AccountChanged) {
	if e.Timezone != nil {
		a.nextTimezone = *e.Timezone
	}
	if e.Approval != nil {
		a.approval = *e.Approval
	}
	if e.PaymentMethod != nil {
		a.method = *e.PaymentMethod
	}
	if e.Metadata != nil {
		a.metadata = *e.Metadata
	}
}

func (a *Account) changePlan(e *PlanChanged, at time.Time) {
	for _, ended := range e.Expired {
		a.expire(ended, at)
	}
	a.plan, a.anchor, a.pending = e.Plan, e.Anchor, nil
	if e.Cycle.Number != a.cycle.Number {
		a.startCycle(e.Cycle, e.Forget)
	}
	a.cycle = e.Cycle
	a.due = time.Time{}
	for _, g := range e.Granted {
		a.addLot(g)
	}
}

func (a *Account) renew(e *CycleRenewed, at time.Time) {
	if e.Cycle.Number != a.cycle.Number+1 {
		panic(fmt.Sprintf("credit: account %s: cycle %d renewed after cycle %d", a.id, e.Cycle.Number, a.cycle.Number))
	}
	for _, r := range e.Rolled {
		a.rollOver(r, at)
	}
	for _, ended := range e.Expired {
		a.expire(ended, at)
	}
	a.plan, a.timezone, a.nextTimezone = e.Plan, e.Timezone, ""
	if a.pending != nil && !a.pending.Due.After(at) {
		a.pending = nil
	}
	a.startCycle(e.Cycle, e.Forget)
	for _, g := range e.Granted {
		a.addLot(g)
	}
}

// rollOver hands a part of what remains of a lot, or all of it, to a new lot.
func (a *Account) rollOver(r Rolled, at time.Time) {
	from := a.mustLot(r.From)
	a.spend(from, r.Amount)
	if from.Remaining == 0 {
		a.end(from, at)
	}
	from.Recognised += r.Into.Price.Minor
	a.birth(r.Into)
	a.followRollover(from.ID, r.Into.Lot)
}

// followRollover keeps a purchase with the lot that its credits rolled into, so that a refund finds them.
func (a *Account) followRollover(from, into string) {
	for _, p := range a.purchases {
		if p.Lot == from {
			p.Lot = into
			a.touchPurchase(p)
		}
	}
}

// startCycle makes what is there the opening of the new cycle.
func (a *Account) startCycle(c Cycle, forget time.Time) {
	for _, l := range a.lots {
		if !l.Ended && l.Remaining == 0 && !l.Ends.IsZero() && !l.Ends.After(c.From) {
			// Spent or held to nothing when its time came, so no fact ended it: it belongs to the cycle
			// that ends here.
			a.end(l, l.Ends)
		}
	}
	a.cycle = c
	a.carries = nil
	a.due = time.Time{}
	for _, p := range a.pools {
		p.Terms = Terms{Opening: p.Terms.Remaining + p.Terms.Held, Remaining: p.Terms.Remaining, Held: p.Terms.Held}
	}
	if forget.IsZero() {
		return
	}
	a.lastEnd = time.Time{}
	kept := a.lots[:0]
	for _, l := range a.lots {
		if l.Remaining == 0 && l.Held == 0 && !l.Ends.IsZero() && !l.Ends.After(forget) {
			a.drop(PartLot, l.ID)
			continue
		}
		kept = append(kept, l)
		a.noteEnd(l)
	}
	clear(a.lots[len(kept):])
	a.lots = kept
}

func (a *Account) request(e *PurchaseRequested, at time.Time) {
	a.purchaseCount++
	p := &Purchase{ID: e.Purchase, Ordinal: a.purchaseCount, Pack: e.Pack, Pool: e.Pool, Credits: e.Credits, Price: e.Price, Provider: e.Provider, Requested: at, PaysUntil: e.PaysUntil, Catalog: e.Catalog, Approved: e.Approved, Metadata: e.Metadata}
	if a.purchases == nil {
		a.purchases = make(map[string]*Purchase)
	}
	if a.purchases[p.ID] != nil {
		panic("credit: account " + a.id + " requested purchase " + p.ID + " twice")
	}
	a.purchases[p.ID] = p
	a.setStatus(p, AwaitingPayment, "")
}

func (a *Account) purchase(id string) *Purchase {
	p := a.purchases[id]
	if p == nil {
		panic("credit: account " + a.id + " has no purchase " + id)
	}
	return p
}

func (a *Account) setStatus(p *Purchase, status, reason string) {
	p.Status, p.Reason = status, reason
	a.touchPurchase(p)
	at := -1
	for i, w := range a.awaiting {
		if w == p {
			at = i
		}
	}
	switch {
	case p.Pays() && at < 0:
		a.awaiting = append(a.awaiting, p)
	case !p.Pays() && at >= 0:
		a.awaiting = append(a.awaiting[:at], a.awaiting[at+1:]...)
	}
	a.due = time.Time{}
}

// owe adds to the debt of a meter, or repays it when amount is negative.
func (a *Account) owe(meter string, amount Amount) {
	if amount == 0 {
		return
	}
	for i := range a.debts {
		if a.debts[i].Meter == meter {
			a.debts[i].Amount += amount
			if a.debts[i].Amount < 0 {
				panic("credit: account " + a.id + " repaid more than it owed for " + meter)
			}
			if a.debts[i].Amount == 0 {
				a.debts = append(a.debts[:i], a.debts[i+1:]...)
			}
			return
		}
	}
	if amount < 0 {
		panic("credit: account " + a.id + " owes nothing for " + meter)
	}
	i := 0
	for i < len(a.debts) && a.debts[i].Meter < meter {
		i++
	}
	a.debts = append(a.debts, Debt{})
	copy(a.debts[i+1:], a.debts[i:])
	a.debts[i] = Debt{Meter: meter, Amount: amount}
}

func (a *Account) setCarry(meter string, units int64) {
	i := 0
	for i < len(a.carries) && a.carries[i].Meter < meter {
		i++
	}
	if i == len(a.carries) || a.carries[i].Meter != meter {
		a.carries = append(a.carries, Carry{})
		copy(a.carries[i+1:], a.carries[i:])
	}
	a.carries[i] = Carry{Meter: meter, Units: units}
}

func (a *Account) ensurePool(name, unit string) *Pool {
	i := 0
	for i < len(a.pools) && a.pools[i].Name < name {
		i++
	}
	if i < len(a.pools) && a.pools[i].Name == name {
		return a.pools[i]
	}
	p := &Pool{Name: name, Unit: unit}
	a.pools = append(a.pools, nil)
	copy(a.pools[i+1:], a.pools[i:])
	a.pools[i] = p
	return p
}

func (a *Account) mustPool(name string) *Pool {
	if p := a.Pool(name); p != nil {
		return p
	}
	panic("credit: account " + a.id + " has no pool " + name)
}

func (a *Account) mustLot(id string) *Lot {
	if l := a.Lot(id); l != nil {
		return l
	}
	panic("credit: account " + a.id + " has no lot " + id)
}
