package rules_test

import (
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// ask answers a question about the account, settled up to now as every read is.
func (l *ledger) ask(w words) ([]string, error) {
	a := l.account.Clone()
	if a.Exists() {
		rules.Settle(a, l.book, l.now)
	}
	b := rules.BalanceOf(a, l.book, l.now)
	switch w.arg(0) {
	case "balance":
		line := l.terms(b.BalanceTerms)
		if b.Debt != 0 {
			line += "; debt " + l.credits(b.Debt)
		}
		return []string{line}, nil
	case "pools", "pool":
		return l.tellPools(b, w.arg(1)), nil
	case "lots":
		var lines []string
		for _, p := range b.Pools {
			for _, lot := range p.Lots {
				lines = append(lines, fmt.Sprintf("%s/%s %s of %s, from %s until %s", lot.Pool, lot.ID,
					l.credits(lot.Remaining), l.credits(lot.Granted), l.time(lot.Starts), l.time(lot.Ends)))
			}
		}
		return lines, nil
	case "cycle":
		line := fmt.Sprintf("cycle %d from %s to %s, %s", b.Cycle.Number, l.time(b.Cycle.From), l.time(b.Cycle.To), planWord(b.Plan))
		if p := a.Pending(); p != nil {
			line += fmt.Sprintf(", %s from %s", planWord(p.Plan), l.time(p.Due))
		}
		return []string{line}, nil
	case "purchase":
		p := a.Purchase(w.arg(1))
		if p == nil {
			return nil, fmt.Errorf("no purchase %s", w.arg(1))
		}
		return []string{p.Status}, nil
	case "check":
		return l.check(a, w)
	case "why":
		return l.why(), nil
	case "facts":
		return l.tellAll(l.facts), nil
	}
	return nil, fmt.Errorf("no such step: %s", w.arg(0))
}

func (l *ledger) tellPools(b rules.Balance, only string) []string {
	var lines []string
	for _, p := range b.Pools {
		if only != "" && p.Pool != only {
			continue
		}
		name := p.Pool
		if p.Unit != rules.UnitCredit {
			name += " (" + p.Unit + ")"
		}
		line := name + ": " + l.terms(p.BalanceTerms)
		if !p.Ends.IsZero() {
			line += "; ends " + l.time(p.Ends)
		}
		lines = append(lines, line)
	}
	return lines
}

func (l *ledger) check(a *credit.Account, w words) ([]string, error) {
	n, err := whole(w.arg(2))
	if err != nil {
		return nil, err
	}
	q := rules.Check(a, l.book, w.arg(1), n, l.now)
	answer := "allowed"
	if !q.Allowed {
		answer = l.refused(q.Refusal)
	}
	line := fmt.Sprintf("%s; cost %s%s; %s credits, %d units", answer, l.credits(q.Cost), l.draws(" from ", q.Draws), l.credits(q.Remaining), q.RemainingUnits)
	// A check is a use that was not carried out: they must agree.
	_, err = rules.Use{Meter: w.arg(1), Quantity: n}.Decide(a, l.book, l.now)
	if (err == nil) != q.Allowed {
		l.t.Errorf("check says %v, a use says %v", q.Allowed, err)
	}
	return []string{line}, nil
}

func (l *ledger) why() []string {
	r := l.refusal
	if r == nil {
		return nil
	}
	var lines []string
	if r.Contact != "" {
		lines = append(lines, "contact: "+r.Contact)
	}
	if !r.NextRenewal.IsZero() {
		lines = append(lines, "next renewal: "+l.time(r.NextRenewal))
	}
	if r.PendingPurchase != "" {
		lines = append(lines, "pending purchase: "+r.PendingPurchase)
	}
	return lines
}

func (l *ledger) refused(r *rules.Refusal) string {
	line := "refused " + string(r.Code)
	if r.BlockedBy != "" {
		line += ", blocked by " + r.BlockedBy
	}
	if r.Short != 0 {
		line += ", short " + l.credits(r.Short)
	}
	if r.Field != "" {
		line += ", field " + r.Field
	}
	return line
}

func (l *ledger) terms(t rules.BalanceTerms) string {
	var terms []string
	for _, term := range []struct {
		name   string
		amount credit.Amount
	}{{"used", t.Used}, {"held", t.Held}, {"expired", t.Expired}, {"revoked", t.Revoked}, {"frozen", t.Frozen}, {"remaining", t.Remaining}} {
		if term.amount != 0 {
			terms = append(terms, term.name+" "+l.credits(term.amount))
		}
	}
	if len(terms) == 0 {
		return "total " + l.credits(t.Total)
	}
	return "total " + l.credits(t.Total) + " = " + strings.Join(terms, " + ")
}

// credits groups thousands: 1,000,000.5.
func (l *ledger) credits(a credit.Amount) string {
	number, fraction, dotted := strings.Cut(a.Format(l.book.At(l.now).Scale), ".")
	sign := ""
	if strings.HasPrefix(number, "-") {
		sign, number = "-", number[1:]
	}
	for i := len(number) - 3; i > 0; i -= 3 {
		number = number[:i] + "," + number[i:]
	}
	if dotted {
		number += "." + fraction
	}
	return sign + number
}

func (l *ledger) time(t time.Time) string {
	if t.IsZero() {
		return "for ever"
	}
	if l.show["utc"] {
		return t.UTC().Format(time.RFC3339Nano)
	}
	t = t.In(l.zone())
	switch {
	case t.Nanosecond() != 0:
		return t.Format("2006-01-02 15:04:05.000000000")
	case t.Second() != 0:
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

func planWord(plan string) string {
	if plan == "" {
		return "no plan"
	}
	return "plan " + plan
}

func (l *ledger) tellAll(facts []credit.Fact) []string {
	l.cycle = l.account.Cycle().Number
	var lines []string
	for _, f := range facts {
		switch e := f.Event.(type) {
		case *credit.AccountOpened:
			l.cycle = e.Cycle.Number
		case *credit.PlanChanged:
			l.cycle = e.Cycle.Number
		case *credit.CycleRenewed:
			l.cycle = e.Cycle.Number
		}
		for i, line := range l.tell(f.Event) {
			if i == 0 && !f.At.Equal(l.now) {
				line = l.time(f.At) + ": " + line
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// tell puts a fact in words. Alerts are told when the script shows them.
func (l *ledger) tell(event credit.Event) []string {
	switch e := event.(type) {
	case *credit.BalanceLow:
		return l.alert(fmt.Sprintf("alert: %s remain, threshold %s", l.credits(e.Remaining), l.credits(e.Threshold)))
	case *credit.BalanceExhausted:
		return l.alert("alert: nothing remains")
	case *credit.CreditExpiringSoon:
		return l.alert(fmt.Sprintf("alert: %s of %s/%s end %s", l.amountOf(e.Amount, e.Unit), e.Pool, e.Lot, l.time(e.Ends)))
	case *credit.AccountOpened:
		return []string{fmt.Sprintf("opened, cycle %d from %s to %s", e.Cycle.Number, l.time(e.Cycle.From), l.time(e.Cycle.To))}
	case *credit.AccountChanged:
		return []string{"changed"}
	case *credit.AccountClosed:
		return []string{"closed"}
	case *credit.AccountReopened:
		return []string{"reopened"}
	case *credit.PlanChanged:
		lines := []string{fmt.Sprintf("%s, cycle %d from %s to %s", planWord(e.Plan), e.Cycle.Number, l.time(e.Cycle.From), l.time(e.Cycle.To))}
		return append(append(lines, l.ended(e.Expired)...), l.granted(e.Granted)...)
	case *credit.PlanChangeScheduled:
		if e.Cancelled {
			return []string{"plan change cancelled"}
		}
		return []string{fmt.Sprintf("%s from %s", planWord(e.Plan), l.time(e.Due))}
	case *credit.CycleRenewed:
		lines := []string{fmt.Sprintf("cycle %d to %s, %s", e.Cycle.Number, l.time(e.Cycle.To), planWord(e.Plan))}
		for _, r := range e.Rolled {
			lines = append(lines, fmt.Sprintf("rolled %s of %s/%s into %s until %s", l.amountOf(r.Amount, r.Into.Unit), r.Into.Pool, r.From, r.Into.Lot, l.time(r.Into.Ends)))
		}
		return append(append(lines, l.ended(e.Expired)...), l.granted(e.Granted)...)
	case *credit.CreditGranted:
		return l.granted([]credit.Grant{e.Grant})
	case *credit.CreditExpired:
		return l.ended([]credit.Ended{e.Ended})
	case *credit.GrantRevoked:
		return []string{fmt.Sprintf("revoked %s/%s %s", e.Pool, e.Lot, l.amountOf(e.Amount, e.Unit))}
	case *credit.DebtRepaid:
		return []string{fmt.Sprintf("repaid %s of %s%s", l.credits(e.Amount), e.Meter, l.draws(" from ", e.Draws))}
	}
	if lines := l.tellUsage(event); lines != nil {
		return lines
	}
	return l.tellPurchase(event)
}

func (l *ledger) alert(line string) []string {
	if !l.show["alerts"] {
		return []string{}
	}
	return []string{line}
}

func (l *ledger) tellUsage(event credit.Event) []string {
	switch e := event.(type) {
	case *credit.UsageRecorded:
		line := fmt.Sprintf("%d %s cost %s%s", e.Quantity, e.Meter, l.credits(e.Cost), l.draws(" from ", e.Draws))
		return []string{line + l.owed(e.Debt, e.Unpaid, e.Why, e.Carry) + "; remaining " + l.credits(e.Remaining)}
	case *credit.UsageDenied:
		return []string{fmt.Sprintf("denied %d %s: %s", e.Quantity, e.Meter, e.Code)}
	case *credit.HoldPlaced:
		return []string{fmt.Sprintf("%s holds %s for %d %s until %s%s; remaining %s", e.Hold, l.credits(e.Cost), e.Quantity, e.Meter, l.time(e.Expires), l.draws(" from ", e.Draws), l.credits(e.Remaining))}
	case *credit.HoldCaptured:
		line := fmt.Sprintf("%s captured: %d %s cost %s%s%s%s%s", e.Hold, e.Quantity, e.Meter, l.credits(e.Cost),
			l.draws(" from ", e.Draws), l.draws("; beyond it ", e.Excess), l.draws("; back to ", e.Released), l.draws("; lapsed ", e.Lapsed))
		return []string{line + l.owed(e.Debt, e.Unpaid, e.Why, e.Carry) + "; remaining " + l.credits(e.Remaining)}
	case *credit.HoldReleased:
		return []string{e.Hold + " released" + l.draws("; back to ", e.Released) + l.draws("; lapsed ", e.Lapsed)}
	case *credit.HoldLapsed:
		return []string{e.Hold + " timed out" + l.draws("; back to ", e.Released) + l.draws("; lapsed ", e.Lapsed)}
	case *credit.UsageReversed:
		line := fmt.Sprintf("%d of %s reversed, %s credits%s%s", e.Quantity, e.Usage, l.credits(e.Credits), l.draws("; back to ", e.Draws), l.draws("; lapsed ", e.Lapsed))
		for _, r := range e.Replaced {
			line += fmt.Sprintf("; %s of %s/%s as %s until %s", l.amountOf(r.Draw.Amount, r.Draw.Unit), r.Draw.Pool, r.Draw.Lot, r.Into.Lot, l.time(r.Into.Ends))
		}
		return []string{line + l.owed(-e.Debt, -e.Unpaid, "", nil)}
	}
	return nil
}

func (l *ledger) tellPurchase(event credit.Event) []string {
	switch e := event.(type) {
	case *credit.PurchaseRequested:
		return []string{fmt.Sprintf("%s asks %s for %s, to be paid until %s", e.Purchase, price(e.Price), l.credits(e.Credits), l.time(e.PaysUntil))}
	case *credit.PurchaseApproved:
		return []string{fmt.Sprintf("%s may charge %s", e.Purchase, e.Method)}
	case *credit.PurchaseUpdated:
		return []string{fmt.Sprintf("%s %s", e.Purchase, e.Status)}
	case *credit.PurchaseFailed:
		return []string{e.Purchase + " failed"}
	case *credit.PurchaseExpired:
		return []string{e.Purchase + " expired unpaid"}
	case *credit.CreditPurchased:
		return []string{fmt.Sprintf("%s paid: %s", e.Purchase, l.granted([]credit.Grant{e.Grant})[0])}
	case *credit.PaymentMismatched:
		return []string{fmt.Sprintf("%s was paid %s", e.Purchase, price(e.Paid))}
	case *credit.PurchaseRefunded:
		return []string{fmt.Sprintf("%s %s: %s/%s %s for %s", e.Purchase, e.Status, e.Pool, e.Lot, l.amountOf(e.Amount, e.Unit), price(e.Money))}
	}
	return []string{fmt.Sprintf("%T", event)}
}

func price(m credit.Money) string { return rules.FormatMoney(m) + " " + m.Currency }

func (l *ledger) owed(debt, unpaid credit.Amount, why string, carry *int64) string {
	line := ""
	if debt != 0 {
		line += "; debt " + l.credits(debt)
	}
	if unpaid != 0 {
		line += "; unpaid " + l.credits(unpaid)
	}
	if why != "" {
		line += " (" + why + ")"
	}
	if carry != nil {
		line += fmt.Sprintf("; carries %d", *carry)
	}
	return line
}

func (l *ledger) amountOf(a credit.Amount, unit string) string {
	if unit != "" {
		return l.credits(a) + " " + unit
	}
	return l.credits(a)
}

// draws names what each lot pays, with the cycle when it is not the current one.
func (l *ledger) draws(lead string, draws []credit.Draw) string {
	if len(draws) == 0 {
		return ""
	}
	var parts []string
	for _, d := range draws {
		part := fmt.Sprintf("%s/%s %s", d.Pool, d.Lot, l.amountOf(d.Amount, d.Unit))
		if d.Cycle != l.cycle {
			part += fmt.Sprintf(" in cycle %d", d.Cycle)
		}
		if l.show["revenue"] {
			part += fmt.Sprintf(" earning %d", d.Revenue)
		}
		parts = append(parts, part)
	}
	return lead + strings.Join(parts, ", ")
}

func (l *ledger) ended(ended []credit.Ended) []string {
	var lines []string
	for _, e := range ended {
		line := fmt.Sprintf("expired %s/%s %s", e.Pool, e.Lot, l.amountOf(e.Amount, e.Unit))
		if l.show["revenue"] {
			line += fmt.Sprintf(" earning %d", e.Revenue)
		}
		lines = append(lines, line)
	}
	return lines
}

func (l *ledger) granted(grants []credit.Grant) []string {
	var lines []string
	for _, g := range grants {
		line := fmt.Sprintf("%s/%s %s until %s", g.Pool, g.Lot, l.amountOf(g.Amount, g.Unit), l.time(g.Ends))
		if g.Kind != credit.KindAllowance && g.Kind != credit.KindPurchase {
			line += ", " + g.Kind
		}
		if g.Paid && !g.Price.IsZero() {
			line += ", " + price(g.Price)
		}
		lines = append(lines, line)
	}
	return lines
}
