package usage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// View is the usage view of one journal. It may be read concurrently.
type View struct {
	*projections.View
}

// Of gives the view of one journal in a store its methods.
func Of(store *projections.Store, name projections.Name) (*View, error) {
	v, err := store.View(name, Version)
	if err != nil {
		return nil, err
	}
	return &View{View: v}, nil
}

// By is what usage is grouped by.
type By string

// ByMeter makes one group of each meter, ByDay one of each day; the zero By one of each meter and day.
const (
	ByMeter By = "meter"
	ByDay   By = "day"
)

// Query asks what an account used.
type Query struct {
	Account string
	// From and To bound the days, in the account's zone: the day that From is in and the last one that begins
	// before To. Zero means unbounded.
	From, To time.Time
	// Cycle, when not 0, is the cycle whose draws count.
	Cycle uint32
	By    By
}

// Group is one sum. Meter or Day is zero where the grouping leaves it open.
type Group struct {
	Meter string
	Day   Day
	// Dated says that the group is of one day.
	Dated bool
	Total
}

// Usage is what an account used, in groups ordered by day and meter.
type Usage struct {
	Groups  []Group
	Credits credit.Amount
}

// Usage sums what an account used.
func (v *View) Usage(q Query) (Usage, error) {
	if err := v.Err(); err != nil {
		return Usage{}, err
	}
	groups := make(map[Group]Total)
	own := appendState(nil, q.Account)
	iter, err := v.Iter(own, append(slices.Clone(own), 0xff, 0xff, 0xff, 0xff, 0xff))
	if err != nil {
		return Usage{}, err
	}
	if err := errors.Join(sum(iter, q, groups), iter.Close()); err != nil {
		return Usage{}, fmt.Errorf("usage of account %s of %s: %w", q.Account, v.Name(), err)
	}
	var u Usage
	for g, t := range groups {
		g.Total = t
		u.Groups = append(u.Groups, g)
		u.Credits += t.Credits
	}
	slices.SortFunc(u.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Meter, b.Meter))
	})
	return u, nil
}

type span struct{ first, last Day }

func dayRange(q Query, zone *time.Location) span {
	days := span{-flipped, flipped - 1}
	if !q.From.IsZero() {
		days.first = DayOf(q.From, zone)
	}
	if !q.To.IsZero() {
		days.last = DayOf(q.To.Add(-1), zone)
	}
	return days
}

// sum adds what the account's own record has of the days asked for, and goes over the cycles, and within each over these
// days.
func sum(it *projections.Iter, q Query, groups map[Group]Total) error {
	if !it.First() {
		return it.Error()
	}
	s, zone, err := stateAt(it, q.Account)
	if err != nil {
		return err
	}
	days := dayRange(q, zone)
	for i := range s.open {
		if o := &s.open[i]; (q.Cycle == 0 || o.cycle == q.Cycle) && s.day >= days.first && s.day <= days.last {
			q.add(groups, o.meter, s.day, o.Total)
		}
	}
	at := place{account: q.Account, cycle: q.Cycle, day: days.first}
	for valid := it.SeekGE(at.append(nil)); valid; {
		p, ok := cutPlace(it.Key())
		if !ok {
			return errRecord
		}
		switch {
		case q.Cycle != 0 && p.cycle != q.Cycle:
			return it.Error()
		case p.day < days.first:
			valid = it.SeekGE((&place{account: q.Account, cycle: p.cycle, day: days.first}).append(nil))
			continue
		case p.day > days.last:
			valid = it.SeekGE((&place{account: q.Account, cycle: p.cycle + 1, day: days.first}).append(nil))
			continue
		}
		var t Total
		value, err := it.ValueAndErr()
		if err == nil {
			err = t.decode(value)
		}
		if err != nil {
			return err
		}
		q.add(groups, p.meter, p.day, t)
		valid = it.Next()
	}
	return it.Error()
}

// add counts a total in where it is grouped.
func (q *Query) add(groups map[Group]Total, meter string, day Day, t Total) {
	g := Group{Meter: meter, Day: day, Dated: true}
	switch q.By {
	case ByMeter:
		g.Day, g.Dated = 0, false
	case ByDay:
		g.Meter = ""
	}
	t.add(groups[g])
	groups[g] = t
}

// stateAt reads an account's own record, which comes before its totals.
func stateAt(it *projections.Iter, account string) (s state, zone *time.Location, err error) {
	if string(it.Key()) != string(appendState(nil, account)) {
		return s, time.UTC, nil // nothing opened it
	}
	value, err := it.ValueAndErr()
	if err == nil {
		err = s.decode(value)
	}
	if err != nil {
		return s, nil, err
	}
	zone, err = time.LoadLocation(s.zone)
	return s, zone, err
}

// Cycle says when a cycle of an account was; false when there was none of that number.
func (v *View) Cycle(account string, number uint32) (Cycle, bool, error) {
	c := Cycle{Number: number}
	value, ok, err := v.Get(nil, appendCycle([]byte{tagCycle}, account, number))
	if err != nil || !ok {
		return Cycle{}, false, err
	}
	if err := c.decode(value); err != nil {
		return Cycle{}, false, fmt.Errorf("cycle %d of account %s: %w", number, account, err)
	}
	return c, true, nil
}
