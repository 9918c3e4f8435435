package explain

import (
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections/statement"
	"creditstream/services/rules"
)

// maxLots bounds how many lots of a choice are listed; those that paid are among them.
const maxLots = 200

// Choice is why these lots pay a use and no others: what it costs, the lots in burn order, and those passed
// over.
type Choice struct {
	Meter    string `json:"meter"`
	Quantity int64  `json:"quantity"`
	Catalog  uint32 `json:"catalog" doc:"The catalog version whose prices and pools count."`
	// Price is the meter's price, Arithmetic the cost as a calculation.
	Price      string    `json:"price" doc:"Credits per units, with the rounding rule."`
	Arithmetic string    `json:"arithmetic" doc:"How quantity and price make the cost."`
	Cost       string    `json:"cost" doc:"In credits; what a quota pays is not part of it."`
	Lots       []LotSeen `json:"lots" doc:"Those that may pay in burn order, then those passed over."`
	MoreLots   int       `json:"more_lots,omitempty" doc:"How many lots are not listed."`
}

// LotSeen is one lot as a use sees it.
type LotSeen struct {
	Lot     string     `json:"lot"`
	Pool    string     `json:"pool"`
	Unit    string     `json:"unit"`
	Had     string     `json:"had" doc:"What remained of it before."`
	Pays    string     `json:"pays" doc:"What it pays, 0 for those that do not."`
	Starts  time.Time  `json:"starts"`
	Expires *time.Time `json:"expires,omitempty"`
	Paid    bool       `json:"paid,omitempty" doc:"Somebody paid for it: free lots pay first."`
	May     bool       `json:"may" doc:"Whether it may pay this meter now."`
	Why     string     `json:"why" doc:"Why it pays where it does, was not needed, or was passed over."`
}

// Entry is why one entry is what it is.
type Entry struct {
	Key     string    `json:"key,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Source  string    `json:"source,omitempty"`
	Time    time.Time `json:"time"`
	Settled []Step    `json:"settled" doc:"What fell due and was booked just before, in the same commit."`
	Steps   []Step    `json:"steps" doc:"What the entry did."`
	Choice  *Choice   `json:"choice,omitempty" doc:"For usage, holds, captures and denials: price and lots."`
}

// maxSettled bounds how much of what was settled before an entry is shown.
const maxSettled = 50

// Explain derives one entry of an account: facts as they stand in the statement, and the account before them.
func Explain(view *statement.View, books *rules.Book, before *credit.Account, facts []statement.Told, scale int) (*Entry, error) {
	first := &facts[0].Record
	e := &Entry{Key: first.Key, Actor: first.Actor, Source: first.Source, Time: first.Time, Settled: []Step{}}
	settled, err := settledBefore(view, books, before.ID(), first, scale)
	if err != nil {
		return nil, err
	}
	e.Settled = append(e.Settled, settled...)
	w := &walk{account: before, books: books, scale: scale}
	for i := range facts {
		told := &facts[i]
		if e.Choice == nil {
			e.Choice = w.choiceOf(told.Event, told.Time)
		}
		seen, _, err := w.fold(told)
		if err != nil {
			return nil, err
		}
		w.step(seen, told.Time, &told.Record)
	}
	e.Steps = w.steps
	return e, nil
}

// settledBefore are the facts that were booked right before an entry because they were due: entries of the same
// commit and instant, without an actor.
func settledBefore(view *statement.View, books *rules.Book, account string, first *statement.Record, scale int) ([]Step, error) {
	trail, err := view.Trail(account, time.Time{}, statement.Known{}, first.N, maxSettled)
	if err != nil {
		return nil, err
	}
	w := &walk{account: trail.Before, books: books, scale: scale}
	var steps []Step
	for i := range trail.Facts {
		told := &trail.Facts[i]
		seen, _, err := w.fold(told)
		if err != nil {
			return nil, err
		}
		w.steps = nil
		w.step(seen, told.Time, &told.Record)
		if told.At.Sequence == first.At.Sequence && told.Recorded.Equal(first.Recorded) && told.Actor == "" && told.Key != "" {
			steps = append(steps, w.steps...)
		} else {
			steps = nil
		}
	}
	return steps, nil
}

// choiceOf explains price and lots of a fact that has them; nil for others.
func (w *walk) choiceOf(e credit.Event, at time.Time) *Choice {
	switch e := e.(type) {
	case *credit.UsageRecorded:
		return Choose(w.account, w.books.Version(e.Catalog), e.Meter, e.Quantity, e.Cost, e.Draws, at, e.Carry != nil)
	case *credit.HoldPlaced:
		return Choose(w.account, w.books.Version(e.Catalog), e.Meter, e.Quantity, e.Cost, e.Draws, at, false)
	case *credit.HoldCaptured:
		draws := append(append([]credit.Draw(nil), e.Draws...), e.Excess...)
		return Choose(w.account, w.books.Version(e.Catalog), e.Meter, e.Quantity, e.Cost, draws, at, e.Carry != nil)
	case *credit.UsageDenied:
		quote := rules.Check(w.account, w.books, e.Meter, e.Quantity, at)
		return Choose(w.account, w.books.Version(e.Catalog), e.Meter, e.Quantity, quote.Cost, nil, at, false)
	}
	return nil
}

// Choose explains what a use of a meter costs by a catalog, and which of the account's lots pay it: those of
// draws. The account is as it was before. It is nil without the catalog or the meter.
func Choose(a *credit.Account, c *rules.Catalog, meter string, quantity int64, cost credit.Amount, draws []credit.Draw, at time.Time, carried bool) *Choice {
	if c == nil || c.Meters[meter] == nil {
		return nil
	}
	m := c.Meters[meter]
	choice := &Choice{
		Meter: meter, Quantity: quantity, Catalog: c.Version, Price: priceWords(m, c.Scale), Cost: cost.Format(c.Scale),
		Arithmetic: arithmetic(a, c, m, quantity, cost, draws, carried), Lots: []LotSeen{},
	}
	pays := make(map[string]credit.Amount)
	for _, d := range draws {
		pays[d.Lot] += d.Amount
	}
	paid := 0
	for _, seen := range rules.Consider(a, c, meter, at) {
		l := seen.Lot
		amount := pays[l.ID]
		if amount > 0 {
			paid++
		}
		if len(choice.Lots) >= maxLots && amount == 0 {
			choice.MoreLots++
			continue
		}
		choice.Lots = append(choice.Lots, LotSeen{
			Lot: l.ID, Pool: l.Pool, Unit: unitName(l.Unit), Had: had(l).Format(c.Scale), Pays: amount.Format(c.Scale),
			Starts: l.Starts.UTC(), Expires: endOf(l.Ends), Paid: l.Paid, May: seen.May, Why: whyOf(&seen, amount, paid, len(draws)),
		})
	}
	return choice
}

func had(l *credit.Lot) credit.Amount {
	if l.Ended {
		return l.Breakage
	}
	return l.Remaining
}

func whyOf(seen *rules.Considered, amount credit.Amount, paid, payers int) string {
	switch {
	case !seen.May:
		return seen.Why
	case amount > 0 && seen.Why == "":
		return "first in burn order"
	case amount > 0:
		return "next in burn order: " + seen.Why
	case payers > 0 && paid >= payers:
		return "not needed: " + cmpOr(seen.Why, "the lots before it paid all")
	case payers == 0:
		return "may pay: " + cmpOr(seen.Why, "first in burn order")
	}
	return "has no whole unit to give"
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// arithmetic writes the cost as a calculation, rounding and all.
func arithmetic(a *credit.Account, c *rules.Catalog, m *rules.Meter, quantity int64, cost credit.Amount, draws []credit.Draw, carried bool) string {
	unit := credit.Amount(1)
	for range c.Scale {
		unit *= 10
	}
	var onQuota credit.Amount
	for _, d := range draws {
		if d.Unit == m.ID {
			onQuota += d.Amount
		}
	}
	text, priced := "", quantity
	if onQuota > 0 {
		priced -= int64(onQuota / unit)
		text = fmt.Sprintf("%d − %s on quota = %d; ", quantity, onQuota.Format(c.Scale), priced)
	}
	price := m.Price.Format(c.Scale)
	switch {
	case m.Per == 1:
		text += fmt.Sprintf("%d × %s = %s", priced, price, cost.Format(c.Scale))
	case m.Rounding == rules.RoundCeil:
		blocks := priced / m.Per
		if priced%m.Per > 0 {
			blocks++
		}
		text += fmt.Sprintf("%d / %d, each block begun counts: %d × %s = %s", priced, m.Per, blocks, price, cost.Format(c.Scale))
	case m.Rounding == rules.RoundAccumulate && carried:
		carry := a.Carry(m.ID) % m.Per
		text += fmt.Sprintf("(%d carried + %d) / %d = %d full blocks, %d carried on: %d × %s = %s",
			carry, priced, m.Per, (carry+priced)/m.Per, (carry+priced)%m.Per, (carry+priced)/m.Per, price, cost.Format(c.Scale))
	default:
		text += fmt.Sprintf("%d × %s / %d = %s (%s)", priced, price, m.Per, cost.Format(c.Scale), m.Rounding)
	}
	return text
}

func endOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Ask explains what a use would come to now, or at the instant that the account was settled up to.
type Ask struct {
	Allowed   bool    `json:"allowed"`
	Code      string  `json:"code,omitempty"`
	Detail    string  `json:"detail,omitempty"`
	BlockedBy string  `json:"blocked_by,omitempty"`
	Short     string  `json:"short,omitempty"`
	Says      string  `json:"says"`
	Choice    *Choice `json:"choice,omitempty"`
}

// Check explains the answer to a check: nothing is written, the journal has nothing of it.
func Check(a *credit.Account, books *rules.Book, meter string, quantity int64, at time.Time, scale int) (*Ask, *rules.Refusal) {
	quote := rules.Check(a, books, meter, quantity, at)
	ask := &Ask{Allowed: quote.Allowed}
	if r := quote.Refusal; r != nil {
		switch r.Code {
		case rules.CodeUnknownAccount, rules.CodeUnknownMeter, rules.CodeInvalid:
			return nil, r
		}
		ask.Code, ask.Detail, ask.BlockedBy = string(r.Code), r.Detail, r.BlockedBy
		if r.Short > 0 {
			ask.Short = r.Short.Format(scale)
		}
	}
	catalog := books.At(at)
	ask.Choice = Choose(a, catalog, meter, quantity, quote.Cost, quote.Draws, at, true)
	may := quote.Remaining.Format(scale)
	switch {
	case quote.Allowed:
		ask.Says = fmt.Sprintf("Yes: %d %s cost %s credits; %s may draw %s.", quantity, meter, quote.Cost.Format(scale), meter, may)
	case ask.Code == string(rules.CodeInsufficientCredits):
		ask.Says = fmt.Sprintf("No: %d %s cost %s credits, %s may draw %s, so %s are missing.", quantity, meter, quote.Cost.Format(scale), meter, may, ask.Short)
	default:
		ask.Says = "No: " + ask.Detail + "."
	}
	return ask, nil
}
