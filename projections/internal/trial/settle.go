package trial

import (
	"fmt"
	"time"

	"creditstream/events/credit"
)

// settle books everything that fell due by now, in the order of the instants.
func (s *Source) settle(c *customer) {
	for c.Exists() {
		due := c.NextDue()
		if due.IsZero() || due.After(s.now) {
			return
		}
		s.settleAt(c, due)
	}
}

func (s *Source) settleAt(c *customer, due time.Time) {
	if l := c.NextWarning(); l != nil && !l.Warns.After(due) {
		s.fell(c, "warning/"+l.ID, l.Warns, &credit.CreditExpiringSoon{Lot: l.ID, Pool: l.Pool, Unit: l.Unit, Amount: l.Remaining, Ends: l.Ends})
		return
	}
	for _, h := range c.Holds() {
		if !h.Expires.After(due) {
			released, lapsed := s.apart(c, h.Draws, due)
			s.fell(c, "lapse/"+h.ID, h.Expires, &credit.HoldLapsed{Hold: h.ID, Released: released, Lapsed: lapsed})
		}
	}
	for _, p := range c.Purchases() {
		if p.Pays() && !p.PaysUntil.After(due) {
			s.fell(c, "purchase/"+p.ID, p.PaysUntil, &credit.PurchaseExpired{Purchase: p.ID})
		}
	}
	for _, l := range c.Lots() {
		if l.Remaining > 0 && !l.Ends.IsZero() && !l.Ends.After(due) && l.Ends.Before(c.Cycle().To) {
			s.fell(c, "expiry/"+l.ID, l.Ends, &credit.CreditExpired{Ended: ended(l)})
		}
	}
	if !c.Cycle().To.After(due) {
		s.renew(c)
	}
}

func ended(l *credit.Lot) credit.Ended {
	return credit.Ended{Lot: l.ID, Pool: l.Pool, Unit: l.Unit, Amount: l.Remaining}
}

// apart tells draws whose lots live at t from those whose lots ended.
func (s *Source) apart(c *customer, draws []credit.Draw, t time.Time) (live, gone []credit.Draw) {
	for _, d := range draws {
		d.Cycle = c.Cycle().Number
		if l := c.Lot(d.Lot); l != nil && l.Alive(t) {
			live = append(live, d)
		} else {
			gone = append(gone, d)
		}
	}
	return live, gone
}

func (s *Source) renew(c *customer) {
	boundary := c.Cycle().To
	e := &credit.CycleRenewed{
		Cycle: credit.Cycle{Number: c.Cycle().Number + 1, Step: c.Cycle().Step + 1, From: boundary, To: boundary.Add(cycleLength)},
		Plan:  c.Plan(), Catalog: 1, Timezone: c.NextTimezone(), Forget: boundary.Add(-35 * 24 * time.Hour),
	}
	if p := c.Pending(); p != nil {
		e.Plan = p.Plan
	}
	for _, l := range c.Lots() {
		if l.Remaining > 0 && l.Ends.Equal(boundary) && l.Kind == credit.KindAllowance && s.chance(10) {
			into := credit.Grant{Lot: c.NextLot(0), Pool: l.Pool, Unit: l.Unit, Amount: l.Remaining, Starts: boundary, Ends: e.Cycle.To, Kind: credit.KindRollover}
			s.fell(c, "rollover/"+l.ID, boundary, &credit.CreditRolledOver{Rolled: credit.Rolled{From: l.ID, Amount: l.Remaining, Into: into}})
		}
	}
	lots := 0
	name := func() string { lots++; return c.NextLot(lots - 1) }
	for _, l := range c.Lots() {
		if l.Remaining == 0 || l.Ends.IsZero() || l.Ends.After(boundary) {
			continue
		}
		end := ended(l)
		if l.Kind == credit.KindAllowance && l.Unit == "" && s.chance(40) {
			roll := min(l.Remaining, 5*unit)
			into := credit.Grant{Lot: name(), Pool: l.Pool, Amount: roll, Starts: boundary, Ends: e.Cycle.To, Kind: credit.KindRollover}
			e.Rolled = append(e.Rolled, credit.Rolled{From: l.ID, Amount: roll, Into: into})
			end.Amount -= roll
		}
		if end.Amount > 0 {
			e.Expired = append(e.Expired, end)
		}
	}
	if e.Plan != "" {
		e.Granted = s.allowance(e.Cycle, boundary, name)
	}
	s.fell(c, fmt.Sprintf("cycle/%d", e.Cycle.Number), boundary, e)
}

func (s *Source) allowance(cycle credit.Cycle, at time.Time, name func() string) []credit.Grant {
	return []credit.Grant{
		{Lot: name(), Pool: "allowance", Amount: 40 * unit, Starts: at, Ends: cycle.To, Kind: credit.KindAllowance},
		{Lot: name(), Pool: "quota", Unit: "ai_service", Amount: 6 * unit, Starts: at, Ends: cycle.To, Kind: credit.KindAllowance},
	}
}
