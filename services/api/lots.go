package api

import (
	"net/http"
	"time"

	"creditstream/events/credit"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

func lotRoutes() []route {
	return []route{
		{
			id: "grantCredits", method: http.MethodPost, path: accountPath + "/grants", scope: credentials.Grant, person: true, key: keyRequired,
			summary: "Grant credits, by a person and with a reason",
			detail:  "`expires` absent is by the pool's rule, null is never. A `sold` lot counts as paid.",
			request: GrantRequest{}, answer: GrantAnswer{}, status: http.StatusCreated,
			codes: []rules.Code{
				rules.CodeUnknownAccount, rules.CodeUnknownPool, rules.CodeAccountClosed, rules.CodePlanNotEligible, codeConflict,
			},
			handle: grantCredits,
		},
		{
			id: "listLots", method: http.MethodGet, path: accountPath + "/lots", scope: credentials.Read,
			summary: "The lots of an account that can still matter, oldest first", query: append([]param{minPositionParam}, listParams...),
			answer: Lots{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: listLots,
		},
		{
			id: "revokeLot", method: http.MethodPost, path: accountPath + "/lots/{lot}/revoke", scope: credentials.Grant, person: true, key: keyRequired,
			summary: "Take back what is left of a lot", detail: "What is held of it can still be captured.",
			request: RevokeRequest{}, answer: RevokeAnswer{},
			codes:  []rules.Code{rules.CodeUnknownAccount, rules.CodeUnknownLot, rules.CodeAccountClosed, codeConflict},
			handle: revokeLot,
		},
		{
			id: "reverseUsage", method: http.MethodPost, path: accountPath + "/usage/{key}/reverse", scope: credentials.Usage, key: keyRequired,
			summary: "Take usage back, to the lots that paid it",
			detail:  "`key` is the idempotency key of the use, or of the capture. A use older than 24 hours needs a key with scope grant.",
			request: ReverseRequest{}, answer: ReverseAnswer{},
			codes: []rules.Code{
				rules.CodeUnknownAccount, rules.CodeUnknownUsage, rules.CodeAccountClosed, rules.CodeReversalExceedsUsage, codeConflict,
			},
			handle: reverseUsage,
		},
		{
			id: "mintToken", method: http.MethodPost, path: accountPath + "/tokens", scope: credentials.Read,
			summary: "A short-lived token for one account's page or widget", request: TokenRequest{}, answer: TokenAnswer{},
			status: http.StatusCreated, codes: []rules.Code{rules.CodeUnknownAccount}, handle: mintToken,
		},
	}
}

// Money is an amount of a currency: {"currency":"USD","amount":"123.45"}.
type Money struct {
	Currency string `json:"currency" example:"USD"`
	Amount   string `json:"amount" example:"123.45"`
}

func moneyOf(m credit.Money) *Money {
	if m.IsZero() {
		return nil
	}
	return &Money{Currency: m.Currency, Amount: rules.FormatMoney(m)}
}

// GrantRequest gives credits.
type GrantRequest struct {
	Pool       string     `json:"pool"`
	Credits    string     `json:"credits" example:"500"`
	Expires    *time.Time `json:"expires,omitempty"`
	Reason     string     `json:"reason"`
	Kind       string     `json:"kind,omitempty" enum:"sold,goodwill,promotion"`
	Price      *Money     `json:"price,omitempty"`
	InvoiceRef string     `json:"invoice_ref,omitempty"`
}

// GrantAnswer is the lot that was granted.
type GrantAnswer struct {
	Lot      string     `json:"lot"`
	Pool     string     `json:"pool"`
	Credits  string     `json:"credits"`
	Expires  *time.Time `json:"expires"`
	Position string     `json:"position"`
	Replayed bool       `json:"replayed"`
}

// Lots is a page of lots.
type Lots struct {
	Lots []Lot  `json:"lots"`
	Next string `json:"next,omitempty"`
}

// Lot is what is left of one grant.
type Lot struct {
	Lot       string     `json:"lot"`
	Pool      string     `json:"pool"`
	Unit      string     `json:"unit"`
	Kind      string     `json:"kind"`
	Paid      bool       `json:"paid"`
	Granted   string     `json:"granted"`
	Remaining string     `json:"remaining"`
	Held      string     `json:"held"`
	Starts    time.Time  `json:"starts"`
	Expires   *time.Time `json:"expires"`
	Ended     bool       `json:"ended"`
	Price     *Money     `json:"price"`
}

// RevokeRequest takes a lot back.
type RevokeRequest struct {
	Reason string `json:"reason"`
}

// RevokeAnswer is what was taken back.
type RevokeAnswer struct {
	Lot      string `json:"lot"`
	Pool     string `json:"pool"`
	Unit     string `json:"unit"`
	Revoked  string `json:"revoked"`
	Position string `json:"position"`
	Replayed bool   `json:"replayed"`
}

// ReverseRequest takes usage back; no quantity is all that is left of it.
type ReverseRequest struct {
	Quantity int64  `json:"quantity,omitempty" minimum:"1" maximum:"1000000000000"`
	Reason   string `json:"reason,omitempty"`
}

// ReverseAnswer says where it went.
type ReverseAnswer struct {
	Status   string `json:"status" enum:"reversed"`
	Usage    string `json:"usage"`
	Quantity int64  `json:"quantity"`
	Credits  string `json:"credits"`
	Draws    []Draw `json:"draws" doc:"What went back to lots that live."`
	Expired  []Draw `json:"expired" doc:"What came back to lots that ended, and expired with them."`
	Replaced []Draw `json:"replaced" doc:"New lots in the place of lots that ended."`
	Position string `json:"position"`
	Replayed bool   `json:"replayed"`
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Scopes  []string `json:"scopes,omitempty" doc:"read, purchase; default what the key may of both."`
	Purpose string   `json:"purpose,omitempty" enum:"page,widget" doc:"Default page."`
	TTL     string   `json:"ttl,omitempty" doc:"At most 1h, default 15m."`
}

// TokenAnswer is the token, which opens one account until it expires.
type TokenAnswer struct {
	Token   string    `json:"token"`
	Scopes  []string  `json:"scopes"`
	Purpose string    `json:"purpose"`
	Expires time.Time `json:"expires"`
}

func grantCredits(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "pool", "credits", "expires", "reason", "kind", "price", "invoice_ref")
	command := rules.GrantCredits{
		Pool: f.id("pool"), Credits: f.amount("credits", c.scale(), true), Reason: f.required("reason", maxText),
		Kind: f.optional("kind", maxID), Price: f.money("price"), InvoiceRef: f.optional("invoice_ref", maxID),
	}
	if f.has("expires") {
		command.Ends = rules.Set(f.time("expires"))
	}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	answer, err := c.do(command, sent, "grant")
	if err != nil {
		return reply{}, err
	}
	e, found := fact[*credit.CreditGranted](&answer)
	if !found {
		return reply{}, missing("CreditGranted")
	}
	return created(GrantAnswer{
		Lot: e.Lot, Pool: e.Pool, Credits: e.Amount.Format(c.scale()), Expires: endOf(e.Ends),
		Position: c.position(&answer), Replayed: answer.Replayed,
	})
}

func listLots(c *call) (reply, error) {
	a, _, _, err := c.existing()
	if err != nil {
		return reply{}, err
	}
	page, next, err := pageOf(c, a.Lots(), func(l *credit.Lot) uint64 { return l.Ordinal })
	if err != nil {
		return reply{}, err
	}
	scale := c.scale()
	list := Lots{Lots: make([]Lot, len(page)), Next: next}
	for i, l := range page {
		list.Lots[i] = Lot{
			Lot: l.ID, Pool: l.Pool, Unit: unitOf(l.Unit), Kind: l.Kind, Paid: l.Paid, Granted: l.Granted.Format(scale),
			Remaining: l.Remaining.Format(scale), Held: l.Held.Format(scale), Starts: l.Starts.UTC(), Expires: endOf(l.Ends),
			Ended: l.Ended, Price: moneyOf(l.Price),
		}
	}
	return ok(list)
}

func revokeLot(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "reason")
	command := rules.RevokeLot{Lot: c.r.PathValue("lot"), Reason: f.required("reason", maxText)}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	answer, err := c.do(command, sent, "revoke", command.Lot)
	if err != nil {
		return reply{}, err
	}
	e, found := fact[*credit.GrantRevoked](&answer)
	if !found {
		return reply{}, missing("GrantRevoked")
	}
	return ok(RevokeAnswer{
		Lot: e.Lot, Pool: e.Pool, Unit: unitOf(e.Unit), Revoked: e.Amount.Format(c.scale()),
		Position: c.position(&answer), Replayed: answer.Replayed,
	})
}

// reversibleWithin is how long ago usage may have been for scope usage to reverse it (RULES.md "duties").
const reversibleWithin = 24 * time.Hour

func reverseUsage(c *call) (reply, error) {
	usage := c.r.PathValue("key")
	if err := checkKey("key", usage); err != nil {
		return reply{}, err
	}
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "quantity", "reason")
	command := &rules.ReverseUsage{Usage: usage, Quantity: f.quantity("quantity", false), Reason: f.optional("reason", maxText)}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	shard := c.tenant.Shard(c.account)
	original, at, found, err := shard.Used(c.ctx, c.account, usage)
	if err != nil {
		return reply{}, err
	}
	if found {
		command.Original, command.OriginalAt = original, at
		_, repeated, err := shard.View().Lookup(c.account, c.key)
		if err != nil {
			return reply{}, err
		}
		old := c.now().Sub(at) > reversibleWithin
		if old && !repeated && !c.principal.Can(credentials.Grant) {
			return reply{}, forbidden("usage older than 24 hours is reversed with scope grant")
		}
	}
	answer, err := c.do(command, sent, "reverse", usage)
	if err != nil {
		return reply{}, err
	}
	e, ok := fact[*credit.UsageReversed](&answer)
	if !ok {
		return reply{}, missing("UsageReversed")
	}
	return c.reversed(e, c.position(&answer), answer.Replayed)
}

func (c *call) reversed(e *credit.UsageReversed, position string, replayed bool) (reply, error) {
	scale := c.scale()
	replaced := make([]Draw, len(e.Replaced))
	for i, r := range e.Replaced {
		replaced[i] = Draw{Pool: r.Into.Pool, Lot: r.Into.Lot, Amount: r.Into.Amount.Format(scale), Unit: unitOf(r.Into.Unit), Cycle: r.Draw.Cycle}
	}
	return ok(ReverseAnswer{
		Status: "reversed", Usage: e.Usage, Quantity: e.Quantity, Credits: e.Credits.Format(scale), Draws: drawsOf(e.Draws, scale),
		Expired: drawsOf(e.Lapsed, scale), Replaced: replaced, Position: position, Replayed: replayed,
	})
}

func mintToken(c *call) (reply, error) {
	if c.principal.Account != "" {
		return reply{}, forbidden("a token cannot prolong itself: ask with a key")
	}
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "scopes", "purpose", "ttl")
	wanted := c.principal.Scopes & credentials.ScopesOf(credentials.Read, credentials.Purchase)
	if f.has("scopes") {
		if wanted, err = credentials.ParseScopes(f.texts("scopes", 6)...); err != nil {
			return reply{}, err
		}
	}
	purpose, ttl := f.optional("purpose", maxID), f.duration("ttl")
	if err := f.err(); err != nil {
		return reply{}, err
	}
	if wanted&^c.principal.Scopes != 0 {
		return reply{}, forbidden("a token can do no more than the key that asks for it")
	}
	if _, _, _, err := c.existing(); err != nil {
		return reply{}, err
	}
	token := credentials.AccountToken{
		Tenant: c.tenant.Name(), Account: c.account, Scopes: wanted, Purpose: credentials.Page, Actor: c.principal.Actor, KeyID: c.principal.KeyID,
	}
	if purpose != "" {
		token.Purpose = credentials.Purpose(purpose)
	}
	if ttl != 0 {
		token.Expires = c.now().Add(ttl)
	}
	text, minted, err := c.cfg.Credentials.MintToken(token, c.now())
	if err != nil {
		return reply{}, err
	}
	return created(TokenAnswer{Token: text, Scopes: minted.Scopes.Names(), Purpose: string(minted.Purpose), Expires: minted.Expires})
}
