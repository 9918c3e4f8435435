package statement

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Type is what a line of the history is about (API.md, history).
type Type string

// The types of lines.
const (
	Purchase   Type = "purchase"
	Granted    Type = "grant"
	Usage      Type = "usage"
	Renewal    Type = "renewal"
	Expiry     Type = "expiry"
	Hold       Type = "hold"
	Release    Type = "release"
	Reversal   Type = "reversal"
	Revocation Type = "revocation"
	Refund     Type = "refund"
	Adjustment Type = "adjustment" // restates a closed cycle and changes nothing that remains
	Repayment  Type = "repayment"
	Unpaid     Type = "unpaid"
	Plan       Type = "plan"
	Denied     Type = "denied"
	Erasure    Type = "erasure" // the key of the account's texts was destroyed
)

// The places in this list are bits of records: append only.
var types = [...]Type{Purchase, Granted, Usage, Renewal, Expiry, Hold, Release, Reversal, Revocation, Refund, Adjustment, Repayment, Unpaid, Plan, Denied, Erasure}

// Types lists all types of lines.
func Types() []Type { return types[:] }

// bit is the type's bit in a record; 0 when there is no such type.
func bit(t Type) uint32 {
	i := slices.Index(types[:], t)
	if i < 0 {
		return 0
	}
	return 1 << i
}

// Line is one line of an account's history. All amounts are in the tenant's smallest unit.
type Line struct {
	At       projections.Position
	Time     time.Time
	Recorded time.Time
	Type     Type
	Meter    string
	Quantity int64
	// Credits is the signed change of what remains, over pools counted in credits.
	Credits credit.Amount
	// Units is the signed change in a pool counted in units of the meter Unit; where a line concerns several
	// such pools, Draws has them all and Unit is that of the first.
	Units credit.Amount
	Unit  string
	// Cost is the price of a use or hold; what Draws do not cover of it is Debt or Unpaid. Both are negative
	// where a reversal forgave them.
	Cost   credit.Amount
	Debt   credit.Amount
	Unpaid credit.Amount
	// Remaining is what all pools counted in credits had after the line.
	Remaining   credit.Amount
	Description string
	Attributes  json.RawMessage
	Actor       string
	Source      string
	Key         string
	Draws       []credit.Draw // with positive amounts

	// What the line refers to, where it does.
	Usage     string // the key of the use that was reversed
	Hold      string
	Purchase  string
	Plan      string
	Catalog   uint32
	Money     credit.Money // of a purchase or refund, or what was paid for a grant
	Code      string       // why a use was denied, or is unpaid
	Count     int64        // how many refusals a denial stands for
	Since     time.Time    // the first of them is not before
	Scheduled time.Time    // when a plan change will be
	Expires   time.Time    // of a hold, or of what was granted
}

// lines says which lines a fact is, in order. Remaining is set by the caller.
func lines(r *Record, decoder *credit.Decoder) ([]Line, error) {
	event, err := r.Event(decoder)
	if err != nil {
		return nil, err
	}
	l := lister{record: r, classes: r.classes}
	l.list(event)
	return l.lines, nil
}

type lister struct {
	record  *Record
	classes string
	lines   []Line
}

// add appends a line whose draws change what remains by sign times their amounts.
func (l *lister) add(line Line, sign credit.Amount, draws []credit.Draw) {
	r := l.record
	line.At, line.Time, line.Recorded, line.Actor, line.Source, line.Key = r.At, r.Time, r.Recorded, r.Actor, r.Source, r.Key
	line.Draws = draws
	for _, d := range draws {
		if d.Unit == "" {
			line.Credits += sign * d.Amount
			continue
		}
		if line.Unit == "" {
			line.Unit = d.Unit
		}
		if line.Unit == d.Unit {
			line.Units += sign * d.Amount
		}
	}
	l.lines = append(l.lines, line)
}

func (l *lister) list(event credit.Event) {
	switch e := event.(type) {
	case *credit.UsageRecorded:
		l.usage(Line{Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Debt: e.Debt, Unpaid: e.Unpaid, Code: e.Why, Catalog: e.Catalog, Description: e.Description, Attributes: e.Attributes}, nil, e.Draws)
	case *credit.HoldPlaced:
		l.add(Line{Type: Hold, Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Hold: e.Hold, Expires: e.Expires, Catalog: e.Catalog, Description: e.Description, Attributes: e.Attributes}, -1, e.Draws)
	case *credit.HoldCaptured:
		held := slices.Concat(e.Draws, e.Released, e.Lapsed)
		l.add(Line{Type: Release, Meter: e.Meter, Hold: e.Hold}, 1, held)
		l.expired(e.Lapsed, e.Meter)
		l.usage(Line{Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Debt: e.Debt, Unpaid: e.Unpaid, Code: e.Why, Hold: e.Hold, Catalog: e.Catalog}, e.Draws, e.Excess)
	case *credit.HoldReleased:
		l.release(e.Hold, "", e.Released, e.Lapsed)
	case *credit.HoldLapsed:
		l.release(e.Hold, "lapsed", e.Released, e.Lapsed)
	case *credit.UsageReversed:
		l.reversed(e)
	case *credit.DebtRepaid:
		l.add(Line{Type: Repayment, Meter: e.Meter, Debt: -e.Amount}, -1, e.Draws)
	case *credit.CreditGranted:
		l.add(Line{Type: Granted, Description: e.Reason, Money: e.Price, Catalog: e.Catalog, Expires: e.Ends}, 1, births(e.Grant))
	case *credit.CreditPurchased:
		l.add(Line{Type: Purchase, Purchase: e.Purchase, Money: e.Price, Catalog: e.Catalog, Expires: e.Ends}, 1, births(e.Grant))
	case *credit.CreditExpired:
		l.add(Line{Type: Expiry}, -1, deaths(e.Ended))
	case *credit.CreditRolledOver:
		l.add(Line{Type: Renewal}, 0, births(e.Into))
	case *credit.GrantRevoked:
		l.add(Line{Type: Revocation, Description: e.Reason}, -1, []credit.Draw{{Lot: e.Lot, Pool: e.Pool, Unit: e.Unit, Amount: e.Amount}})
	case *credit.PurchaseRefunded:
		l.add(Line{Type: Refund, Purchase: e.Purchase, Money: e.Money, Description: e.Reason}, -1, []credit.Draw{{Lot: e.Lot, Pool: e.Pool, Unit: e.Unit, Amount: e.Amount}})
	case *credit.CycleRenewed:
		l.renewed(e)
	case *credit.PlanChanged:
		for _, ended := range e.Expired {
			l.add(Line{Type: Expiry}, -1, deaths(ended))
		}
		l.add(Line{Type: Plan, Plan: e.Plan, Catalog: e.Catalog, Description: change(e.From, e.Plan)}, 0, nil)
		for _, g := range e.Granted {
			l.add(Line{Type: Granted, Plan: e.Plan, Catalog: e.Catalog, Expires: g.Ends}, 1, births(g))
		}
	case *credit.PlanChangeScheduled:
		line := Line{Type: Plan, Plan: e.Plan, Scheduled: e.Due, Description: "scheduled"}
		if e.Cancelled {
			line.Description = "scheduled change cancelled"
		}
		l.add(line, 0, nil)
	case *credit.PersonalErased:
		l.add(Line{Type: Erasure}, 0, nil)
	case *credit.UsageDenied:
		l.add(Line{Type: Denied, Meter: e.Meter, Quantity: e.Quantity, Code: e.Code, Catalog: e.Catalog, Count: max(e.Count, 1), Since: e.Since}, 0, nil)
	}
}

func change(from, to string) string {
	switch {
	case from == "":
		return "to " + to
	case to == "":
		return "from " + from
	}
	return fmt.Sprintf("from %s to %s", from, to)
}

func births(g credit.Grant) []credit.Draw {
	return []credit.Draw{{Lot: g.Lot, Pool: g.Pool, Unit: g.Unit, Amount: g.Amount}}
}

func deaths(e credit.Ended) []credit.Draw {
	return []credit.Draw{{Lot: e.Lot, Pool: e.Pool, Unit: e.Unit, Amount: e.Amount}}
}

// usage lists a use: what live lots paid; what was taken from lots that ended, which restates; what nothing
// paid. held are draws out of a hold, drawn those that the record's classes are about.
func (l *lister) usage(line Line, held, drawn []credit.Draw) {
	live, ended := slices.Clone(held), []credit.Draw(nil)
	for i, d := range drawn {
		if i < len(l.classes) && l.classes[i] != onLive {
			ended = append(ended, d)
		} else {
			live = append(live, d)
		}
	}
	unpaid := line
	line.Unpaid, line.Code = 0, ""
	if len(live) > 0 || (len(ended) == 0 && unpaid.Unpaid == 0) {
		used := line
		used.Type = Usage
		l.add(used, -1, live)
		line.Quantity, line.Cost, line.Debt = 0, 0, 0
	}
	if len(ended) > 0 {
		adjusted := line
		adjusted.Type = Adjustment
		l.add(adjusted, 0, ended)
		line.Quantity, line.Cost, line.Debt = 0, 0, 0
	}
	if unpaid.Unpaid > 0 {
		unpaid.Type, unpaid.Quantity, unpaid.Cost, unpaid.Debt = Unpaid, line.Quantity, line.Cost, line.Debt
		l.add(unpaid, 0, nil)
	}
}

func (l *lister) release(hold, why string, released, lapsed []credit.Draw) {
	l.add(Line{Type: Release, Hold: hold, Description: why}, 1, slices.Concat(released, lapsed))
	l.expired(lapsed, "")
}

// expired lists what came back to lots that had ended.
func (l *lister) expired(draws []credit.Draw, meter string) {
	if len(draws) > 0 {
		l.add(Line{Type: Expiry, Meter: meter}, -1, draws)
	}
}

// reversed lists a reversal: what came back and stays, or came back and expired at once in the open, and what
// came back to a closed cycle.
func (l *lister) reversed(e *credit.UsageReversed) {
	back := slices.Clone(e.Draws)
	var expired, closed []credit.Draw
	for i, d := range e.Lapsed {
		if i < len(l.classes) && l.classes[i] == onClosed {
			closed = append(closed, d)
		} else {
			back = append(back, d)
			expired = append(expired, d)
		}
	}
	for _, r := range e.Replaced {
		back = append(back, births(r.Into)...)
	}
	line := Line{Meter: e.Meter, Quantity: e.Quantity, Usage: e.Usage, Description: e.Reason, Debt: -e.Debt, Unpaid: -e.Unpaid}
	if len(back) > 0 || len(closed) == 0 {
		reversal := line
		reversal.Type = Reversal
		l.add(reversal, 1, back)
		line.Quantity, line.Debt, line.Unpaid = 0, 0, 0
	}
	l.expired(expired, e.Meter)
	if len(closed) > 0 {
		line.Type = Adjustment
		l.add(line, 0, closed)
	}
}

func (l *lister) renewed(e *credit.CycleRenewed) {
	for _, ended := range e.Expired {
		l.add(Line{Type: Expiry}, -1, deaths(ended))
	}
	if len(e.Rolled)+len(e.Granted) == 0 {
		return
	}
	var granted []credit.Draw
	for _, g := range e.Granted {
		granted = append(granted, births(g)...)
	}
	l.add(Line{Type: Renewal, Plan: e.Plan, Catalog: e.Catalog}, 1, granted)
	// What rolled over went from one lot to another: it is named, and changes nothing.
	renewal := &l.lines[len(l.lines)-1]
	for _, r := range e.Rolled {
		renewal.Draws = append(renewal.Draws, births(r.Into)...)
	}
}
