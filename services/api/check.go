package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// maxChecks is how many pairs one request may check.
const maxChecks = 10_000

func checkRoutes() []route {
	return []route{
		{
			id: "check", method: http.MethodPost, path: accountPath + "/check", scope: credentials.Usage, often: true,
			summary: "Ask whether a use would be allowed, and what it would cost",
			detail:  "Writes nothing. Between a check and the use others may spend: a hold sets credits aside.",
			request: CheckRequest{}, answer: CheckAnswer{},
			codes: []rules.Code{rules.CodeUnknownAccount, rules.CodeUnknownMeter}, handle: check,
		},
		{
			id: "checks", method: http.MethodPost, path: tenantPath + "/checks", scope: credentials.Usage, often: true,
			summary: "Check up to 10,000 pairs of account and meter at once",
			detail:  "Each pair is answered for itself, in order; what is not known has `allowed` false and a code.",
			request: ChecksRequest{}, answer: ChecksAnswer{}, codes: []rules.Code{rules.CodeTooLarge}, handle: checkMany,
		},
	}
}

// CheckRequest asks about a use.
type CheckRequest struct {
	Meter    string `json:"meter" maxLength:"128"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"1000000000000"`
}

// CheckAnswer is what the use would come to.
type CheckAnswer struct {
	Allowed         bool   `json:"allowed"`
	Cost            string `json:"cost" doc:"In credits."`
	Remaining       string `json:"remaining" doc:"Credits that this meter may draw."`
	RemainingUnits  int64  `json:"remaining_units" doc:"Units of the meter that quota and credits pay together."`
	Code            string `json:"code,omitempty" doc:"Why it is not allowed."`
	Draws           []Draw `json:"draws" doc:"The lots that would pay."`
	Detail          string `json:"detail,omitempty"`
	BlockedBy       string `json:"blocked_by,omitempty" enum:"plan,pool_restricted,quota,credits"`
	Short           string `json:"short,omitempty"`
	NextRenewal     string `json:"next_renewal,omitempty" format:"date-time"`
	Contact         string `json:"contact,omitempty"`
	PendingPurchase string `json:"pending_purchase,omitempty"`
	Position        string `json:"position"`
}

// ChecksRequest asks about many uses.
type ChecksRequest struct {
	Checks []Pair `json:"checks" maxItems:"10000"`
}

// Pair is one of them.
type Pair struct {
	Account  string `json:"account" maxLength:"128"`
	Meter    string `json:"meter" maxLength:"128"`
	Quantity int64  `json:"quantity,omitempty" minimum:"1" maximum:"1000000000000" doc:"Default 1."`
}

// ChecksAnswer answers them in order.
type ChecksAnswer struct {
	Results []PairAnswer `json:"results"`
}

// PairAnswer is the answer to one pair.
type PairAnswer struct {
	Account string `json:"account"`
	Meter   string `json:"meter"`
	CheckAnswer
}

func check(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "meter", "quantity")
	meter, quantity := f.id("meter"), f.quantity("quantity", true)
	if err := f.err(); err != nil {
		return reply{}, err
	}
	return replyOf(checkOf(c.tenant, c.account, meter, quantity))
}

// quoted is a CheckAnswer that writes itself.
type quoted struct {
	quote    rules.Quote
	position accounts.Position
	scale    int
}

// checkOf quotes a use. Only what is unknown or invalid is an error.
func checkOf(t *accounts.Tenant, account, meter string, quantity int64) (*quoted, error) {
	a, now, at, err := t.Account(account)
	if err != nil {
		return nil, err
	}
	return quoteFor(t, a, now, at, meter, quantity)
}

func quoteFor(t *accounts.Tenant, a *credit.Account, now time.Time, at accounts.Position, meter string, quantity int64) (*quoted, error) {
	quote := rules.Check(a, t.Books(), meter, quantity, now)
	if r := quote.Refusal; r != nil {
		switch r.Code {
		case rules.CodeUnknownAccount, rules.CodeUnknownMeter, rules.CodeInvalid:
			return nil, r
		}
	}
	return &quoted{quote: quote, position: at, scale: scaleOf(t)}, nil
}

func (q *quoted) appendJSON(dst []byte) []byte {
	return append(q.appendMembers(append(dst, '{')), '}')
}

func (q *quoted) appendMembers(dst []byte) []byte {
	quote := &q.quote
	dst = strconv.AppendBool(append(dst, `"allowed":`...), quote.Allowed)
	dst = appendAmount(append(dst, `,"cost":`...), quote.Cost, q.scale)
	dst = appendAmount(append(dst, `,"remaining":`...), quote.Remaining, q.scale)
	dst = strconv.AppendInt(append(dst, `,"remaining_units":`...), quote.RemainingUnits, 10)
	dst = appendDraws(append(dst, `,"draws":`...), quote.Draws, q.scale)
	if r := quote.Refusal; r != nil {
		dst = appendRefusal(dst, r, q.scale)
	}
	return append(q.position.Append(append(dst, `,"position":"`...)), '"')
}

// appendRefusal writes the members of a refusal that has an answer of its own, not a problem's.
func appendRefusal(dst []byte, r *rules.Refusal, scale int) []byte {
	text := func(name, s string) {
		if s != "" {
			dst = appendJSONText(append(append(append(dst, `,"`...), name...), `":`...), s)
		}
	}
	text("code", string(r.Code))
	text("detail", r.Detail)
	text("blocked_by", r.BlockedBy)
	if r.Short > 0 {
		text("short", r.Short.Format(scale))
	}
	if !r.NextRenewal.IsZero() {
		text("next_renewal", formatTime(r.NextRenewal))
	}
	text("contact", r.Contact)
	text("pending_purchase", r.PendingPurchase)
	return dst
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// checkMany answers pairs; accounts that occur several times are read once.
func checkMany(c *call) (reply, error) {
	pairs, err := c.pairs()
	if err != nil {
		return reply{}, err
	}
	type loaded struct {
		account *credit.Account
		now     time.Time
		at      accounts.Position
	}
	known := make(map[string]loaded)
	out := &pairAnswers{pairs: pairs, quotes: make([]*quoted, len(pairs)), refusals: make([]error, len(pairs)), scale: c.scale()}
	for i, p := range pairs {
		l, ok := known[p.Account]
		if !ok {
			if l.account, l.now, l.at, err = c.tenant.Account(p.Account); err != nil {
				return reply{}, err
			}
			known[p.Account] = l
		}
		if out.quotes[i], err = quoteFor(c.tenant, l.account, l.now, l.at, p.Meter, p.Quantity); err != nil {
			out.refusals[i] = err
		}
	}
	return ok(out)
}

// pairs reads {"checks":[…]} or the list alone.
func (c *call) pairs() ([]Pair, error) {
	text, err := c.text(maxBatch)
	if err != nil {
		return nil, err
	}
	v, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	if v.isObject() {
		f := fieldsOf(v.members(), "", "checks")
		v, _ = f.require("checks")
		if err := f.err(); err != nil {
			return nil, err
		}
	}
	if !v.isArray() {
		return nil, invalid("checks", "a list of pairs is expected")
	}
	elements := v.elements()
	if len(elements) > maxChecks {
		return nil, &rules.Refusal{Code: rules.CodeTooLarge, Detail: fmt.Sprintf("at most %d pairs at once, these are %d", maxChecks, len(elements))}
	}
	pairs := make([]Pair, len(elements))
	for i, e := range elements {
		prefix := fmt.Sprintf("checks[%d].", i)
		if !e.isObject() {
			return nil, invalid(prefix[:len(prefix)-1], "an object is expected")
		}
		f := fieldsOf(e.members(), prefix, "account", "meter", "quantity")
		pairs[i] = Pair{Account: f.id("account"), Meter: f.id("meter"), Quantity: max(f.quantity("quantity", false), 1)}
		if err := f.err(); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// pairAnswers is a ChecksAnswer that writes itself.
type pairAnswers struct {
	pairs    []Pair
	quotes   []*quoted
	refusals []error
	scale    int
}

func (p *pairAnswers) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"results":[`...)
	for i := range p.pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONText(append(dst, `{"account":`...), p.pairs[i].Account)
		dst = append(appendJSONText(append(dst, `,"meter":`...), p.pairs[i].Meter), ',')
		q := p.quotes[i]
		if q == nil {
			q = &quoted{scale: p.scale}
			problem := ProblemOf(p.refusals[i], p.scale)
			q.quote.Refusal = &rules.Refusal{Code: rules.Code(problem.Code), Detail: problem.Detail}
		}
		dst = append(q.appendMembers(dst), '}')
	}
	return append(dst, `]}`...)
}
