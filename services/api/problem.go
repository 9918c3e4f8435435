package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// The codes that doors decide, beside those of package rules.
const (
	codeUnauthenticated  rules.Code = "unauthenticated"
	codeUnknownTenant    rules.Code = "unknown_tenant"
	codeConflict         rules.Code = "idempotency_conflict"
	codeTooManyRequests  rules.Code = "too_many_requests"
	codeUnavailable      rules.Code = "unavailable"
	codeNotFound         rules.Code = "not_found"
	codeMethodNotAllowed rules.Code = "method_not_allowed"
)

// statusOf is the one table of codes: the HTTP status of each, and its title for a person.
var statusOf = map[rules.Code]struct {
	status int
	title  string
}{
	codeUnauthenticated:             {http.StatusUnauthorized, "No valid key"},
	rules.CodeInsufficientCredits:   {http.StatusPaymentRequired, "Not enough credits"},
	rules.CodePaymentMethodRequired: {http.StatusPaymentRequired, "A saved payment method is needed"},
	rules.CodeForbidden:             {http.StatusForbidden, "Not allowed with this key"},
	rules.CodePlanNotEligible:       {http.StatusForbidden, "Not possible on this plan"},
	rules.CodeMeterNotInPlan:        {http.StatusForbidden, "Not included in the plan"},
	rules.CodeApprovalRequired:      {http.StatusForbidden, "A code is needed"},
	rules.CodeApprovalInvalid:       {http.StatusForbidden, "The code is wrong"},
	rules.CodeApprovalLocked:        {http.StatusForbidden, "The code is locked"},
	codeUnknownTenant:               {http.StatusNotFound, "Unknown tenant"},
	rules.CodeUnknownAccount:        {http.StatusNotFound, "Unknown account"},
	rules.CodeUnknownMeter:          {http.StatusNotFound, "Unknown meter"},
	rules.CodeUnknownPlan:           {http.StatusNotFound, "Unknown plan"},
	rules.CodeUnknownPack:           {http.StatusNotFound, "Unknown pack"},
	rules.CodeUnknownPool:           {http.StatusNotFound, "Unknown pool"},
	rules.CodeUnknownLot:            {http.StatusNotFound, "Unknown lot"},
	rules.CodeUnknownHold:           {http.StatusNotFound, "Unknown hold"},
	rules.CodeUnknownPurchase:       {http.StatusNotFound, "Unknown purchase"},
	rules.CodeUnknownUsage:          {http.StatusNotFound, "Unknown usage"},
	codeNotFound:                    {http.StatusNotFound, "Not found"},
	codeMethodNotAllowed:            {http.StatusMethodNotAllowed, "Method not allowed"},
	codeConflict:                    {http.StatusConflict, "The key was used for another request"},
	rules.CodeAccountClosed:         {http.StatusConflict, "The account is closed"},
	rules.CodeHoldClosed:            {http.StatusConflict, "The hold is closed"},
	rules.CodeReversalExceedsUsage:  {http.StatusConflict, "More than was used"},
	rules.CodePaymentMismatch:       {http.StatusConflict, "The payment does not match"},
	rules.CodeTooLarge:              {http.StatusRequestEntityTooLarge, "Too large"},
	rules.CodeInvalid:               {http.StatusUnprocessableEntity, "Invalid request"},
	rules.CodeLateEvent:             {http.StatusUnprocessableEntity, "Too late"},
	codeTooManyRequests:             {http.StatusTooManyRequests, "Too many requests"},
	codeUnavailable:                 {http.StatusServiceUnavailable, "Unavailable"},
}

// Problem is an error as clients see it (RFC 9457), with a stable code.
type Problem struct {
	Type            string          `json:"type" doc:"An URN made of the code."`
	Title           string          `json:"title"`
	Status          int             `json:"status"`
	Detail          string          `json:"detail" doc:"For a person: what is wrong and what to do next."`
	Code            string          `json:"code" doc:"Stable: decide on this."`
	Field           string          `json:"field,omitempty" doc:"Of bad input, the field."`
	BlockedBy       string          `json:"blocked_by,omitempty" enum:"plan,pool_restricted,quota,credits"`
	Short           string          `json:"short,omitempty" doc:"Credits missing."`
	NextRenewal     *time.Time      `json:"next_renewal,omitempty" doc:"When the next allowance comes."`
	Contact         string          `json:"contact,omitempty" doc:"Whom to ask for more, or how to upgrade."`
	PendingPurchase string          `json:"pending_purchase,omitempty" doc:"A purchase whose payment is under way."`
	Problems        []rules.Problem `json:"problems,omitempty" doc:"Everything that is wrong with a catalog."`

	retryAfter time.Duration
}

// ProblemOf turns what went wrong into what a client sees. scale is that of the tenant's amounts. What is
// not a refusal is unavailable: its outcome is unknown, and its details are for the log only.
func ProblemOf(err error, scale int) *Problem {
	var refusal *rules.Refusal
	var conflict *accounts.Conflict
	var input *credentials.InputError
	var locked *credentials.LockedError
	var catalog *rules.CatalogError
	switch {
	case errors.As(err, &refusal):
		return refused(refusal, scale)
	case errors.As(err, &conflict):
		return problem(codeConflict, "this key was used before for a request of other content; use a new key for a new request")
	case errors.As(err, &catalog):
		p := problem(rules.CodeInvalid, catalog.Error())
		p.Problems = catalog.Problems
		if len(catalog.Problems) > 0 {
			p.Field = catalog.Problems[0].Path
		}
		return p
	case errors.Is(err, accounts.ErrUnknownTenant):
		return problem(codeUnknownTenant, "there is no such tenant")
	case errors.As(err, &input):
		p := problem(rules.CodeInvalid, input.Reason)
		p.Field = input.Field
		return p
	case errors.Is(err, credentials.ErrUnauthenticated):
		return problem(codeUnauthenticated, err.Error())
	case errors.Is(err, credentials.ErrRequired):
		return problem(rules.CodeApprovalRequired, err.Error())
	case errors.Is(err, credentials.ErrInvalid):
		return problem(rules.CodeApprovalInvalid, err.Error())
	case errors.As(err, &locked):
		return problem(rules.CodeApprovalLocked, err.Error())
	case errors.Is(err, credentials.ErrTooManyKeys):
		p := problem(rules.CodeInvalid, err.Error())
		p.Field = "actor"
		return p
	case errors.Is(err, credentials.ErrUnknownKey):
		return problem(codeNotFound, "there is no such key; credits key list, or GET "+adminPath+"/keys, lists them")
	}
	p := problem(codeUnavailable, unavailableDetail(err))
	p.retryAfter = time.Second
	return p
}

func unavailableDetail(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time: the outcome is unknown, and the same request with the same key is safe"
	}
	return "not available at the moment: the outcome is unknown, and the same request with the same key is safe"
}

func refused(r *rules.Refusal, scale int) *Problem {
	p := problem(r.Code, r.Detail)
	p.Field, p.BlockedBy, p.Contact, p.PendingPurchase = r.Field, r.BlockedBy, r.Contact, r.PendingPurchase
	if r.Short > 0 {
		p.Short = r.Short.Format(scale)
	}
	if !r.NextRenewal.IsZero() {
		at := r.NextRenewal.UTC()
		p.NextRenewal = &at
	}
	if r.Code == codeTooManyRequests || r.Code == codeUnavailable {
		p.retryAfter = time.Second
	}
	return p
}

// problem panics for a code that is not in the table: every code has a status.
func problem(code rules.Code, detail string) *Problem {
	row, known := statusOf[code]
	if !known {
		panic("api: code without a status: " + string(code))
	}
	return &Problem{Type: "urn:creditstream:problem:" + string(code), Title: row.title, Status: row.status, Detail: detail, Code: string(code)}
}

func problemReply(c *call, err error) reply {
	scale := 6
	if c.tenant != nil {
		scale = c.scale()
	}
	p := ProblemOf(err, scale)
	header := c.w.Header()
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="creditstream"`)
	}
	if p.Code == string(codeUnavailable) && !errors.Is(err, context.Canceled) && !errors.Is(err, accounts.ErrKeptOut) {
		c.log.Warn("unavailable", "operation", c.route.id, "reason", err)
	}
	return reply{status: p.Status, body: p}
}

func invalid(field, detail string) *rules.Refusal {
	return &rules.Refusal{Code: rules.CodeInvalid, Field: field, Detail: detail}
}

func forbidden(detail string) *rules.Refusal {
	return &rules.Refusal{Code: rules.CodeForbidden, Detail: detail}
}

func tooLarge(limit int64) *rules.Refusal {
	return &rules.Refusal{Code: rules.CodeTooLarge, Detail: "the body may have at most " + strconv.FormatInt(limit, 10) + " bytes"}
}
