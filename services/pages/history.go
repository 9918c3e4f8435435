package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections/statement"
	"creditstream/services/accounts"
	"creditstream/services/look"
	"creditstream/services/rules"
)

// pageLines is how many lines are fetched at a time.
const pageLines = 50

// history is a page of an account's history, with the filters that it was asked with.
type history struct {
	L      *look.Locale
	Base   string
	Filter filter
	Lines  []line
	Next   string // the address of the following lines; "" at the end
	Since  string // the place of the newest line there is
	Plain  bool   // no filter is set
}

// filter is what lines have to be about, and what can be chosen.
type filter struct {
	Type, Meter, Pool, From, To string
	Types, Meters, Pools        []option
}

// option is one choice of a list.
type option struct {
	Value, Name string
	Chosen      bool
}

// line is one line of the history.
type line struct {
	Type, Word, Icon  string
	Title, Text       string
	Day, Clock, Stamp string
	Amount            string // signed, with its unit where that is not credits
	Sign              string // good, bad or none
	Units             string // what a quota paid, signed
	Sources           []string
	Remaining         string
	Draws             []draw
	Facts             []term
	Why               *refusal
}

// draw is how much one lot paid or got.
type draw struct {
	Pool, Lot, Amount string
	Kind, Starts, End string // "" when the lot is not known any more
}

// showLines answers with lines for an older page, or for other filters.
func showLines(v *visit) error {
	h, err := v.history(v.r.URL.Query())
	if err != nil {
		return err
	}
	name := "lines"
	if v.r.URL.Query().Get("cursor") != "" {
		name = "more-lines"
	}
	return v.pages.Write(v.w, http.StatusOK, name, h)
}

// showNewLines answers with what was recorded since the newest line that the page has.
func showNewLines(v *visit) error {
	values := v.r.URL.Query()
	since, err := accounts.ParsePosition(values.Get("since"))
	values.Del("since")
	values.Del("cursor")
	h, fault := v.history(values)
	if fault != nil {
		return fault
	}
	if err != nil {
		since = accounts.Position{}
	}
	h.Lines = h.Lines[:h.newer(since)]
	return v.pages.Write(v.w, http.StatusOK, "new-lines", h)
}

// newer counts the lines that stand behind a place in the journal.
func (h *history) newer(since accounts.Position) int {
	n := slices.IndexFunc(h.Lines, func(l line) bool {
		at, err := accounts.ParsePosition(l.Stamp)
		return err == nil && (at.Sequence < since.Sequence || at.Sequence == since.Sequence && at.Offset <= since.Offset)
	})
	if n < 0 {
		return len(h.Lines)
	}
	return n
}

// history reads a page of lines: the newest, or those from a cursor on.
func (v *visit) history(values url.Values) (history, error) {
	h := history{L: v.L, Base: v.base, Filter: v.filter(values)}
	f := &h.Filter
	query := statement.Query{
		Account: v.account.ID(), Cursor: values.Get("cursor"), Limit: pageLines, Meter: f.Meter, Type: statement.Type(f.Type), Pool: f.Pool,
		From: v.dayParam(f.From, 0), To: v.dayParam(f.To, 1),
	}
	h.Plain = f.Type+f.Meter+f.Pool+f.From+f.To == ""
	view, shard, err := v.statement()
	if err != nil {
		return h, err
	}
	page, err := v.page(view, query)
	if err != nil {
		return h, err
	}
	h.Since = accounts.Position{Shard: shard}.String()
	for i := range page.Lines {
		l := v.lineOf(&page.Lines[i], shard)
		if i == 0 {
			h.Since = l.Stamp
		}
		h.Lines = append(h.Lines, l)
	}
	if page.Next != "" {
		next := f.values()
		next.Set("cursor", page.Next)
		h.Next = v.base + "/history?" + next.Encode()
	}
	return h, nil
}

// maxScans bounds how often a page looks further for lines that the filters let through. A view looks at some
// ten thousand lines at a time; beyond a few hundred thousand the reader asks for more himself.
const maxScans = 20

// page reads a page that is full, where there are enough lines. A cursor that is none starts anew.
func (v *visit) page(view *statement.View, query statement.Query) (statement.Page, error) {
	page, err := view.History(query)
	if errors.Is(err, statement.ErrCursor) {
		query.Cursor = ""
		page, err = view.History(query)
	}
	for scan := 1; err == nil && len(page.Lines) < pageLines && page.Next != "" && scan < maxScans && v.ctx.Err() == nil; scan++ {
		query.Cursor, query.Limit = page.Next, pageLines-len(page.Lines)
		var more statement.Page
		more, err = view.History(query)
		page.Lines, page.Next = append(page.Lines, more.Lines...), more.Next
	}
	return page, err
}

// statement is the account's statement, as far as was acknowledged when it was asked for.
func (v *visit) statement() (*statement.View, int, error) {
	if err := v.settled(); err != nil {
		return nil, 0, err
	}
	name, err := v.waitFor(statement.Fold{}.Name())
	if err != nil {
		return nil, 0, err
	}
	view, err := v.cfg.Statement(name)
	return view, name.Shard, err
}

// viewWait is how long a page waits for a view to catch up.
const viewWait = 2 * time.Second

// waitFor brings a view as far as what was acknowledged for the account.
func (v *visit) waitFor(view string) (journal.Name, error) {
	ctx, cancel := context.WithTimeout(v.ctx, viewWait)
	defer cancel()
	name := journal.Name{Tenant: v.tenant.Name(), Shard: v.at.Shard}
	return name, v.cfg.Views.WaitFor(ctx, view, name, v.tenant.Shard(v.account.ID()).Head())
}

// filter reads what was asked for; what there is not counts as not asked for.
func (v *visit) filter(values url.Values) filter {
	f := filter{From: values.Get("from"), To: values.Get("to")}
	for _, t := range statement.Types() {
		f.Types = append(f.Types, option{string(t), v.names.word(string(t)), values.Get("type") == string(t)})
	}
	for _, m := range v.catalog.MeterOrder {
		f.Meters = append(f.Meters, option{m.ID, v.names.meter(m.ID), values.Get("meter") == m.ID})
	}
	for _, p := range v.catalog.PoolOrder {
		f.Pools = append(f.Pools, option{p.ID, v.names.pool(p.ID), values.Get("pool") == p.ID})
	}
	f.Type, f.Meter, f.Pool = chosen(f.Types), chosen(f.Meters), chosen(f.Pools)
	if v.dayParam(f.From, 0).IsZero() {
		f.From = ""
	}
	if v.dayParam(f.To, 0).IsZero() {
		f.To = ""
	}
	return f
}

func chosen(options []option) string {
	for _, o := range options {
		if o.Chosen {
			return o.Value
		}
	}
	return ""
}

func (f *filter) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"type": f.Type, "meter": f.Meter, "pool": f.Pool, "from": f.From, "to": f.To} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// Query is the filter as part of an address.
func (f filter) Query() string { return f.values().Encode() }

// dayParam is the first instant of a date in the account's zone, days later; the zero time for no date.
func (v *visit) dayParam(text string, days int) time.Time {
	day, err := time.ParseInLocation(time.DateOnly, text, v.L.Zone)
	if err != nil || day.Year() < 1971 || day.Year() > 2199 {
		return time.Time{}
	}
	return day.AddDate(0, 0, days)
}

// lineIcons draw what a line is about.
var lineIcons = map[statement.Type]string{
	statement.Purchase: "card", statement.Granted: "gift", statement.Usage: "bolt", statement.Renewal: "refresh", statement.Expiry: "clock",
	statement.Hold: "lock", statement.Release: "undo", statement.Reversal: "undo", statement.Revocation: "minus", statement.Refund: "undo",
	statement.Adjustment: "list", statement.Repayment: "check", statement.Unpaid: "alert", statement.Plan: "sparkle", statement.Denied: "alert",
	statement.Erasure: "minus",
}

func (v *visit) lineOf(l *statement.Line, shard int) line {
	shown := line{
		Type: string(l.Type), Word: v.names.word(string(l.Type)), Icon: lineIcons[l.Type],
		Day: v.L.Day(l.Time), Clock: v.L.Clock(l.Time), Text: v.cfg.Open(v.ctx, v.tenant.Name(), v.account.ID(), l.Description),
		Stamp:     accounts.Position{Shard: shard, Sequence: l.At.Sequence, Offset: l.At.Offset}.String(),
		Remaining: v.names.amount(l.Remaining),
	}
	shown.Title = v.titleOf(l)
	if l.Type == statement.Plan || l.Type == statement.Release && l.Description == "lapsed" {
		shown.Text = ""
	}
	switch {
	case len(l.Draws) == 0 && l.Credits == 0:
		shown.Amount = "–" // nothing moved: a change of plan, a refusal
	case l.Credits != 0 || l.Units == 0:
		shown.Amount = v.L.Signed(l.Credits, v.catalog.Scale)
	default:
		shown.Amount = v.L.Signed(l.Units, v.catalog.Scale) + " " + strings.ToLower(v.names.unit(l.Unit))
	}
	if l.Credits != 0 && l.Units != 0 {
		shown.Units = v.L.Signed(l.Units, v.catalog.Scale) + " " + strings.ToLower(v.names.unit(l.Unit))
	}
	if l.Credits > 0 || l.Credits == 0 && l.Units > 0 {
		shown.Sign = "good"
	}
	v.addDraws(&shown, l)
	v.addFacts(&shown, l)
	return shown
}

// titleOf says what happened: so many of what, or the plan's new name.
func (v *visit) titleOf(l *statement.Line) string {
	switch {
	case l.Type == statement.Plan && !l.Scheduled.IsZero():
		return v.L.T("line.plan_later", v.names.plan(l.Plan), v.L.Day(l.Scheduled))
	case l.Type == statement.Plan:
		return v.L.T("line.plan", v.names.plan(l.Plan))
	case l.Meter != "" && l.Quantity != 0:
		return v.L.T("line.meter", v.L.Int(l.Quantity), v.names.meter(l.Meter))
	case l.Meter != "":
		return v.names.meter(l.Meter)
	case l.Type == statement.Purchase && l.Money.Currency != "":
		return v.L.T("line.paid", v.L.Money(l.Money))
	case len(l.Draws) > 0:
		return v.names.pool(l.Draws[0].Pool)
	}
	return ""
}

// addDraws names the lots behind a line, and the pools that they are of: the source of what was paid.
func (v *visit) addDraws(shown *line, l *statement.Line) {
	for _, d := range l.Draws {
		name := v.names.pool(d.Pool)
		if !slices.Contains(shown.Sources, name) {
			shown.Sources = append(shown.Sources, name)
		}
		one := draw{Pool: name, Lot: d.Lot, Amount: v.names.quantity(d.Amount, d.Unit)}
		if known := v.account.Lot(d.Lot); known != nil {
			one.Kind, one.Starts = v.L.T("kind."+known.Kind), v.L.Day(known.Starts)
			if !known.Ends.IsZero() {
				one.End = v.L.Day(lastDay(known.Ends))
			}
		}
		shown.Draws = append(shown.Draws, one)
	}
}

func (v *visit) addFacts(shown *line, l *statement.Line) {
	add := func(key, value string) {
		if value != "" {
			shown.Facts = append(shown.Facts, term{Name: v.L.T(key), Value: value})
		}
	}
	nonzero := func(a credit.Amount) string {
		if a == 0 {
			return ""
		}
		return v.names.credits(a)
	}
	if l.Recorded.Sub(l.Time) > time.Second {
		add("line.recorded", v.L.Time(l.Recorded))
	}
	add("line.cost", nonzero(l.Cost))
	add("line.debt", nonzero(l.Debt))
	add("line.unpaid", nonzero(l.Unpaid))
	if l.Money.Currency != "" && l.Type != statement.Purchase {
		add("line.money", v.L.Money(l.Money))
	}
	if !l.Expires.IsZero() {
		add("line.expires", v.L.Time(l.Expires))
	}
	add("line.hold", l.Hold)
	add("line.purchase", l.Purchase)
	add("line.reversed", l.Usage)
	add("line.actor", l.Actor)
	add("line.key", l.Key)
	if l.Code != "" {
		shown.Why = v.refusalOf(&rules.Refusal{Code: rules.Code(l.Code)})
	}
}
