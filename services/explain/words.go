package explain

import (
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

func (w *walk) amount(a credit.Amount, unit string) string {
	return a.Format(w.scale) + " " + unitWord(unit)
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

// granted says what a plan or a cycle brought.
func (w *walk) granted(grants []credit.Grant) string {
	if len(grants) == 0 {
		return ""
	}
	return " Granted: " + w.grants(grants) + "."
}

func (w *walk) rolled(list []credit.Rolled) (says string) {
	for _, r := range list {
		says += fmt.Sprintf(" %s rolled over from lot %s into lot %s.", w.amount(r.Into.Amount, r.Into.Unit), r.From, r.Into.Lot)
	}
	return says
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
