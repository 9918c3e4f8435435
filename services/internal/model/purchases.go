package model

import "time"

// purchase is a pack on its way.
type purchase struct {
	Status  string
	credits int64
	pool    string
	until   time.Time
	lot     *Lot
}

// Buy asks for the pack.
func (w *World) Buy(account, id string) Answer {
	a, pack := w.settled(account), w.current().Pack
	if a.Closed {
		return refused("account_closed")
	}
	a.bought[id] = &purchase{Status: "awaiting_payment", credits: pack.Credits, pool: pack.Pool, until: w.Now.Add(pack.Within)}
	return Answer{}
}

// Status is how far a purchase is.
func (w *World) Status(account, id string) string { return w.settled(account).bought[id].Status }

// Paid is the provider's word that the money came. It gives the credits once, whatever became of the
// purchase.
func (w *World) Paid(account, id string) {
	a, c := w.settled(account), w.current()
	p := a.bought[id]
	if p.lot != nil {
		return
	}
	p.Status = "completed"
	p.lot = a.start(&Lot{Pool: p.pool, Paid: true, Start: w.Now, End: c.endOf(p.pool, w.Now, a.To)}, p.credits)
	a.pool(p.pool).started += p.credits
	w.repay(a, w.current(), w.Now)
}

// Unpaid is the provider's word that the payment failed.
func (w *World) Unpaid(account, id string) {
	if p := w.settled(account).bought[id]; p.Status == "awaiting_payment" {
		p.Status = "failed"
	}
}

// Refund takes back what is left of what was bought.
func (w *World) Refund(account, id string) Answer {
	a := w.settled(account)
	p := a.bought[id]
	switch {
	case p.Status == "refunded":
		return Answer{}
	case p.lot == nil:
		return refused("invalid")
	}
	if !p.lot.Over {
		a.revoke(p.lot, w.Now)
	}
	p.Status = "refunded"
	return Answer{}
}

// RenamePurchase gives a purchase the name that it got outside.
func (w *World) RenamePurchase(account, id, name string) {
	bought := w.Accounts[account].bought
	bought[name] = bought[id]
	delete(bought, id)
}
