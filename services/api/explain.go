package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/explain"
	"creditstream/services/rules"
)

func explainRoutes() []route {
	return []route{
		{
			id: "explain", method: http.MethodGet, path: accountPath + "/explain", scope: credentials.Read,
			summary: "Why a balance, an entry or a refusal is what it is",
			detail: "Without more, the balance: an opening line, each fact of the cycle with its signed change of every term by pool and lot, " +
				"and the closing terms, which are their sum exactly. With `key` (or `position`), one entry: price, arithmetic, what was settled " +
				"first, which lots paid in which order and which were passed over. With `meter` and `quantity`, what a check would say, with " +
				"the same reasons: a refused command writes nothing, so it is explained by asking again.",
			query: []param{
				{"at", "date-time", "As of this time; default now."},
				{"known_at", "string", "As known at this time, or at this position."},
				{"key", "string", "Explain the entry with this idempotency key."},
				{"position", "string", "Explain the entry at this position, as history gives it: for entries without a key."},
				{"meter", "string", "With `quantity`: explain what a use of this meter would come to."},
				{"quantity", "integer", "How many units of it."},
				{"limit", "integer", "How many facts to show one by one; default 100, at most 1,000. What came before them is summed up."},
				{"cursor", "string", "`next` of the page before: the facts before its opening line."},
				minPositionParam,
			},
			answer: Explanation{}, codes: []rules.Code{rules.CodeUnknownAccount, rules.CodeUnknownMeter, rules.CodeUnknownUsage}, handle: explainAccount,
		},
	}
}

// Explanation is one of three: of a balance, an entry or a check.
type Explanation struct {
	Account  string `json:"account"`
	At       string `json:"at" format:"date-time"`
	Position string `json:"position"`
	Catalog  uint32 `json:"catalog" doc:"The catalog version in force at that time."`

	Balance    *Balance            `json:"balance,omitempty" doc:"Of the balance: what the steps lead to."`
	Derivation *explain.Derivation `json:"derivation,omitempty"`
	Entry      *explain.Entry      `json:"entry,omitempty"`
	Check      *explain.Ask        `json:"check,omitempty"`
}

func explainAccount(c *call) (reply, error) {
	if _, _, _, err := c.existing(); err != nil {
		return reply{}, err
	}
	values := c.r.URL.Query()
	at, err := c.timeParam("at")
	if err != nil {
		return reply{}, err
	}
	known, err := knownAt(c.tenant, c.account, values.Get("known_at"))
	if err != nil {
		return reply{}, err
	}
	now := c.tenant.Now()
	switch {
	case at.After(now):
		return reply{}, invalid("at", "lies in the future")
	case known.Recorded.After(now):
		return reply{}, invalid("known_at", "lies in the future")
	case at.IsZero():
		at = now
	}
	view, head, err := c.statement()
	if err != nil {
		return reply{}, err
	}
	answer := &Explanation{Account: c.account, At: formatTime(at), Position: head.String()}
	if catalog := c.tenant.Books().At(at); catalog != nil {
		answer.Catalog = catalog.Version
	}
	switch {
	case values.Has("key") || values.Has("position"):
		err = c.explainEntry(answer, view, head)
	case values.Has("meter") || values.Has("quantity"):
		err = c.explainCheck(answer, view, at, known)
	default:
		err = c.explainBalance(answer, view, at, known)
	}
	return replyOf(answer, err)
}

func (c *call) explainBalance(answer *Explanation, view *statement.View, at time.Time, known statement.Known) error {
	q := explain.Query{At: at, Known: known, Scale: c.scale()}
	var err error
	if q.Limit, err = c.limit(); err != nil {
		return err
	}
	if cursor := c.r.URL.Query().Get("cursor"); cursor != "" {
		if q.Before, err = strconv.ParseUint(cursor, 10, 63); err != nil || q.Before == 0 {
			return badCursor()
		}
	}
	d, err := explain.Balance(view, c.tenant.Books(), c.account, q)
	if err != nil {
		return fmt.Errorf("explain account %s as of %s: %w", c.account, formatTime(at), err)
	}
	if !d.Account.Exists() {
		return invalid("at", "the account was opened later")
	}
	if q.Before == 0 {
		position, err := accounts.ParsePosition(answer.Position)
		if err != nil {
			return err
		}
		b := balanceAnswer(rules.BalanceOf(d.Account, c.tenant.Books(), at), position, c.scale())
		answer.Balance = &b
	}
	answer.Derivation = d
	return c.finish(d.Steps)
}

func (c *call) explainEntry(answer *Explanation, view *statement.View, head accounts.Position) error {
	values := c.r.URL.Query()
	var at projections.Position
	if key := values.Get("key"); values.Has("key") {
		if err := checkKey("key", key); err != nil {
			return err
		}
		stored, found, err := c.tenant.Shard(c.account).View().Lookup(c.account, key)
		if err != nil {
			return err
		}
		if !found {
			return &rules.Refusal{Code: rules.CodeUnknownUsage, Field: "key", Detail: fmt.Sprintf("no entry of this account has the key %q; a refused request writes none: ask with meter and quantity", clip(key))}
		}
		at = projections.Position{Sequence: stored.Sequence, Offset: stored.Offset}
	} else {
		seen, shard, ok := parsePlaces(values.Get("position"), len(c.tenant.Shards()))
		if !ok || shard != head.Shard {
			return invalid("position", "this is not a position that the history of this account gave out")
		}
		at = projections.Position{Sequence: seen[shard].Sequence, Offset: seen[shard].Offset}
	}
	before, facts, err := view.Entry(c.account, at)
	if err != nil {
		return fmt.Errorf("explain an entry of account %s: %w", c.account, err)
	}
	if len(facts) == 0 {
		return &rules.Refusal{Code: rules.CodeUnknownUsage, Field: "position", Detail: "this account has no entry there"}
	}
	if answer.Entry, err = explain.Explain(view, c.tenant.Books(), before, facts, c.scale()); err != nil {
		return fmt.Errorf("explain an entry of account %s: %w", c.account, err)
	}
	if err := c.finish(answer.Entry.Settled); err != nil {
		return err
	}
	return c.finish(answer.Entry.Steps)
}

func (c *call) explainCheck(answer *Explanation, view *statement.View, at time.Time, known statement.Known) error {
	quantity, err := c.intParam("quantity", 1, 1_000_000_000_000, 1)
	if err != nil {
		return err
	}
	meter := c.r.URL.Query().Get("meter")
	if err := checkID("meter", meter); err != nil {
		return err
	}
	past, err := view.Refold(c.account, at, known)
	if err != nil {
		return fmt.Errorf("fold account %s as of %s: %w", c.account, formatTime(at), err)
	}
	a := past.Account
	if !a.Exists() {
		return invalid("at", "the account was opened later")
	}
	rules.Settle(a, c.tenant.Books(), at)
	ask, refusal := explain.Check(a, c.tenant.Books(), meter, int64(quantity), at, c.scale())
	if refusal != nil {
		return refusal
	}
	answer.Check = ask
	return nil
}

// finish gives steps their positions, and opens what was written with them.
func (c *call) finish(steps []explain.Step) error {
	shard := headOf(c.tenant, c.account).Shard
	texts := c.texts(c.account)
	for i := range steps {
		s := &steps[i]
		if s.At.Sequence > 0 {
			s.Position = accounts.Position{Shard: shard, Sequence: s.At.Sequence, Offset: s.At.Offset}.String()
		}
		note, erased := texts.open(s.Note)
		if s.Note = note; erased {
			s.Note = "(erased)"
		}
	}
	return texts.fault
}
