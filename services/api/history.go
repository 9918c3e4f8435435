package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

func historyRoutes() []route {
	between := []param{
		{"from", "date-time", "From this time on."},
		{"to", "date-time", "Before this time."},
	}
	return []route{
		{
			id: "history", method: http.MethodGet, path: accountPath + "/history", scope: credentials.Read,
			summary: "What happened to an account, newest first",
			detail:  "`credits` is the signed change of `remaining`: a hold of 10 is −10, its capture of 8 a `release` of +10 and a `usage` of −8.",
			query: slices.Concat(listParams, []param{
				{"meter", "string", "Only lines about this meter."},
				{"type", "string", "Only lines of this type."},
				{"pool", "string", "Only lines that concern this pool."},
			}, between, []param{minPositionParam}),
			answer: History{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: history,
		},
		{
			id: "usage", method: http.MethodGet, path: accountPath + "/usage", scope: credentials.Read,
			summary: "What an account used, by meter and day", detail: "Days are those of the account's time zone; reversals count negatively.",
			query: slices.Concat(between, []param{
				{"cycle", "string", "Only draws on this cycle: its number, `current` or `previous`. They sum to that cycle's `used`."},
				{"by", "string", "meter or day; default both."},
			}, []param{minPositionParam}),
			answer: UsageGroups{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: usageGroups,
		},
	}
}

// History is a page of an account's history.
type History struct {
	Entries []HistoryLine `json:"entries"`
	Next    string        `json:"next,omitempty"`
}

// HistoryLine is one line of it.
type HistoryLine struct {
	Position    string          `json:"position"`
	Time        time.Time       `json:"time" doc:"When it happened."`
	Recorded    time.Time       `json:"recorded" doc:"When it was decided."`
	Type        string          `json:"type" enum:"purchase,grant,usage,renewal,expiry,hold,release,reversal,revocation,refund,adjustment,repayment,unpaid,plan,denied,erasure"`
	Meter       string          `json:"meter,omitempty"`
	Quantity    int64           `json:"quantity,omitempty"`
	Credits     string          `json:"credits" doc:"The signed change of what remains."`
	Unit        string          `json:"unit" doc:"\"credit\", or the meter whose units the line moved."`
	Units       string          `json:"units,omitempty" doc:"The signed change in a pool counted in units."`
	Cost        string          `json:"cost,omitempty"`
	Debt        string          `json:"debt,omitempty"`
	Unpaid      string          `json:"unpaid,omitempty"`
	Description string          `json:"description,omitempty"`
	Actor       string          `json:"actor,omitempty"`
	Source      string          `json:"source,omitempty"`
	Key         string          `json:"key,omitempty"`
	Attributes  json.RawMessage `json:"attributes,omitempty"`
	Erased      bool            `json:"erased,omitempty" doc:"The line had a description or attributes that were erased."`
	Draws       []Draw          `json:"draws"`
	Remaining   string          `json:"remaining" doc:"Credits after the line."`
	Usage       string          `json:"usage,omitempty" doc:"The key of the use that was reversed."`
	Hold        string          `json:"hold,omitempty"`
	Purchase    string          `json:"purchase,omitempty"`
	Plan        string          `json:"plan,omitempty"`
	Catalog     uint32          `json:"catalog,omitempty" doc:"The version that priced it."`
	Money       *Money          `json:"money,omitempty"`
	Code        string          `json:"code,omitempty"`
	Count       int64           `json:"count,omitempty" doc:"How many refusals a line of type denied stands for."`
	Since       *time.Time      `json:"since,omitempty" doc:"The first of them is not before this time."`
	Scheduled   *time.Time      `json:"scheduled,omitempty"`
	Expires     *time.Time      `json:"expires,omitempty"`
}

// UsageGroups are sums of usage.
type UsageGroups struct {
	Groups  []UsageGroup `json:"groups"`
	Credits string       `json:"credits" doc:"Of all groups, over pools counted in credits."`
}

// UsageGroup is one of them.
type UsageGroup struct {
	Meter    string `json:"meter,omitempty"`
	Day      string `json:"day,omitempty" format:"date"`
	Quantity int64  `json:"quantity"`
	Credits  string `json:"credits"`
	Units    string `json:"units" doc:"What pools counted in units of the meter paid."`
}

// statement returns the account's statement, as far as was acknowledged when it was asked for.
func (c *call) statement() (*statement.View, accounts.Position, error) {
	head, err := c.waitForView(statement.Fold{}.Name())
	if err != nil {
		return nil, head, err
	}
	view, err := c.cfg.Statement(journal.Name{Tenant: c.tenant.Name(), Shard: head.Shard})
	return view, head, err
}

// settled reads the account, and books what fell due for it and is not booked yet, so that what is derived
// from the journal shows it, too.
func (c *call) settled() (*credit.Account, error) {
	a, now, _, err := c.existing()
	if err != nil {
		return nil, err
	}
	booked, err := c.tenant.Shard(c.account).View().Load(c.account)
	if err != nil {
		return nil, err
	}
	if due := booked.NextDue(); !due.IsZero() && !now.Before(due) {
		if answer := c.tenant.Do(c.ctx, accounts.Request{Account: c.account}); answer.Err != nil {
			return nil, answer.Err
		}
	}
	return a, nil
}

func history(c *call) (reply, error) {
	query, err := c.historyQuery()
	if err != nil {
		return reply{}, err
	}
	if _, err := c.settled(); err != nil {
		return reply{}, err
	}
	view, head, err := c.statement()
	if err != nil {
		return reply{}, err
	}
	page, err := view.History(query)
	if errors.Is(err, statement.ErrCursor) {
		return reply{}, badCursor()
	}
	if err != nil {
		return reply{}, err
	}
	answer := History{Entries: make([]HistoryLine, len(page.Lines)), Next: page.Next}
	texts := c.texts(c.account)
	for i := range page.Lines {
		answer.Entries[i] = lineOf(&page.Lines[i], texts, head.Shard, c.scale())
	}
	return replyOf(answer, texts.fault)
}

// list puts the values of a field into words.
func list[T ~string](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

func (c *call) historyQuery() (q statement.Query, err error) {
	values := c.r.URL.Query()
	q = statement.Query{
		Account: c.account, Cursor: values.Get("cursor"), Meter: values.Get("meter"),
		Type: statement.Type(values.Get("type")), Pool: values.Get("pool"),
	}
	if q.Type != "" && !slices.Contains(statement.Types(), q.Type) {
		return q, invalid("type", "there is no such type of line; there are "+list(statement.Types()))
	}
	if q.Limit, err = c.limit(); err != nil {
		return q, err
	}
	if q.From, err = c.timeParam("from"); err != nil {
		return q, err
	}
	q.To, err = c.timeParam("to")
	return q, err
}

func lineOf(l *statement.Line, texts *texts, shard, scale int) HistoryLine {
	position := accounts.Position{Shard: shard, Sequence: l.At.Sequence, Offset: l.At.Offset}
	line := HistoryLine{
		Position: position.String(), Time: l.Time.UTC(), Recorded: l.Recorded.UTC(), Type: string(l.Type), Meter: l.Meter,
		Quantity: l.Quantity, Credits: l.Credits.Format(scale), Unit: unitOf(l.Unit), Units: unlessZero(l.Units, scale),
		Cost: unlessZero(l.Cost, scale), Debt: unlessZero(l.Debt, scale), Unpaid: unlessZero(l.Unpaid, scale),
		Actor: l.Actor, Source: l.Source, Key: l.Key,
		Draws: drawsOf(l.Draws, scale), Remaining: l.Remaining.Format(scale), Usage: l.Usage, Hold: l.Hold, Purchase: l.Purchase,
		Plan: l.Plan, Catalog: l.Catalog, Money: moneyOf(l.Money), Code: l.Code, Count: l.Count, Since: endOf(l.Since), Scheduled: endOf(l.Scheduled), Expires: endOf(l.Expires),
	}
	var gone bool
	line.Description, gone = texts.open(l.Description)
	line.Attributes, line.Erased = texts.attributes(l.Attributes)
	line.Erased = line.Erased || gone
	return line
}

func usageGroups(c *call) (reply, error) {
	from, err := c.timeParam("from")
	if err != nil {
		return reply{}, err
	}
	to, err := c.timeParam("to")
	if err != nil {
		return reply{}, err
	}
	values := c.r.URL.Query()
	query := usage.Query{Account: c.account, From: from, To: to, By: usage.By(values.Get("by"))}
	if query.By != "" && query.By != usage.ByMeter && query.By != usage.ByDay {
		return reply{}, invalid("by", "meter or day is expected")
	}
	a, err := c.settled()
	if err != nil {
		return reply{}, err
	}
	if query.Cycle, err = cycleNumber(values.Get("cycle"), a); err != nil {
		return reply{}, err
	}
	head, err := c.waitForView(usage.Fold{}.Name())
	if err != nil {
		return reply{}, err
	}
	view, err := c.cfg.Usage(journal.Name{Tenant: c.tenant.Name(), Shard: head.Shard})
	if err != nil {
		return reply{}, err
	}
	used, err := view.Usage(query)
	if err != nil {
		return reply{}, err
	}
	answer := UsageGroups{Groups: make([]UsageGroup, len(used.Groups)), Credits: used.Credits.Format(c.scale())}
	for i, g := range used.Groups {
		answer.Groups[i] = UsageGroup{
			Meter: g.Meter, Quantity: g.Quantity, Credits: g.Credits.Format(c.scale()), Units: g.Units.Format(c.scale()),
		}
		if g.Dated {
			answer.Groups[i].Day = g.Day.String()
		}
	}
	return ok(answer)
}

// cycleNumber reads a cycle of the account; 0 for all.
func cycleNumber(s string, a *credit.Account) (uint32, error) {
	present := a.Cycle().Number
	switch s {
	case "":
		return 0, nil
	case "current":
		return present, nil
	case "previous":
		if present < 2 {
			return 0, invalid("cycle", "this is the account's first cycle")
		}
		return present - 1, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < 1 || uint32(n) > present {
		return 0, invalid("cycle", "a cycle's number from 1 to "+strconv.Itoa(int(present))+", current or previous is expected")
	}
	return uint32(n), nil
}
