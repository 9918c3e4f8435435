package rules

import (
	"fmt"
	"slices"
	"time"

	"creditstream/events/credit"
)

// Considered is one lot as the burn order sees it for one use.
type Considered struct {
	Lot *credit.Lot
	// May says that the lot may pay: those that may come first, in burn order.
	May bool
	// Why the lot may not pay, or why it comes where it does: after the one before it. "" for the first.
	Why string
}

// Consider lists the lots of an account that have something to give, as a use of the meter at an instant sees
// them: those that may pay in burn order, then the others with the reason. It reads what burn draws from and
// changes nothing.
func Consider(a *credit.Account, c *Catalog, meter string, at time.Time) []Considered {
	var list []Considered
	seen := make(map[*credit.Lot]bool)
	u := burnAt(a, at)
	pools := c.PoolsFor(meter)
	for _, unit := range [...]string{meter, ""} {
		for i := 0; i < len(pools); {
			next := i + 1
			for next < len(pools) && sameTurn(pools[i], pools[next]) {
				next++
			}
			for _, l := range u.candidates(pools[i:next], unit) {
				if !seen[l] && !l.Starts.After(at) {
					seen[l] = true
					list = append(list, Considered{Lot: l, May: true})
				}
			}
			i = next
		}
	}
	for i := 1; i < len(list); i++ {
		list[i].Why = after(c, list[i-1].Lot, list[i].Lot)
	}
	for _, l := range a.Lots() {
		if !seen[l] && (l.Remaining > 0 || l.Breakage > 0) {
			list = append(list, Considered{Lot: l, Why: passedOver(c, l, meter, at)})
		}
	}
	return list
}

// candidates are the lots of pools that take the same turn, in order.
func (u *burn) candidates(pools []*Pool, unit string) (lots []*credit.Lot) {
	for _, l := range u.broken {
		if l.Unit == unit && slices.ContainsFunc(pools, func(p *Pool) bool { return p.ID == l.Pool }) {
			lots = append(lots, l)
		}
	}
	for _, pool := range pools {
		if p := u.account.Pool(pool.ID); p != nil {
			for _, l := range p.Live() {
				if l.Unit == unit {
					lots = append(lots, l)
				}
			}
		}
	}
	slices.SortStableFunc(lots, func(x, y *credit.Lot) int {
		switch {
		case x.Before(y):
			return -1
		case y.Before(x):
			return 1
		}
		return 0
	})
	return lots
}

// after says why of two lots that may both pay the second comes second.
func after(c *Catalog, first, second *credit.Lot) string {
	p, o := c.Pools[first.Pool], c.Pools[second.Pool]
	switch {
	case first.Unit != "" && second.Unit == "":
		return "what counts units of the meter pays before credits do"
	case p == nil || o == nil:
		return ""
	case p.Priority != o.Priority:
		return fmt.Sprintf("pool %s has priority %d and pays after %s with %d", o.ID, o.Priority, p.ID, p.Priority)
	case p.Restricted() && !o.Restricted():
		return fmt.Sprintf("pool %s pays any meter, and %s only some: what can do less pays first", o.ID, p.ID)
	case !first.Ends.Equal(second.Ends):
		return "it ends later than lot " + first.ID
	case first.Paid != second.Paid:
		return "it was paid for, and lot " + first.ID + " was not: free credits pay first"
	}
	return "it was granted after lot " + first.ID
}

// passedOver says why a lot may not pay.
func passedOver(c *Catalog, l *credit.Lot, meter string, at time.Time) string {
	pool := c.Pools[l.Pool]
	switch {
	case !l.Ends.IsZero() && !at.Before(l.Ends):
		return "expired: it ended at " + l.Ends.UTC().Format(time.RFC3339)
	case l.Starts.After(at):
		return "not yet: it starts at " + l.Starts.UTC().Format(time.RFC3339)
	case l.Ended:
		return "expired: it was ended before its time"
	case pool == nil:
		return fmt.Sprintf("the catalog has no pool %s any more", l.Pool)
	case !pool.CountsCredits():
		return fmt.Sprintf("restricted: pool %s counts %s and pays nothing else", l.Pool, pool.Unit)
	case !pool.Pays(meter):
		return fmt.Sprintf("restricted: pool %s does not pay %s", l.Pool, meter)
	}
	return fmt.Sprintf("it counts %s", unitName(l.Unit))
}

func unitName(unit string) string {
	if unit == "" {
		return "credits"
	}
	return unit
}
