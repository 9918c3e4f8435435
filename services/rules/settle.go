package rules

import (
	"math"
	"time"

	"creditstream/events/credit"
)

// Settle books everything that fell due by now and folds it into the account as it goes, strictly in
// the order of the due instants; of what is due at one instant, a warning comes before expiry, before lapse, before an
// abandoned purchase, before the renewal. Lots that end with the cycle end in its renewal. Every
// decision and every read begins with it, so no timer decides anything. Settling now or in steps gives
// the same facts.
func Settle(a *credit.Account, b *Book, now time.Time) []Due {
	return SettleSome(a, b, now, math.MaxInt)
}

// SettleSome is Settle that ends after limit facts: what is due after it comes with the next call.
func SettleSome(a *credit.Account, b *Book, now time.Time, limit int) []Due {
	var all []Due
	for len(all) < limit {
		due := a.NextDue()
		if due.IsZero() || due.After(now) {
			return all
		}
		if lot := a.NextWarning(); lot != nil && !lot.Warns.After(due) {
			all = append(all, book(a, lot.Warns, "expiring/"+lot.ID, &credit.CreditExpiringSoon{
				Lot: lot.ID, Pool: lot.Pool, Unit: lot.Unit, Amount: lot.Remaining, Ends: lot.Ends,
			}))
			continue
		}
		all = settleAt(a, b, due, all, limit)
	}
	return all
}

// settleAt books what is due at one instant, until all are limit.
func settleAt(a *credit.Account, b *Book, at time.Time, all []Due, limit int) []Due {
	boundary := !a.Cycle().To.After(at)
	if !boundary {
		for _, l := range endingAt(a, at) {
			if len(all) >= limit {
				return all
			}
			all = append(all, book(a, at, "expiry/"+l.ID, &credit.CreditExpired{Ended: ended(l, l.Remaining, nil)}))
		}
	}
	for _, h := range lapsingAt(a, at) {
		if len(all) >= limit {
			return all
		}
		e := &credit.HoldLapsed{Hold: h.ID}
		e.Released, e.Lapsed = giveBack(a, h.Draws, nil, at)
		due := book(a, at, "lapse/"+h.ID, e)
		if !boundary { // what ends with the cycle may not repay any more
			due.Facts = append(due.Facts, repay(a, b.Before(at), at)...)
		}
		all = append(all, due)
	}
	for _, p := range append([]*credit.Purchase(nil), a.Awaiting()...) {
		if len(all) >= limit {
			return all
		}
		if !p.PaysUntil.IsZero() && !p.PaysUntil.After(at) {
			all = append(all, book(a, at, "unpaid-purchase/"+p.ID, &credit.PurchaseExpired{Purchase: p.ID}))
		}
	}
	if boundary {
		all = lightenRenewal(a, b, at, all, limit)
	}
	if boundary && len(all) < limit {
		e := renewal(a, b)
		due := book(a, at, cycleKey(e.Cycle.Number), e)
		due.Facts = append(due.Facts, repay(a, b.Before(at), at)...)
		all = append(all, due)
	}
	return all
}

// maxInRenewal is how many lots one CycleRenewed names at most, so that it fits an entry however many
// lots end with the cycle: 256 of them take less than 150 KiB.
const maxInRenewal = 256

// lightenRenewal books what a renewal at its boundary would have to say of more lots than one fact may
// name, each by itself just before it, until the rest fits or all are limit. What expires goes first: it
// has no part in what rolls over.
func lightenRenewal(a *credit.Account, b *Book, at time.Time, all []Due, limit int) []Due {
	live := 0
	for _, p := range a.Pools() {
		live += len(p.Live())
	}
	if live <= maxInRenewal/2 { // as nearly always: no need to see what the renewal would say
		return all
	}
	e := renewal(a, b)
	surplus := len(e.Expired) + len(e.Rolled) - maxInRenewal
	if surplus <= 0 {
		return all
	}
	partly := make(map[string]bool, len(e.Rolled)) // lots of which only a part rolls over: the renewal's
	for _, r := range e.Rolled {
		partly[r.From] = true
	}
	for _, ended := range e.Expired {
		if surplus == 0 || len(all) >= limit {
			return all
		}
		if !partly[ended.Lot] {
			all = append(all, book(a, at, "expiry/"+ended.Lot, &credit.CreditExpired{Ended: ended}))
			surplus--
		}
	}
	for _, r := range e.Rolled {
		if surplus == 0 || len(all) >= limit {
			return all
		}
		if l := a.Lot(r.From); l.Remaining == r.Amount {
			r.Into.Lot = a.NextLot(0)
			all = append(all, book(a, at, "rollover/"+r.From, &credit.CreditRolledOver{Rolled: r}))
			surplus--
		}
	}
	return all
}

// book folds one due fact.
func book(a *credit.Account, at time.Time, key string, e credit.Event) Due {
	a.Evolve(e, at)
	return Due{Key: key, Facts: []credit.Fact{{At: at, Event: e}}}
}

func endingAt(a *credit.Account, at time.Time) []*credit.Lot {
	var lots []*credit.Lot
	for _, p := range a.Pools() {
		for _, l := range p.Live() {
			if l.Ends.IsZero() || l.Ends.After(at) {
				break
			}
			lots = append(lots, l)
		}
	}
	return lots
}

func lapsingAt(a *credit.Account, at time.Time) []*credit.Hold {
	var holds []*credit.Hold
	for _, h := range a.Holds() {
		if !h.Expires.After(at) {
			holds = append(holds, h)
		}
	}
	return holds
}
