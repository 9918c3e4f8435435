package projections

import (
	"fmt"

	"creditstream/events/credit"
)

// sums is what the pools of an account have, remaining and held: worked out from the facts by the arithmetic of
// this file alone, which knows nothing of lots but whether they ended. It is held against the fold, fact by fact.
type sums []sum

type sum struct {
	pool            string
	remaining, held credit.Amount
}

// of is what an account says of itself; that its lots have just this is checked elsewhere. s is used again.
func (s sums) of(a *credit.Account) sums {
	s = s[:0]
	for _, p := range a.Pools() {
		s = append(s, sum{p.Name, p.Terms.Remaining, p.Terms.Held})
	}
	return s
}

// in is the sum of a pool, which is new with its first lot.
func (s *sums) in(pool string) *sum {
	for i := range *s {
		if (*s)[i].pool == pool {
			return &(*s)[i]
		}
	}
	*s = append(*s, sum{pool: pool})
	return &(*s)[len(*s)-1]
}

func (s *sums) move(pool string, remaining, held credit.Amount) {
	t := s.in(pool)
	t.remaining += remaining
	t.held += held
}

// spend takes draws out of what remains; what a lot left behind when it ended is no part of that.
func (s *sums) spend(a *credit.Account, draws []credit.Draw) {
	for i := range draws {
		if l := a.Lot(draws[i].Lot); l != nil && !l.Ended {
			s.move(draws[i].Pool, -draws[i].Amount, 0)
		}
	}
}

// release gives back what was held, or lets it lapse.
func (s *sums) release(released, lapsed []credit.Draw) {
	for i := range released {
		s.move(released[i].Pool, released[i].Amount, -released[i].Amount)
	}
	for i := range lapsed {
		s.move(lapsed[i].Pool, 0, -lapsed[i].Amount)
	}
}

func (s *sums) grant(grants ...credit.Grant) {
	for i := range grants {
		s.move(grants[i].Pool, grants[i].Amount, 0)
	}
}

func (s *sums) end(ended []credit.Ended) {
	for i := range ended {
		s.move(ended[i].Pool, -ended[i].Amount, 0)
	}
}

// add moves the sums by what a fact says, given the account before it. It reports false for a fact whose effect
// cannot be told without more than that.
func (s *sums) add(a *credit.Account, event credit.Event) bool {
	switch e := event.(type) {
	case *credit.UsageRecorded:
		s.spend(a, e.Draws)
	case *credit.DebtRepaid:
		s.spend(a, e.Draws)
	case *credit.HoldPlaced:
		for i := range e.Draws {
			s.move(e.Draws[i].Pool, -e.Draws[i].Amount, e.Draws[i].Amount)
		}
	case *credit.HoldCaptured:
		for i := range e.Draws {
			s.move(e.Draws[i].Pool, 0, -e.Draws[i].Amount)
		}
		s.spend(a, e.Excess)
		s.release(e.Released, e.Lapsed)
	case *credit.HoldReleased:
		s.release(e.Released, e.Lapsed)
	case *credit.HoldLapsed:
		s.release(e.Released, e.Lapsed)
	case *credit.UsageReversed:
		for i := range e.Draws {
			s.move(e.Draws[i].Pool, e.Draws[i].Amount, 0)
		}
		for i := range e.Replaced {
			s.grant(e.Replaced[i].Into)
		}
	case *credit.CreditGranted:
		s.grant(e.Grant)
	case *credit.CreditPurchased:
		s.grant(e.Grant)
	case *credit.CreditExpired:
		s.end([]credit.Ended{e.Ended})
	case *credit.GrantRevoked:
		s.move(e.Pool, -e.Amount, 0)
	case *credit.PurchaseRefunded:
		s.move(e.Pool, -e.Amount, 0)
	case *credit.PlanChanged:
		s.end(e.Expired)
		s.grant(e.Granted...)
	case *credit.CycleRenewed:
		return s.renew(a, e)
	}
	return true
}

func (s *sums) renew(a *credit.Account, e *credit.CycleRenewed) bool {
	s.end(e.Expired)
	for i := range e.Rolled {
		from := a.Lot(e.Rolled[i].From)
		if from == nil {
			return false // the fold will say so
		}
		s.move(from.Pool, -e.Rolled[i].Amount, 0)
		s.grant(e.Rolled[i].Into)
	}
	s.grant(e.Granted...)
	return true
}

// differ says where the fold came to something else; "" when nowhere.
func (s sums) differ(folded sums) string {
	for _, want := range s {
		if got := *folded.in(want.pool); got != want {
			return fmt.Sprintf("pool %s should have %d and hold %d, the fold says %d and %d", want.pool, want.remaining, want.held, got.remaining, got.held)
		}
	}
	return ""
}
