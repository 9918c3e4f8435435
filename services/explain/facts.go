package explain

import (
	"fmt"
	"slices"
	"strings"

	"creditstream/events/credit"
)

// fact is what there is to say about an event. Every kind of event says it here, once.
type fact struct {
	kind    string
	catalog uint32   // the version that it was decided by, 0 where it does not say
	lots    []string // those that it is about, each once
	says    string   // what happened, in a sentence
	note    string   // what somebody wrote with it (sealed, if it was)
}

// tell says what an event is.
func (w *walk) tell(e credit.Event) fact {
	f := w.tellUse(e)
	if f.says == "" {
		f = w.tellGrant(e)
	}
	if f.says == "" {
		f = w.tellAccount(e)
	}
	f.kind, f.lots = e.Kind(), unique(f.lots)
	return f
}

// tellUse is about what was spent, held and taken back.
func (w *walk) tellUse(e credit.Event) fact {
	switch e := e.(type) {
	case *credit.UsageRecorded:
		return fact{
			catalog: e.Catalog, lots: drawn(e.Draws), note: e.Description,
			says: fmt.Sprintf("%d %s cost %s%s.", e.Quantity, e.Meter, w.amount(e.Cost, ""), w.priceOf(e.Meter, e.Catalog)) +
				w.paid(e.Draws) + w.unpaid(e.Debt, e.Unpaid, e.Why),
		}
	case *credit.HoldPlaced:
		return fact{
			catalog: e.Catalog, lots: drawn(e.Draws), note: e.Description,
			says: fmt.Sprintf("Hold %s set aside %s for %d %s until %s.%s", e.Hold, w.amount(e.Cost, ""), e.Quantity, e.Meter, moment(e.Expires), w.paid(e.Draws)),
		}
	case *credit.HoldCaptured:
		f := fact{catalog: e.Catalog, lots: drawn(e.Draws, e.Excess, e.Released, e.Lapsed)}
		f.says = fmt.Sprintf("Hold %s was charged: %d %s cost %s.", e.Hold, e.Quantity, e.Meter, w.amount(e.Cost, ""))
		if len(e.Released) > 0 {
			f.says += " Given back: " + w.draws(e.Released) + "."
		}
		f.says += w.paid(append(append([]credit.Draw(nil), e.Draws...), e.Excess...)) + w.unpaid(e.Debt, e.Unpaid, e.Why)
		return f
	case *credit.HoldReleased:
		return fact{lots: drawn(e.Released, e.Lapsed), says: fmt.Sprintf("Hold %s was given back%s.", e.Hold, w.back(e.Released, e.Lapsed))}
	case *credit.HoldLapsed:
		return fact{lots: drawn(e.Released, e.Lapsed), says: fmt.Sprintf("Nobody charged hold %s in time%s.", e.Hold, w.back(e.Released, e.Lapsed))}
	case *credit.UsageReversed:
		lots := drawn(e.Draws, e.Lapsed)
		for _, r := range e.Replaced {
			lots = append(lots, r.Draw.Lot, r.Into.Lot)
		}
		return fact{
			lots: lots, note: e.Reason,
			says: fmt.Sprintf("%d %s of usage %s were taken back, which is %s: the price of the whole less the price of the rest.", e.Quantity, e.Meter, e.Usage, w.amount(e.Credits, "")) + w.cameBack(e),
		}
	case *credit.DebtRepaid:
		return fact{lots: drawn(e.Draws), says: fmt.Sprintf("%s of debt for %s were repaid by %s.", e.Amount.Format(w.scale), e.Meter, w.draws(e.Draws))}
	case *credit.UsageDenied:
		return fact{catalog: e.Catalog, says: fmt.Sprintf("%s of %d %s: %s%s. Nothing was charged.", refusals(e.Count), e.Quantity, e.Meter, e.Code, w.short(e.Short))}
	}
	return fact{}
}

// tellGrant is about lots that came, ended and were taken back.
func (w *walk) tellGrant(e credit.Event) fact {
	switch e := e.(type) {
	case *credit.CreditGranted:
		return fact{catalog: e.Catalog, lots: []string{e.Lot}, note: e.Reason, says: fmt.Sprintf("Granted as %s: %s.", e.Grant.Kind, w.grants([]credit.Grant{e.Grant}))}
	case *credit.CreditPurchased:
		return fact{catalog: e.Catalog, lots: []string{e.Lot}, says: fmt.Sprintf("The payment of purchase %s was confirmed: %s.", e.Purchase, w.grants([]credit.Grant{e.Grant}))}
	case *credit.CreditExpired:
		return fact{lots: []string{e.Lot}, says: "Expired: " + w.endings([]credit.Ended{e.Ended}) + "."}
	case *credit.CreditRolledOver:
		return fact{lots: []string{e.From, e.Into.Lot}, says: strings.TrimSpace(w.rolled([]credit.Rolled{e.Rolled}))}
	case *credit.CreditExpiringSoon:
		return fact{says: fmt.Sprintf("Warned: %s of lot %s (%s) end %s.", w.amount(e.Amount, e.Unit), e.Lot, e.Pool, moment(e.Ends))}
	case *credit.GrantRevoked:
		return fact{lots: []string{e.Lot}, note: e.Reason, says: fmt.Sprintf("The grant of lot %s (pool %s) was taken back: %s.", e.Lot, e.Pool, w.amount(e.Amount, e.Unit))}
	case *credit.PurchaseRefunded:
		return fact{lots: []string{e.Lot}, note: e.Reason, says: fmt.Sprintf("Purchase %s was refunded: %s of lot %s were taken back.", e.Purchase, w.amount(e.Amount, e.Unit), e.Lot)}
	case *credit.PlanChanged:
		f := fact{catalog: e.Catalog, lots: replaced(nil, e.Expired, e.Granted), says: "The plan changed" + fromTo(e.From, e.Plan) + "."}
		if e.From == "" {
			f.says = "The plan is " + e.Plan + " from here on."
		}
		if len(e.Expired) > 0 {
			f.says += " What was left of the old allowance expired: " + w.endings(e.Expired) + "."
		}
		f.says += w.granted(e.Granted)
		return f
	case *credit.CycleRenewed:
		var lots []string
		for _, r := range e.Rolled {
			lots = append(lots, r.From, r.Into.Lot)
		}
		f := fact{catalog: e.Catalog, lots: replaced(lots, e.Expired, e.Granted), says: fmt.Sprintf("Cycle %d began, to end %s.", e.Cycle.Number, moment(e.Cycle.To))}
		if len(e.Expired) > 0 {
			f.says += " Expired at the end of the one before: " + w.endings(e.Expired) + "."
		}
		f.says += w.rolled(e.Rolled) + w.granted(e.Granted)
		return f
	}
	return fact{}
}

// tellAccount is about the account itself, its purchases and its warnings: no credits move.
func (w *walk) tellAccount(e credit.Event) fact {
	switch e := e.(type) {
	case *credit.AccountOpened:
		return fact{says: fmt.Sprintf("The account was opened, in %s; its first cycle ends %s.", e.Timezone, moment(e.Cycle.To))}
	case *credit.AccountChanged:
		return fact{says: settings(e)}
	case *credit.AccountClosed:
		return fact{note: e.Reason, says: "The account was closed: its credits are frozen."}
	case *credit.AccountReopened:
		return fact{note: e.Reason, says: "The account was opened again."}
	case *credit.PlanChangeScheduled:
		if e.Cancelled {
			return fact{says: "The change of plan that was to come was taken back."}
		}
		return fact{says: fmt.Sprintf("The plan will change%s at %s.", fromTo("", e.Plan), moment(e.Due))}
	case *credit.PurchaseRequested:
		return fact{catalog: e.Catalog, says: fmt.Sprintf("Purchase %s of %s was asked for; it gives nothing before it is paid.", e.Purchase, w.amount(e.Credits, ""))}
	case *credit.PurchaseApproved:
		return fact{says: fmt.Sprintf("The buyer confirmed that purchase %s may be charged%s.", e.Purchase, by(e.Method))}
	case *credit.PurchaseUpdated:
		return fact{note: e.Reason, says: fmt.Sprintf("The payment of purchase %s is %s.", e.Purchase, strings.ReplaceAll(e.Status, "_", " "))}
	case *credit.PurchaseExpired:
		return fact{says: fmt.Sprintf("Nobody paid purchase %s in time.", e.Purchase)}
	case *credit.PurchaseFailed:
		return fact{note: e.Reason, says: fmt.Sprintf("The payment of purchase %s failed.", e.Purchase)}
	case *credit.PaymentMismatched:
		return fact{says: fmt.Sprintf("Another amount than asked for was paid for purchase %s: it gave nothing, and needs a person.", e.Purchase)}
	case *credit.PersonalErased:
		return fact{says: "What was written about the account was erased."}
	case *credit.BalanceLow:
		return fact{says: fmt.Sprintf("Warned: %s remain, the threshold is %s.", w.amount(e.Remaining, ""), w.amount(e.Threshold, ""))}
	case *credit.BalanceExhausted:
		return fact{says: "Warned: nothing remains" + forMeter(e.Meter) + "."}
	case *credit.NothingChanged:
		return fact{says: "Nothing had to be changed."}
	}
	return fact{says: e.Kind() + "."}
}

// settings says what was set for an account: with its opening, or later.
func settings(e *credit.AccountChanged) string {
	var parts []string
	if e.Timezone != nil {
		parts = append(parts, "the time zone "+*e.Timezone+", from the next cycle on")
	}
	if e.Approval != nil {
		parts = append(parts, approval(*e.Approval))
	}
	if e.PaymentMethod != nil {
		method := "no payment method any more"
		if e.PaymentMethod.Label != "" {
			method = "the payment method " + e.PaymentMethod.Label
		}
		parts = append(parts, method)
	}
	if e.Metadata != nil {
		parts = append(parts, "the notes of the business")
	}
	return "Set: " + strings.Join(parts, "; ") + "."
}

func approval(kind string) string {
	switch kind {
	case "":
		return "no code any more that approves"
	case "pin":
		return "a PIN that approves"
	case "totp":
		return "an authenticator app that approves"
	}
	return "approval by " + kind
}

func forMeter(meter string) string {
	if meter == "" {
		return ""
	}
	return " for " + meter
}

func by(method string) string {
	if method == "" {
		return ""
	}
	return " to " + method
}

// drawn are the lots of draws.
func drawn(lists ...[]credit.Draw) (lots []string) {
	for _, d := range slices.Concat(lists...) {
		lots = append(lots, d.Lot)
	}
	return lots
}

// replaced adds the lots that ended and those that were granted in their stead.
func replaced(lots []string, ended []credit.Ended, granted []credit.Grant) []string {
	for _, e := range ended {
		lots = append(lots, e.Lot)
	}
	for _, g := range granted {
		lots = append(lots, g.Lot)
	}
	return lots
}

// unique keeps the first of each.
func unique(lots []string) []string {
	seen := make(map[string]bool, len(lots))
	return slices.DeleteFunc(lots, func(lot string) bool {
		again := seen[lot]
		seen[lot] = true
		return again
	})
}
