package rules

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
)

// canonical writes the catalog as YAML with every setting spelled out, plans by rank, pools in
// burn order, meters by name and packs as listed.
func (c *Catalog) canonical() []byte {
	w := &source{scale: c.Scale}
	w.text("name", c.Name)
	w.line("language: %s", c.Language)
	w.line("timezone: %s", c.Timezone)
	w.line("currency: %s", c.Currency)
	w.line("scale: %d", c.Scale)
	w.line("payment_method: %s", c.PaymentMethod)
	w.line("record_denials: %t", c.Denials)
	w.line("late_window: %s", formatDuration(c.LateWindow))
	w.line("debt: %s", c.Debt.words(c.Scale))
	w.line("approval: {view: %s, buy: %s, view_minutes: %d}", word(c.Approval.View), word(c.Approval.Buy), c.Approval.ViewFor/time.Minute)
	w.line("holds: {ttl: %s, max_ttl: %s}", formatDuration(c.Holds.TTL), formatDuration(c.Holds.MaxTTL))
	w.line("alerts: {low_balance: [%s], expiring_days: %d}", joinAmounts(c.Alerts.LowBalance, c.Scale), c.Alerts.ExpiringDays)
	w.block("words", len(c.Words), func() {
		for _, kind := range slices.Sorted(maps.Keys(c.Words)) {
			w.text(kind, c.Words[kind])
		}
	})
	w.block("meters", len(c.MeterOrder), func() {
		for _, m := range c.MeterOrder {
			w.entry(m.ID, func() { w.meter(m) })
		}
	})
	w.block("pools", len(c.PoolOrder), func() {
		for _, p := range c.PoolOrder {
			w.entry(p.ID, func() { w.pool(p) })
		}
	})
	w.entry("without_plan", func() { w.permissions(c.NoPlan) })
	w.block("plans", len(c.PlanOrder), func() {
		for _, p := range c.PlanOrder {
			w.entry(p.ID, func() { w.plan(p) })
		}
	})
	w.block("packs", len(c.PackOrder), func() {
		for _, p := range c.PackOrder {
			w.entry(p.ID, func() { w.pack(p) })
		}
	})
	if t := c.TopUp; t != nil {
		w.entry("topup", func() { w.topUp(t) })
	}
	c.writePages(w)
	return w.Bytes()
}

// source is a YAML document that is being written.
type source struct {
	bytes.Buffer
	scale  int
	indent int
}

func (w *source) line(format string, args ...any) {
	w.WriteString(strings.Repeat("  ", w.indent))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// text writes words of people, always quoted; those that are empty are the default.
func (w *source) text(name, value string) {
	if value != "" {
		w.line("%s: %s", name, strconv.Quote(value))
	}
}

func (w *source) amount(name string, a credit.Amount) { w.line("%s: %s", name, a.Format(w.scale)) }

// block writes a mapping that has n entries and leaves an empty one out.
func (w *source) block(name string, n int, write func()) {
	if n > 0 {
		w.entry(name, write)
	}
}

// entry writes a mapping.
func (w *source) entry(name string, write func()) {
	w.line("%s:", word(name))
	w.indent++
	write()
	w.indent--
}

func (w *source) list(name string, items []string) {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = word(item)
	}
	w.line("%s: [%s]", name, strings.Join(words, ", "))
}

// word writes a name, or a setting that is a word, quoted where YAML of any version would take
// it for something else.
func word[S ~string](s S) string {
	switch s {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(string(s))
	}
	if s[0] < 'a' || s[0] > 'z' {
		return strconv.Quote(string(s))
	}
	return string(s)
}

func (w *source) meter(m *Meter) {
	w.text("name", m.Name)
	w.text("description", m.Description)
	w.text("units", m.Units)
	w.amount("price", m.Price)
	w.line("per: %d", m.Per)
	w.line("rounding: %s", m.Rounding)
	w.line("needs_plan: %t", m.NeedsPlan)
}

func (w *source) pool(p *Pool) {
	w.text("name", p.Name)
	w.text("description", p.Description)
	w.line("priority: %d", p.Priority)
	w.line("unit: %s", word(p.Unit))
	switch {
	case p.Meters != nil:
		w.list("meters", p.Meters)
	case p.CountsCredits():
		w.line("meters: all")
	}
	w.line("expires: %s", p.Expiry.words())
	w.line("rollover: %s", p.Rollover.words(w.scale))
	w.line("reversal: %s", p.reversalWords())
}

func (w *source) plan(p *Plan) {
	w.text("name", p.Name)
	w.line("rank: %d", p.Rank)
	w.line("paid: %t", p.Paid)
	w.list("meters", slices.Sorted(maps.Keys(p.meters)))
	w.block("allowances", len(p.Allowances), func() {
		for _, a := range p.Allowances {
			w.amount(word(a.Pool), a.Amount)
		}
	})
	w.permissions(p)
}

func (w *source) permissions(p *Plan) {
	w.line("purchase: %t", p.Purchase)
	w.list("grants", slices.Sorted(maps.Keys(p.grants)))
	w.text("contact", p.Contact)
	w.text("upgrade", p.Upgrade)
}

func (w *source) pack(p *Pack) {
	w.text("name", p.Name)
	w.line("price: %s", FormatMoney(p.Price))
	w.amount("credits", p.Credits)
	w.line("pool: %s", word(p.Pool))
	w.line("pays_within: %s", formatDuration(p.PaysWithin))
}

func (w *source) topUp(t *TopUp) {
	w.line("pool: %s", word(t.Pool))
	w.amount("rate", t.Rate)
	w.line("min: %s", FormatMoney(t.Min))
	w.line("max: %s", FormatMoney(t.Max))
	w.line("pays_within: %s", formatDuration(t.PaysWithin))
}

func (e Expiry) words() string {
	switch e.Kind {
	case ExpireMonths:
		return count(e.N, "month")
	case ExpireDays:
		return count(e.N, "day")
	default:
		return string(e.Kind)
	}
}

func (r Rollover) words(scale int) string {
	var limits []string
	if r.UpTo > 0 {
		limits = append(limits, "up_to: "+r.UpTo.Format(scale))
	}
	if r.Cycles > 0 {
		limits = append(limits, fmt.Sprintf("cycles: %d", r.Cycles))
	}
	switch {
	case !r.On:
		return "none"
	case limits == nil:
		return "all"
	default:
		return "{" + strings.Join(limits, ", ") + "}"
	}
}

func (p *Pool) reversalWords() string {
	if p.ReplaceDays == 0 {
		return "expire"
	}
	return count(p.ReplaceDays, "day")
}

func (d Debt) words(scale int) string {
	if !d.Allowed() {
		return "off"
	}
	return "{limit: " + d.Limit.Format(scale) + "}"
}

func joinAmounts(amounts []credit.Amount, scale int) string {
	words := make([]string, len(amounts))
	for i, a := range amounts {
		words[i] = a.Format(scale)
	}
	return strings.Join(words, ", ")
}
