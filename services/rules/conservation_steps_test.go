package rules_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// command draws something that somebody may ask of the account, sensible or not.
func (w *world) command(a *credit.Account) rules.Command {
	if !a.Exists() {
		return w.opening()
	}
	switch rapid.IntRange(0, 19).Draw(w.t, "command") {
	case 0, 1:
		return w.put()
	case 2, 3:
		return w.grant()
	case 4:
		return rules.PlaceHold{Meter: w.meter(), Quantity: w.quantity(), TTL: time.Duration(rapid.IntRange(0, 70).Draw(w.t, "ttl")) * time.Minute}
	case 5, 6:
		return rules.CaptureHold{Hold: w.hold(a), Quantity: rapid.Int64Range(0, 30).Draw(w.t, "captured")}
	case 7:
		return rules.ReleaseHold{Hold: w.hold(a)}
	case 8, 9, 10:
		return w.reverse()
	case 11:
		return rules.RevokeLot{Lot: w.lot(a), Reason: "a mistake"}
	case 12:
		w.next++
		return rules.RequestPurchase{Purchase: fmt.Sprint("p", w.next), Pack: w.pack(), Approved: "pin", Provider: "sandbox"}
	case 13:
		for _, p := range a.Purchases() {
			if p.Lot == "" && rapid.Bool().Draw(w.t, "this one") {
				return rules.ConfirmPayment{Purchase: p.ID, Paid: p.Price}
			}
		}
		return rules.ConfirmPayment{Purchase: "none"}
	case 14:
		for _, p := range a.Purchases() {
			if rapid.Bool().Draw(w.t, "this one") {
				return rules.RefundPurchase{Purchase: p.ID, Reason: "unhappy"}
			}
		}
		return rules.RefundPurchase{Purchase: "none"}
	case 15:
		if a.Closed() || rapid.IntRange(0, 3).Draw(w.t, "close") > 0 {
			return rules.ReopenAccount{}
		}
		return rules.CloseAccount{}
	default:
		return w.use()
	}
}

func (w *world) opening() rules.Command {
	put := w.put()
	if rapid.Bool().Draw(w.t, "anchored") {
		put.Anchor = rules.Set(w.now.Add(-time.Duration(rapid.IntRange(-500, 90000).Draw(w.t, "anchor")) * time.Hour / 7))
	}
	if rapid.Bool().Draw(w.t, "opened") {
		return put
	}
	c := rules.ImportAccount{PutAccount: put}
	for range rapid.IntRange(0, 3).Draw(w.t, "lots") {
		c.Lots = append(c.Lots, rules.OpeningLot{
			Pool: w.pool(), Credits: w.amount(), Starts: w.now.Add(-time.Duration(rapid.IntRange(0, 900).Draw(w.t, "started")) * time.Hour),
			Price: credit.Money{Currency: w.book.At(w.now).Currency, Minor: rapid.Int64Range(0, 999).Draw(w.t, "price")},
		})
	}
	return c
}

func (w *world) put() rules.PutAccount {
	c := rules.PutAccount{Effective: rapid.SampledFrom([]string{"", "", "now", "next_cycle"}).Draw(w.t, "effective")}
	if rapid.IntRange(0, 4).Draw(w.t, "plan too") > 0 {
		ids := []string{""}
		for _, p := range w.book.At(w.now).PlanOrder {
			ids = append(ids, p.ID)
		}
		c.Plan = rules.Set(rapid.SampledFrom(ids).Draw(w.t, "plan"))
	}
	if rapid.IntRange(0, 5).Draw(w.t, "zone too") == 0 {
		c.Timezone = rules.Set(rapid.SampledFrom([]string{"", "Pacific/Apia", "America/Santiago", "UTC"}).Draw(w.t, "zone"))
	}
	return c
}

func (w *world) use() rules.Use {
	c := rules.Use{Meter: w.meter(), Quantity: w.quantity(), Intake: rapid.Bool().Draw(w.t, "intake")}
	if rapid.IntRange(0, 2).Draw(w.t, "late") == 0 {
		c.Time = w.now.Add(-time.Duration(rapid.IntRange(-4, 60*24*37).Draw(w.t, "ago")) * time.Minute)
	}
	return c
}

func (w *world) grant() rules.GrantCredits {
	c := rules.GrantCredits{Pool: w.pool(), Credits: w.amount(), Reason: "why not", Kind: rapid.SampledFrom([]string{"", credit.KindSold}).Draw(w.t, "kind")}
	if c.Kind != "" {
		c.Price = credit.Money{Currency: w.book.At(w.now).Currency, Minor: rapid.Int64Range(1, 999).Draw(w.t, "price")}
	}
	switch rapid.IntRange(0, 4).Draw(w.t, "ends") {
	case 0:
		c.Ends = rules.Set(time.Time{})
	case 1:
		c.Ends = rules.Set(w.now.Add(time.Duration(rapid.IntRange(1, 500).Draw(w.t, "lives")) * time.Hour))
	case 2:
		c.Ends = rules.Set(w.account.Cycle().To)
	}
	return c
}

func (w *world) reverse() rules.Command {
	if len(w.uses) == 0 {
		return rules.ReverseUsage{Usage: "none"}
	}
	u := w.uses[rapid.IntRange(0, len(w.uses)-1).Draw(w.t, "use")]
	return rules.ReverseUsage{Usage: u.key, Quantity: rapid.Int64Range(0, u.fact.Quantity).Draw(w.t, "reversed"), Reason: "it failed",
		Original: u.fact, OriginalAt: u.at, Already: u.taken}
}

// remember keeps what later steps may take back.
func (w *world) remember(command rules.Command, facts []credit.Fact) {
	for _, f := range facts {
		switch e := f.Event.(type) {
		case *credit.UsageRecorded:
			w.next++
			w.uses = append(w.uses, use{key: fmt.Sprint("u", w.next), fact: e, at: w.now})
		case *credit.HoldCaptured:
			w.next++
			w.uses = append(w.uses, use{key: fmt.Sprint("u", w.next), at: w.now, fact: &credit.UsageRecorded{
				Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Draws: append(append([]credit.Draw(nil), e.Draws...), e.Excess...),
				Debt: e.Debt, Unpaid: e.Unpaid, Carry: e.Carry, Catalog: e.Catalog,
			}})
		case *credit.UsageReversed:
			w.takenBack(e)
		}
	}
}

// takenBack checks that all reversals of a use give back what the use took.
func (w *world) takenBack(e *credit.UsageReversed) {
	for i := range w.uses {
		u := &w.uses[i]
		if u.key != e.Usage {
			continue
		}
		u.taken = e.Total
		if e.Total > u.fact.Quantity {
			w.t.Fatalf("%d of %d units were reversed", e.Total, u.fact.Quantity)
		}
		if e.Quantity == u.fact.Quantity && e.Credits != u.fact.Cost {
			w.t.Fatalf("reversing all of %s gives back %d of %d", mustJSON(u.fact), e.Credits, u.fact.Cost)
		}
	}
}

func (w *world) meter() string {
	ids := []string{"unheard-of"}
	for _, m := range w.book.At(w.now).MeterOrder {
		ids = append(ids, m.ID, m.ID, m.ID)
	}
	return rapid.SampledFrom(ids).Draw(w.t, "meter")
}

func (w *world) pool() string {
	var ids []string
	for _, p := range w.book.At(w.now).PoolOrder {
		ids = append(ids, p.ID)
	}
	return rapid.SampledFrom(ids).Draw(w.t, "pool")
}

func (w *world) pack() string {
	var ids []string
	for _, p := range w.book.At(w.now).PackOrder {
		ids = append(ids, p.ID)
	}
	if len(ids) == 0 {
		return "none"
	}
	return rapid.SampledFrom(ids).Draw(w.t, "pack")
}

func (w *world) quantity() int64 {
	if rapid.IntRange(0, 30).Draw(w.t, "huge") == 0 {
		return 1 << 62
	}
	return rapid.Int64Range(0, 40).Draw(w.t, "quantity")
}

func (w *world) amount() credit.Amount {
	unit := credit.Amount(1)
	for range w.book.At(w.now).Scale {
		unit *= 10
	}
	return credit.Amount(rapid.Int64Range(1, 60).Draw(w.t, "amount")) * unit
}

func (w *world) hold(a *credit.Account) string {
	ids := []string{"h1", "h999"}
	for _, h := range a.Holds() {
		ids = append(ids, h.ID, h.ID, h.ID)
	}
	return rapid.SampledFrom(ids).Draw(w.t, "hold")
}

func (w *world) lot(a *credit.Account) string {
	ids := []string{"l1"}
	for _, l := range a.Lots() {
		ids = append(ids, l.ID)
	}
	return rapid.SampledFrom(ids).Draw(w.t, "lot")
}
