package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// maxBalances is how many accounts one request may ask for.
const maxBalances = 1000

func balanceRoutes() []route {
	return []route{
		{
			id: "balance", method: http.MethodGet, path: accountPath + "/balance", scope: credentials.Read,
			summary: "The balance of an account",
			detail: "total = used + held + expired + revoked + frozen + remaining, for the account and for each pool. " +
				"Pools that are counted in units of a meter stand only under `pools`.",
			query: []param{
				{"at", "date-time", "The balance as of this time, as known now. Not in the future."},
				{"known_at", "string", "With `at`: as known at this time, or at this position."},
				minPositionParam,
			},
			answer: Balance{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: balance,
		},
		{
			id: "balances", method: http.MethodPost, path: tenantPath + "/balances", scope: credentials.Read,
			summary: "The balances of up to 1,000 accounts", detail: "In the order asked; an account that does not exist has a code instead.",
			request: BalancesRequest{}, answer: Balances{}, codes: []rules.Code{rules.CodeTooLarge}, handle: balances,
		},
	}
}

var minPositionParam = param{"min_position", "string", "Wait until this position can be read."}

// Terms are the terms of a balance in the present cycle, as decimals.
type Terms struct {
	Total     string `json:"total" doc:"Opening, and what started or was returned in this cycle."`
	Used      string `json:"used"`
	Held      string `json:"held"`
	Expired   string `json:"expired"`
	Revoked   string `json:"revoked"`
	Frozen    string `json:"frozen" doc:"Alive, but no meter of the present plan may spend it."`
	Remaining string `json:"remaining" doc:"Usable now."`
}

// Period is a cycle, half-open.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Balance is the balance of an account.
type Balance struct {
	Account  string  `json:"account"`
	At       string  `json:"at" format:"date-time"`
	Position string  `json:"position"`
	Plan     *string `json:"plan"`
	Cycle    Period  `json:"cycle"`
	Terms
	Debt  string        `json:"debt"`
	Pools []PoolBalance `json:"pools"`
}

// PoolBalance is one pool's part of it.
type PoolBalance struct {
	Pool string `json:"pool"`
	Unit string `json:"unit" doc:"\"credit\", or the meter whose units the pool counts."`
	Terms
	Expires *time.Time `json:"expires" doc:"The earliest end of the pool's lots."`
	Meters  []string   `json:"meters" doc:"The meters that the pool may pay."`
	Lots    []LotPart  `json:"lots"`
}

// LotPart is what is left of one lot.
type LotPart struct {
	Lot       string     `json:"lot"`
	Remaining string     `json:"remaining"`
	Starts    time.Time  `json:"starts"`
	Expires   *time.Time `json:"expires"`
}

// BalancesRequest names accounts.
type BalancesRequest struct {
	Accounts []string `json:"accounts" maxItems:"1000"`
}

// Balances are their balances, in order.
type Balances struct {
	Balances []any `json:"balances" doc:"A balance each, or an account and a code."`
}

// UnknownAccount stands for an account that does not exist, in a list.
type UnknownAccount struct {
	Account string `json:"account"`
	Code    string `json:"code" enum:"unknown_account"`
}

func balance(c *call) (reply, error) {
	if err := c.waitForMinPosition(); err != nil {
		return reply{}, err
	}
	at, err := c.timeParam("at")
	if err != nil {
		return reply{}, err
	}
	known, err := knownAt(c.tenant, c.account, c.r.URL.Query().Get("known_at"))
	if err != nil {
		return reply{}, err
	}
	if at.IsZero() && known == (statement.Known{}) {
		return replyOf(balanceOf(c.tenant, c.account))
	}
	return replyOf(c.balanceAsOf(at, known))
}

// balanceOf answers with the balance now, or unknown_account.
func balanceOf(t *accounts.Tenant, account string) (*Balance, error) {
	a, now, position, err := t.Account(account)
	if err != nil {
		return nil, err
	}
	if !a.Exists() {
		return nil, unknownAccount(account)
	}
	b := balanceAnswer(rules.BalanceOf(a, t.Books(), now), position, scaleOf(t))
	return &b, nil
}

func unknownAccount(account string) error {
	return &rules.Refusal{Code: rules.CodeUnknownAccount, Detail: fmt.Sprintf("there is no account %q; open it with PUT /accounts/{account}, or: credits account set ACCOUNT", clip(account))}
}

// balanceAsOf folds the account's own events again, as far as they had happened at one time and were
// known at another.
func (c *call) balanceAsOf(at time.Time, known statement.Known) (*Balance, error) {
	now := c.tenant.Now()
	if at.IsZero() {
		at = now
	}
	switch {
	case at.After(now):
		return nil, invalid("at", "lies in the future")
	case known.Recorded.After(now):
		return nil, invalid("known_at", "lies in the future")
	}
	view, position, err := c.statement()
	if err != nil {
		return nil, err
	}
	past, err := view.Refold(c.account, at, known)
	if err != nil {
		return nil, fmt.Errorf("fold account %s as of %s: %w", c.account, formatTime(at), err)
	}
	a := past.Account
	if !a.Exists() {
		current, _, _, err := c.tenant.Account(c.account)
		switch {
		case err != nil:
			return nil, err
		case !current.Exists():
			return nil, unknownAccount(c.account)
		case known != (statement.Known{}):
			return nil, invalid("known_at", "the account was opened later")
		}
		return nil, invalid("at", "the account was opened later, at "+formatTime(current.Opened()))
	}
	rules.Settle(a, c.tenant.Books(), at)
	b := balanceAnswer(rules.BalanceOf(a, c.tenant.Books(), at), position, c.scale())
	return &b, nil
}

// knownAt reads up to where the journal shall count as known: a time, or a position of the account's
// shard.
func knownAt(t *accounts.Tenant, account, text string) (statement.Known, error) {
	if text == "" {
		return statement.Known{}, nil
	}
	if seen, _, ok := parsePlaces(text, len(t.Shards())); ok {
		p := seen[headOf(t, account).Shard]
		if p.Sequence == 0 {
			return statement.Known{}, invalid("known_at", "this position belongs to another journal than the account")
		}
		return statement.Known{Position: projections.Position{Sequence: p.Sequence, Offset: p.Offset}}, nil
	}
	at, err := parseTime(text)
	if err != nil {
		return statement.Known{}, invalid("known_at", err.Error())
	}
	return statement.Known{Recorded: at}, nil
}

func balances(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "accounts")
	if v := sent.get("accounts"); v.isArray() && len(v.elements()) > maxBalances {
		return reply{}, &rules.Refusal{Code: rules.CodeTooLarge, Field: "accounts", Detail: fmt.Sprintf("at most %d accounts at once", maxBalances)}
	}
	names := f.texts("accounts", maxBalances)
	if err := f.err(); err != nil {
		return reply{}, err
	}
	list := Balances{Balances: make([]any, len(names))}
	for i, name := range names {
		b, err := balanceOf(c.tenant, name)
		var refusal *rules.Refusal
		switch {
		case err == nil:
			list.Balances[i] = b
		case errors.As(err, &refusal):
			list.Balances[i] = UnknownAccount{Account: name, Code: string(refusal.Code)}
		default:
			return reply{}, err
		}
	}
	return ok(list)
}

func balanceAnswer(b rules.Balance, position accounts.Position, scale int) Balance {
	answer := Balance{
		Account: b.Account, At: formatTime(b.At), Position: position.String(), Cycle: periodOf(b.Cycle),
		Terms: termsOf(b.BalanceTerms, scale), Debt: b.Debt.Format(scale), Pools: make([]PoolBalance, len(b.Pools)),
	}
	if b.Plan != "" {
		answer.Plan = &b.Plan
	}
	for i := range b.Pools {
		p := &b.Pools[i]
		lots := make([]LotPart, len(p.Lots))
		for j, l := range p.Lots {
			lots[j] = LotPart{Lot: l.ID, Remaining: l.Remaining.Format(scale), Starts: l.Starts.UTC(), Expires: endOf(l.Ends)}
		}
		answer.Pools[i] = PoolBalance{
			Pool: p.Pool, Unit: p.Unit, Terms: termsOf(p.BalanceTerms, scale), Expires: endOf(p.Ends),
			Meters: append([]string{}, p.Meters...), Lots: lots,
		}
	}
	return answer
}

func termsOf(t rules.BalanceTerms, scale int) Terms {
	return Terms{
		Total: t.Total.Format(scale), Used: t.Used.Format(scale), Held: t.Held.Format(scale), Expired: t.Expired.Format(scale),
		Revoked: t.Revoked.Format(scale), Frozen: t.Frozen.Format(scale), Remaining: t.Remaining.Format(scale),
	}
}

func periodOf(c credit.Cycle) Period { return Period{From: c.From.UTC(), To: c.To.UTC()} }

// endOf is nil for what never ends.
func endOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// timeParam reads an instant of the query; the zero time when it is absent.
func (c *call) timeParam(name string) (time.Time, error) {
	s := c.r.URL.Query().Get(name)
	if s == "" {
		return time.Time{}, nil
	}
	t, err := parseTime(s)
	if err != nil {
		return time.Time{}, invalid(name, err.Error())
	}
	return t, nil
}

// intParam reads a whole number of the query.
func (c *call) intParam(name string, least, most, byDefault int) (int, error) {
	s := c.r.URL.Query().Get(name)
	if s == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, invalid(name, fmt.Sprintf("a whole number from %d to %d is expected", least, most))
	}
	return n, nil
}

// minPositionWait is how long a read waits for its min_position.
const minPositionWait = 2 * time.Second

// waitForMinPosition returns when the position that the client has seen can be read here.
func (c *call) waitForMinPosition() error {
	s := c.r.URL.Query().Get("min_position")
	if s == "" {
		return nil
	}
	return waitForPosition(c.ctx, c.tenant, s)
}

func waitForPosition(ctx context.Context, t *accounts.Tenant, position string) error {
	shards := t.Shards()
	seen, _, ok := parsePlaces(position, len(shards))
	if !ok {
		return invalid("min_position", fmt.Sprintf("%.80q is not a position that this tenant gave out", position))
	}
	ctx, cancel := context.WithTimeout(ctx, minPositionWait)
	defer cancel()
	for shard, at := range seen {
		if err := WaitForHead(ctx, shards[shard], at.Sequence); err != nil {
			return err
		}
	}
	return nil
}

// WaitForHead waits until a shard shows a commit. What this server acknowledged it shows already; a
// position from elsewhere may be on its way.
func WaitForHead(ctx context.Context, shard *accounts.Shard, sequence uint64) error {
	for shard.Head() < sequence {
		pause := time.NewTimer(5 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w: commit %d is not here yet: %w", accounts.ErrUnavailable, sequence, context.Cause(ctx))
		}
	}
	return nil
}

// waitForView brings a view as far as what was acknowledged for the call's account.
func (c *call) waitForView(view string) (accounts.Position, error) {
	head := headOf(c.tenant, c.account)
	ctx, cancel := context.WithTimeout(c.ctx, minPositionWait)
	defer cancel()
	name := journal.Name{Tenant: c.tenant.Name(), Shard: head.Shard}
	if err := c.cfg.Views.WaitFor(ctx, view, name, head.Sequence); err != nil {
		return head, fmt.Errorf("%w: %w", accounts.ErrUnavailable, err)
	}
	return head, nil
}
