package pages

import (
	"errors"
	"net/http"
	"time"

	"creditstream/events/credit"
	"creditstream/services/look"
	"creditstream/services/rules"
)

// soonDays is how long before their end credits are warned of, where the catalog does not say.
const soonDays = 7

// overview is the first part of the page: the credit card, and the history under it (T19, W13).
type overview struct {
	look.Frame
	Card    card
	History history
}

// card is what stands above the history, and is fetched anew whenever the account changes.
type card struct {
	L        *look.Locale
	Base     string
	Account  string
	Plan     string
	Status   string // open or closed
	Cycle    string
	Terms    terms
	Others   []term // held, expired, revoked, frozen, debt: those that are not zero
	Pools    []pool
	Features []feature
	Warnings []warning
	Method   string
	MayBuy   bool
	Locks    bool // the page was opened with a code and can be locked again
	Minutes  string
	At       string
	Machine  string
}

// terms are Total, Used and Remaining, and the parts of a bar.
type terms struct {
	Total, Used, Remaining string
	Unit                   string
	Bar                    []part
	None                   bool
}

// part is a piece of a bar, in percent with two decimals.
type part struct{ Class, X, Width string }

// term is a further term of the balance, with what it means.
type term struct{ Name, Value, Hint string }

// pool is one pool of the card.
type pool struct {
	Name, Unit string
	terms
	Ends   string // when the earliest of it ends
	Until  string
	Soon   bool
	Renews bool // it ends with the cycle and is granted anew
	Frozen bool
	Lots   []lot
}

// lot is what is left of one grant.
type lot struct {
	ID, Left, Granted, Kind, Starts, Ends, Until string
	Soon                                         bool
}

// feature is a meter, and whether it can be used now.
type feature struct {
	Name, Price string
	Allowed     bool
	Left        string
	Refused     *refusal
}

// warning is something that the customer should know before it happens.
type warning struct {
	Kind, Icon, Title, Text string
	Path, Link              string
}

func showOverview(v *visit) error {
	page := overview{Frame: v.frame("overview.title"), Card: v.card()}
	var err error
	if page.History, err = v.history(v.r.URL.Query()); err != nil {
		return err
	}
	return v.pages.Write(v.w, http.StatusOK, "overview", page)
}

func showCard(v *visit) error {
	return v.pages.Write(v.w, http.StatusOK, "card", v.card())
}

func (v *visit) card() card {
	balance := rules.BalanceOf(v.account, v.tenant.Books(), v.now)
	c := card{
		L: v.L, Base: v.base, Account: v.account.ID(), Plan: v.names.plan(v.account.Plan()), Status: "open",
		Cycle:  v.L.T("cycle", v.L.Day(balance.Cycle.From), v.L.Day(balance.Cycle.To)),
		Terms:  v.termsOf(balance.BalanceTerms, rules.UnitCredit),
		Method: v.account.PaymentMethod().Label, MayBuy: v.mayBuyHere(), Locks: !v.opened.IsZero(), Minutes: v.L.Clock(v.opened),
		At: v.L.Time(v.now), Machine: v.L.Machine(v.now),
	}
	if v.account.Closed() {
		c.Status = "closed"
	}
	for _, other := range [...]struct {
		name   string
		amount credit.Amount
	}{
		{"held", balance.Held}, {"expired", balance.Expired}, {"revoked", balance.Revoked}, {"frozen", balance.Frozen}, {"debt", balance.Debt},
	} {
		if other.amount != 0 {
			c.Others = append(c.Others, term{v.L.T("term." + other.name), v.names.amount(other.amount), v.L.T("term." + other.name + ".hint")})
		}
	}
	for i := range balance.Pools {
		c.Pools = append(c.Pools, v.poolOf(&balance.Pools[i]))
	}
	c.Features = v.features()
	c.Warnings = v.warnings(&balance)
	return c
}

func (v *visit) termsOf(t rules.BalanceTerms, unit string) terms {
	return terms{
		Total: v.names.amount(t.Total), Used: v.names.amount(t.Used), Remaining: v.names.amount(t.Remaining), Unit: v.names.unit(unit),
		None: t.Total == 0,
		Bar: bar(t.Total, []share{
			{"used", t.Used}, {"held", t.Held}, {"lost", t.Expired + t.Revoked + t.Frozen}, {"left", t.Remaining},
		}),
	}
}

// share is a part of a whole.
type share struct {
	class  string
	amount credit.Amount
}

// bar lays shares side by side. It is drawn in ten-thousandths: integers, as everywhere near amounts.
func bar(total credit.Amount, shares []share) []part {
	if total <= 0 {
		return nil
	}
	percent := func(n int64) string { return credit.Amount(n).Format(2) + "%" }
	var parts []part
	var before credit.Amount
	at := int64(0)
	for _, s := range shares {
		if s.amount <= 0 {
			continue
		}
		before += s.amount
		end, _, err := credit.Amount(10_000).MulDiv(int64(min(before, total)), int64(total))
		if err != nil {
			return nil
		}
		parts = append(parts, part{s.class, percent(at), percent(int64(end) - at)})
		at = int64(end)
	}
	return parts
}

func (v *visit) poolOf(b *rules.PoolBalance) pool {
	p := pool{Name: v.names.pool(b.Pool), Unit: v.names.unit(b.Unit), terms: v.termsOf(b.BalanceTerms, b.Unit), Frozen: b.Frozen > 0}
	if known := v.catalog.Pools[b.Pool]; known != nil {
		plan := v.catalog.PlanOf(v.account.Plan())
		p.Renews = known.Expiry.WithCycle() && plan != nil && plan.Allowance(b.Pool) > 0
	}
	switch {
	case p.Renews:
		p.Ends = v.L.Day(v.account.Cycle().To)
	case !b.Ends.IsZero():
		p.Ends, p.Until, p.Soon = v.L.Day(lastDay(b.Ends)), v.L.Until(v.now, b.Ends), v.isSoon(b.Ends)
	}
	for _, l := range b.Lots {
		shown := lot{
			ID: l.ID, Left: v.names.quantity(l.Remaining, l.Unit), Granted: v.names.amount(l.Granted), Kind: v.L.T("kind." + l.Kind),
			Starts: v.L.Day(l.Starts), Soon: l.Kind != credit.KindAllowance && !l.Ends.IsZero() && v.isSoon(l.Ends),
		}
		if !l.Ends.IsZero() {
			shown.Ends, shown.Until = v.L.Day(lastDay(l.Ends)), v.L.Until(v.now, l.Ends)
		}
		p.Lots = append(p.Lots, shown)
	}
	return p
}

// lastDay is the last instant before an end: credits that end at midnight can be used on the day before.
func lastDay(ends time.Time) time.Time { return ends.Add(-time.Nanosecond) }

func (v *visit) soon() time.Duration {
	days := v.catalog.Alerts.ExpiringDays
	if days == 0 {
		days = soonDays
	}
	return time.Duration(days) * 24 * time.Hour
}

func (v *visit) isSoon(ends time.Time) bool { return ends.Sub(v.now) <= v.soon() }

// features says for each meter of the catalog whether it can be used now: what a check of one unit answers.
func (v *visit) features() []feature {
	var list []feature
	for _, meter := range v.catalog.MeterOrder {
		quote := rules.Check(v.account, v.tenant.Books(), meter.ID, 1, v.now)
		f := feature{Name: v.names.meter(meter.ID), Price: v.price(meter), Allowed: quote.Allowed}
		if quote.Allowed {
			f.Left = v.L.T("feature.enough", v.L.Int(quote.RemainingUnits), v.names.units(meter.ID))
		} else {
			f.Refused = v.refusalOf(quote.Refusal)
		}
		list = append(list, f)
	}
	return list
}

// price is what a meter costs, in words.
func (v *visit) price(m *rules.Meter) string {
	if m.Per == 1 {
		return v.L.T("feature.price_one", v.names.credits(m.Price))
	}
	return v.L.T("feature.price_per", v.names.credits(m.Price), v.L.Int(m.Per))
}

func (v *visit) warnings(b *rules.Balance) []warning {
	var list []warning
	if v.account.Closed() {
		list = append(list, warning{Kind: "bad", Icon: "lock", Title: v.L.T("warn.closed"), Text: v.L.T("warn.closed.text")})
	}
	if p := v.pendingPurchase(); p != nil {
		list = append(list, warning{
			Icon: "clock", Title: v.L.T("warn.pending", v.names.credits(p.Credits), v.L.Money(p.Price)), Text: v.L.T("warn.pending.text"),
			Path: v.base + "/purchases/" + p.ID, Link: v.L.T("warn.pending.link"),
		})
	}
	list = append(list, v.emptyWarning(b)...)
	for _, w := range v.endings(b) {
		list = append(list, warning{
			Kind: "warn", Icon: "clock",
			Title: v.L.T("warn.expiring", v.names.quantity(w.amount, w.unit), v.L.Until(v.now, w.ends)),
			Text:  v.L.T("warn.expiring.text", v.names.pool(w.pool), v.L.Day(lastDay(w.ends))),
		})
	}
	if b.Frozen > 0 && !v.account.Closed() {
		list = append(list, warning{Kind: "warn", Icon: "snow", Title: v.L.T("warn.frozen", v.names.credits(b.Frozen)), Text: v.L.T("warn.frozen.text")})
	}
	if b.Debt > 0 {
		list = append(list, warning{Kind: "warn", Icon: "alert", Title: v.L.T("warn.debt", v.names.credits(b.Debt)), Text: v.L.T("warn.debt.text")})
	}
	return list
}

// emptyWarning says that credits ran low or out, and what to do.
func (v *visit) emptyWarning(b *rules.Balance) []warning {
	if v.account.Closed() || b.Total == 0 && !v.mayBuyHere() {
		return nil
	}
	var low credit.Amount
	if thresholds := v.catalog.Alerts.LowBalance; len(thresholds) > 0 {
		low = thresholds[0]
	}
	refused := rules.MayBuy(v.account, v.tenant.Books(), v.now)
	w := warning{Kind: "warn", Icon: "alert", Title: v.L.T("warn.low", v.names.credits(b.Remaining))}
	switch {
	case b.Remaining == 0 && b.Total > 0:
		w.Kind, w.Title = "bad", v.L.T("warn.empty")
	case b.Remaining == 0 || b.Remaining > low:
		return nil
	}
	plan := v.catalog.PlanOf(v.account.Plan())
	if plan != nil && len(plan.Allowances) > 0 {
		w.Text = v.L.T("refused.renewal", v.L.Day(b.Cycle.To))
	}
	switch {
	case v.mayBuyHere() && refused == nil:
		w.Path, w.Link = v.base+"/buy", v.L.T("buy")
	case refused != nil && refused.Contact != "":
		w.Text = join(w.Text, v.names.contact(v.account.Plan(), refused.Contact))
	}
	return []warning{w}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

// ending is what of a pool ends at one instant.
type ending struct {
	pool, unit string
	amount     credit.Amount
	ends       time.Time
}

// endings are the credits that end soon and that no renewal replaces: what was bought or given.
func (v *visit) endings(b *rules.Balance) []ending {
	var list []ending
	for i := range b.Pools {
		p := &b.Pools[i]
		at := -1
		for _, l := range p.Lots {
			if l.Kind == credit.KindAllowance || l.Ends.IsZero() || !v.isSoon(l.Ends) {
				continue
			}
			if at >= 0 && list[at].ends.Equal(l.Ends) {
				list[at].amount += l.Remaining
				continue
			}
			at = len(list)
			list = append(list, ending{p.Pool, l.Unit, l.Remaining, l.Ends})
		}
	}
	if len(list) > 3 {
		list = list[:3]
	}
	return list
}

// pendingPurchase is the latest purchase that still waits for its payment or its outcome.
func (v *visit) pendingPurchase() *credit.Purchase {
	var latest *credit.Purchase
	for _, p := range v.account.Purchases() {
		if p.Lot == "" && (p.Pays() || p.Status == credit.Processing) && (latest == nil || p.Ordinal > latest.Ordinal) {
			latest = p
		}
	}
	return latest
}

// settled books what fell due for the account and is not booked yet, so that what is derived from the
// journal shows it, too.
func (v *visit) settled() error {
	booked, err := v.tenant.Shard(v.account.ID()).View().Load(v.account.ID())
	if err != nil {
		return err
	}
	if due := booked.NextDue(); due.IsZero() || v.now.Before(due) {
		return nil
	}
	answer := v.do(nil)
	if answer.Err != nil {
		return errors.Join(errors.New("book what fell due"), answer.Err)
	}
	return nil
}
