package explain

import (
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// lotsOf names the lots that a fact is about, each once.
func lotsOf(e credit.Event) (ids []string) {
	seen := make(map[string]bool)
	add := func(id string) {
		if id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	draws := func(lists ...[]credit.Draw) {
		for _, list := range lists {
			for _, d := range list {
				add(d.Lot)
			}
		}
	}
	switch e := e.(type) {
	case *credit.UsageRecorded:
		draws(e.Draws)
	case *credit.HoldPlaced:
		draws(e.Draws)
	case *credit.HoldCaptured:
		draws(e.Draws, e.Excess, e.Released, e.Lapsed)
	case *credit.HoldReleased:
		draws(e.Released, e.Lapsed)
	case *credit.HoldLapsed:
		draws(e.Released, e.Lapsed)
	case *credit.DebtRepaid:
		draws(e.Draws)
	case *credit.UsageReversed:
		draws(e.Draws, e.Lapsed)
		for _, r := range e.Replaced {
			add(r.Draw.Lot)
			add(r.Into.Lot)
		}
	case *credit.CreditGranted:
		add(e.Lot)
	case *credit.CreditPurchased:
		add(e.Lot)
	case *credit.CreditExpired:
		add(e.Lot)
	case *credit.GrantRevoked:
		add(e.Lot)
	case *credit.PurchaseRefunded:
		add(e.Lot)
	case *credit.CycleRenewed:
		for _, r := range e.Rolled {
			add(r.From)
			add(r.Into.Lot)
		}
		ended(e.Expired, add)
		granted(e.Granted, add)
	case *credit.PlanChanged:
		ended(e.Expired, add)
		granted(e.Granted, add)
	}
	return ids
}

func ended(list []credit.Ended, add func(string)) {
	for _, e := range list {
		add(e.Lot)
	}
}

func granted(list []credit.Grant, add func(string)) {
	for _, g := range list {
		add(g.Lot)
	}
}

// catalogOf is the catalog version that a fact was decided by, 0 where it does not say.
func catalogOf(e credit.Event) uint32 {
	switch e := e.(type) {
	case *credit.UsageRecorded:
		return e.Catalog
	case *credit.HoldPlaced:
		return e.Catalog
	case *credit.HoldCaptured:
		return e.Catalog
	case *credit.UsageDenied:
		return e.Catalog
	case *credit.CreditGranted:
		return e.Catalog
	case *credit.CreditPurchased:
		return e.Catalog
	case *credit.PurchaseRequested:
		return e.Catalog
	case *credit.CycleRenewed:
		return e.Catalog
	case *credit.PlanChanged:
		return e.Catalog
	}
	return 0
}

// sentence says what a fact is, and what somebody wrote with it (sealed, if it was).
func (w *walk) sentence(e credit.Event) (says, note string) {
	amount := func(a credit.Amount, unit string) string { return a.Format(w.scale) + " " + unitWord(unit) }
	switch e := e.(type) {
	case *credit.AccountOpened:
		return fmt.Sprintf("The account was opened, in %s; its first cycle ends %s.", e.Timezone, moment(e.Cycle.To)), ""
	case *credit.PlanChanged:
		says = "The plan changed" + fromTo(e.From, e.Plan) + "."
		if len(e.Expired) > 0 {
			says += " What was left of the old allowance expired: " + w.endings(e.Expired) + "."
		}
		if len(e.Granted) > 0 {
			says += " Granted: " + w.grants(e.Granted) + "."
		}
		return says, ""
	case *credit.CycleRenewed:
		says = fmt.Sprintf("Cycle %d began, to end %s.", e.Cycle.Number, moment(e.Cycle.To))
		if len(e.Expired) > 0 {
			says += " Expired at the end of the one before: " + w.endings(e.Expired) + "."
		}
		for _, r := range e.Rolled {
			says += fmt.Sprintf(" %s rolled over from lot %s into lot %s.", amount(r.Into.Amount, r.Into.Unit), r.From, r.Into.Lot)
		}
		if len(e.Granted) > 0 {
			says += " Granted: " + w.grants(e.Granted) + "."
		}
		return says, ""
	case *credit.CreditGranted:
		return fmt.Sprintf("Granted as %s: %s.", e.Grant.Kind, w.grants([]credit.Grant{e.Grant})), e.Reason
	case *credit.CreditPurchased:
		return fmt.Sprintf("The payment of purchase %s was confirmed: %s.", e.Purchase, w.grants([]credit.Grant{e.Grant})), ""
	case *credit.UsageRecorded:
		says = fmt.Sprintf("%d %s cost %s%s.", e.Quantity, e.Meter, amount(e.Cost, ""), w.priceOf(e.Meter, e.Catalog))
		return says + w.paid(e.Draws) + w.unpaid(e.Debt, e.Unpaid, e.Why), e.Description
	case *credit.HoldPlaced:
		return fmt.Sprintf("Hold %s set aside %s for %d %s until %s.%s", e.Hold, amount(e.Cost, ""), e.Quantity, e.Meter, moment(e.Expires), w.paid(e.Draws)), e.Description
	case *credit.HoldCaptured:
		says = fmt.Sprintf("Hold %s was charged: %d %s cost %s.", e.Hold, e.Quantity, e.Meter, amount(e.Cost, ""))
		if len(e.Released) > 0 {
			says += " Given back: " + w.draws(e.Released) + "."
		}
		return says + w.paid(append(append([]credit.Draw(nil), e.Draws...), e.Excess...)) + w.unpaid(e.Debt, e.Unpaid, e.Why), ""
	case *credit.HoldReleased:
		return fmt.Sprintf("Hold %s was given back%s.", e.Hold, w.back(e.Released, e.Lapsed)), ""
	case *credit.HoldLapsed:
		return fmt.Sprintf("Nobody charged hold %s in time%s.", e.Hold, w.back(e.Released, e.Lapsed)), ""
	case *credit.UsageReversed:
		says = fmt.Sprintf("%d %s of usage %s were taken back, which is %s: the price of the whole less the price of the rest.", e.Quantity, e.Meter, e.Usage, amount(e.Credits, ""))
		return says + w.cameBack(e), e.Reason
	case *credit.DebtRepaid:
		return fmt.Sprintf("%s of debt for %s were repaid by %s.", e.Amount.Format(w.scale), e.Meter, w.draws(e.Draws)), ""
	case *credit.CreditExpired:
		return "Expired: " + w.endings([]credit.Ended{e.Ended}) + ".", ""
	case *credit.GrantRevoked:
		return fmt.Sprintf("The grant of lot %s (pool %s) was taken back: %s.", e.Lot, e.Pool, amount(e.Amount, e.Unit)), e.Reason
	case *credit.PurchaseRefunded:
		return fmt.Sprintf("Purchase %s was refunded: %s of lot %s were taken back.", e.Purchase, amount(e.Amount, e.Unit), e.Lot), e.Reason
	case *credit.UsageDenied:
		return fmt.Sprintf("%s of %d %s: %s%s. Nothing was charged.", refusals(e.Count), e.Quantity, e.Meter, e.Code, w.short(e.Short)), ""
	case *credit.AccountClosed:
		return "The account was closed: its credits are frozen.", e.Reason
	case *credit.AccountReopened:
		return "The account was opened again.", e.Reason
	}
	return plain(e), ""
}

// plain says what a fact is that moves no credits.
func plain(e credit.Event) string {
	switch e := e.(type) {
	case *credit.PlanChangeScheduled:
		if e.Cancelled {
			return "The change of plan that was to come was taken back."
		}
		return fmt.Sprintf("The plan will change%s at %s.", fromTo("", e.Plan), moment(e.Due))
	case *credit.PurchaseRequested:
		return fmt.Sprintf("Purchase %s was asked for; it gives nothing before it is paid.", e.Purchase)
	case *credit.PurchaseExpired:
		return fmt.Sprintf("Nobody paid purchase %s in time.", e.Purchase)
	case *credit.PurchaseFailed:
		return fmt.Sprintf("The payment of purchase %s failed.", e.Purchase)
	case *credit.PersonalErased:
		return "What was written about the account was erased."
	}
	var words strings.Builder // CreditExpiringSoon: "Credit expiring soon."
	for i, c := range e.Kind() {
		if i > 0 && c >= 'A' && c <= 'Z' {
			words.WriteString(" " + strings.ToLower(string(c)))
			continue
		}
		words.WriteRune(c)
	}
	return words.String() + "."
}

func refusals(count int64) string {
	if count > 1 {
		return fmt.Sprintf("%d refusals, the last", count)
	}
	return "Refused: use"
}

func (w *walk) short(short credit.Amount) string {
	if short == 0 {
		return ""
	}
	return ", " + short.Format(w.scale) + " credits are missing"
}

func (w *walk) paid(draws []credit.Draw) string {
	if len(draws) == 0 {
		return ""
	}
	return " Paid by " + w.draws(draws) + "."
}

func (w *walk) unpaid(debt, unpaid credit.Amount, why string) (says string) {
	if debt > 0 {
		says = fmt.Sprintf(" %s became debt.", debt.Format(w.scale))
	}
	if unpaid > 0 {
		says += fmt.Sprintf(" %s stay unpaid (%s).", unpaid.Format(w.scale), why)
	}
	return says
}

func (w *walk) back(released, lapsed []credit.Draw) (says string) {
	if len(released) > 0 {
		says = ": " + w.draws(released) + " can be used again"
	}
	if len(lapsed) > 0 {
		says += "; expired because the lot ended meanwhile: " + w.draws(lapsed)
	}
	return says
}

func (w *walk) cameBack(e *credit.UsageReversed) (says string) {
	if len(e.Draws) > 0 {
		says = " Back to " + w.draws(e.Draws) + "."
	}
	if len(e.Lapsed) > 0 {
		says += " Back to lots that ended, and expired: " + w.draws(e.Lapsed) + "."
	}
	for _, r := range e.Replaced {
		says += fmt.Sprintf(" Lot %s had ended; %s came back as lot %s.", r.Draw.Lot, r.Into.Amount.Format(w.scale), r.Into.Lot)
	}
	return says
}

// draws lists lots and amounts: "lot l1 (purchased) 3".
func (w *walk) draws(draws []credit.Draw) string {
	parts := make([]string, len(draws))
	for i, d := range draws {
		parts[i] = fmt.Sprintf("lot %s (%s) %s", d.Lot, d.Pool, d.Amount.Format(w.scale))
		if d.Unit != "" {
			parts[i] += " " + d.Unit
		}
	}
	return list(parts)
}

func (w *walk) grants(grants []credit.Grant) string {
	parts := make([]string, len(grants))
	for i, g := range grants {
		parts[i] = fmt.Sprintf("%s %s in pool %s as lot %s, %s", g.Amount.Format(w.scale), unitWord(g.Unit), g.Pool, g.Lot, until(g.Ends))
	}
	return list(parts)
}

func (w *walk) endings(ended []credit.Ended) string {
	parts := make([]string, len(ended))
	for i, e := range ended {
		parts[i] = fmt.Sprintf("%s %s of lot %s (%s)", e.Amount.Format(w.scale), unitWord(e.Unit), e.Lot, e.Pool)
	}
	return list(parts)
}

// maxListed bounds a sentence: the lots themselves are all listed beside it.
const maxListed = 5

func list(parts []string) string {
	if len(parts) > maxListed {
		parts = append(parts[:maxListed:maxListed], fmt.Sprintf("and %d more", len(parts)-maxListed))
	}
	return strings.Join(parts, ", ")
}

// priceOf names the price of a meter in a version of the catalog.
func (w *walk) priceOf(meter string, version uint32) string {
	catalog := w.books.Version(version)
	if catalog == nil || catalog.Meters[meter] == nil {
		return ""
	}
	return " at " + priceWords(catalog.Meters[meter], catalog.Scale)
}

// priceWords is a price as people say it: "1 per 50 (ceil)".
func priceWords(m *rules.Meter, scale int) string {
	if m.Per == 1 {
		return m.Price.Format(scale) + " each"
	}
	return fmt.Sprintf("%s per %d (%s)", m.Price.Format(scale), m.Per, m.Rounding)
}

func fromTo(from, to string) (says string) {
	if from != "" {
		says = " from " + from
	}
	if to == "" {
		return says + " to none"
	}
	return says + " to " + to
}

func unitWord(unit string) string {
	if unit == "" {
		return "credits"
	}
	return unit
}

func until(end time.Time) string {
	if end.IsZero() {
		return "which never ends"
	}
	return "until " + moment(end)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
