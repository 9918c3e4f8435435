package api

import (
	"net/http"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/purchases"
	"creditstream/services/rules"
)

func purchaseRoutes() []route {
	return []route{
		{
			id: "listPacks", method: http.MethodGet, path: tenantPath + "/packs", scope: credentials.Read, accountInQuery: true,
			summary: "What can be bought", detail: "With `account`: also whether that account may buy, and why not.",
			query:  []param{{"account", "string", "Whose purchase it would be."}},
			answer: Offers{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: listPacks,
		},
		{
			id: "listPacksFor", method: http.MethodGet, path: accountPath + "/packs", scope: credentials.Read,
			summary: "What this account can buy", answer: Offers{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: listPacks,
		},
		{
			id: "requestPurchase", method: http.MethodPost, path: accountPath + "/purchases", scope: credentials.Purchase, key: keyRequired,
			summary: "Ask to buy a pack, or credits for an amount of money",
			detail: "Price and credits are fixed here; nothing is given before the payment is confirmed. Pay at `checkout_url`, " +
				"or confirm that the saved payment method is charged.",
			request: PurchaseRequest{}, answer: Purchase{}, status: http.StatusCreated,
			codes: []rules.Code{
				rules.CodeUnknownAccount, rules.CodeUnknownPack, rules.CodeAccountClosed, rules.CodePlanNotEligible,
				rules.CodePaymentMethodRequired, rules.CodeApprovalRequired, rules.CodeApprovalLocked, rules.CodeApprovalInvalid, codeConflict,
			},
			handle: requestPurchase,
		},
		{
			id: "listPurchases", method: http.MethodGet, path: accountPath + "/purchases", scope: credentials.Read,
			summary: "The purchases of an account, oldest first", query: append([]param{minPositionParam}, listParams...),
			answer: Purchases{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: listPurchases,
		},
		{
			id: "getPurchase", method: http.MethodGet, path: accountPath + "/purchases/{purchase}", scope: credentials.Read,
			summary: "One purchase", query: []param{minPositionParam},
			answer: Purchase{}, codes: []rules.Code{rules.CodeUnknownAccount, rules.CodeUnknownPurchase}, handle: getPurchase,
		},
		{
			id: "confirmPurchase", method: http.MethodPost, path: accountPath + "/purchases/{purchase}/confirm", scope: credentials.Purchase, key: keyOptional,
			summary: "Charge the saved payment method", detail: "The credits come when the provider says that it was paid.",
			answer: Purchase{},
			codes: []rules.Code{
				rules.CodeUnknownAccount, rules.CodeUnknownPurchase, rules.CodeAccountClosed, rules.CodePlanNotEligible,
				rules.CodePaymentMethodRequired, codeConflict,
			},
			handle: confirmPurchase,
		},
		{
			id: "refundPurchase", method: http.MethodPost, path: accountPath + "/purchases/{purchase}/refund", scope: credentials.Grant, key: keyRequired,
			summary: "Take back what is left of a purchase, and pay back its price",
			detail:  "The money is floor(paid × left / granted), in minor units.",
			request: RefundRequest{}, answer: RefundAnswer{},
			codes: []rules.Code{rules.CodeUnknownAccount, rules.CodeUnknownPurchase, codeConflict}, handle: refundPurchase,
		},
	}
}

// PurchaseRequest asks for a pack, or for credits worth an amount of money.
type PurchaseRequest struct {
	Pack         string         `json:"pack,omitempty"`
	TopUp        *Money         `json:"topup,omitempty"`
	ApprovalCode string         `json:"approval_code,omitempty" doc:"The manager's code, where the catalog asks for one."`
	Metadata     map[string]any `json:"metadata,omitempty"`
}

// RefundRequest gives a purchase back.
type RefundRequest struct {
	Reason string `json:"reason,omitempty"`
}

func requestPurchase(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "pack", "topup", "approval_code", "metadata")
	wanted := purchases.Wanted{
		Tenant: c.tenant, Account: c.account, Key: c.key, Hash: contentHash(sent, "purchase"), Actor: c.principal.Actor,
		Pack: f.optional("pack", maxID), TopUp: f.money("topup"), Code: f.optional("approval_code", maxID), Metadata: f.metadata("metadata"),
	}
	if _, topUp := f.sent("topup"); topUp && wanted.TopUp.Minor == 0 {
		f.refuse("topup.amount", "an amount above zero is expected")
	}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	requested, err := c.cfg.Purchases.Request(c.ctx, wanted)
	if err != nil {
		return reply{}, err
	}
	texts := c.texts(c.account)
	answer := Purchase{
		Purchase: requested.Purchase, Account: c.account, Status: credit.AwaitingPayment, Pack: requested.Pack, Pool: requested.Pool,
		Credits: requested.Credits.Format(c.scale()), Price: moneyOf(requested.Price), Provider: requested.Provider,
		RequestedAt: requested.At.UTC(), PaysUntil: requested.PaysUntil.UTC(), CheckoutURL: requested.CheckoutURL,
		Approved: requested.Approved, Metadata: texts.metadata(requested.Metadata),
		Position: c.position(&requested.Answer), Replayed: requested.Answer.Replayed,
	}
	if texts.fault != nil {
		return reply{}, texts.fault
	}
	return created(answer)
}

func listPurchases(c *call) (reply, error) {
	a, _, at, err := c.existing()
	if err != nil {
		return reply{}, err
	}
	page, next, err := pageOf(c, a.Purchases(), func(p *credit.Purchase) uint64 { return p.Ordinal })
	if err != nil {
		return reply{}, err
	}
	list := Purchases{Purchases: make([]Purchase, len(page)), Next: next}
	for i, p := range page {
		if list.Purchases[i], err = c.purchaseOf(a, p, at); err != nil {
			return reply{}, err
		}
	}
	return ok(list)
}

func getPurchase(c *call) (reply, error) {
	a, _, at, err := c.existing()
	if err != nil {
		return reply{}, err
	}
	p, err := c.purchaseIn(a)
	if err != nil {
		return reply{}, err
	}
	return replyOf(c.purchaseOf(a, p, at))
}

func confirmPurchase(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "")
	if err := f.err(); err != nil {
		return reply{}, err
	}
	id := c.r.PathValue("purchase")
	answer, err := c.cfg.Purchases.Confirm(c.ctx, c.tenant, c.request(sent, "confirm", id), id)
	if err != nil {
		return reply{}, err
	}
	a, _, at, err := c.tenant.Account(c.account)
	if err != nil {
		return reply{}, err
	}
	p, err := c.purchaseIn(a)
	if err != nil {
		return reply{}, err
	}
	if answer.Replayed {
		// The original answer: the purchase as it was when its charge began.
		before := *p
		before.Status, before.Reason, before.Lot, before.PaidAt = credit.Processing, "", "", time.Time{}
		before.Reference, before.InvoiceRef, before.ReceiptURL = "", "", ""
		p, at = &before, answer.Position
	}
	body, err := c.purchaseOf(a, p, at)
	body.Replayed = answer.Replayed
	return replyOf(body, err)
}

func refundPurchase(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "reason")
	reason := f.optional("reason", maxText)
	if err := f.err(); err != nil {
		return reply{}, err
	}
	id := c.r.PathValue("purchase")
	answer, err := c.cfg.Purchases.Refund(c.ctx, c.tenant, c.request(sent, "refund", id), id, reason)
	if err != nil {
		return reply{}, err
	}
	body := RefundAnswer{Purchase: id, Status: credit.Refunded, Revoked: "0", Position: c.position(&answer), Replayed: answer.Replayed}
	if e, found := fact[*credit.PurchaseRefunded](&answer); found {
		body.Status, body.Lot, body.Revoked = e.Status, e.Lot, e.Amount.Format(c.scale())
		body.Money = &Money{Currency: e.Money.Currency, Amount: rules.FormatMoney(e.Money)}
	}
	return ok(body)
}

// request is a command's envelope without the command.
func (c *call) request(sent object, operation ...string) accounts.Request {
	request := accounts.Request{Account: c.account, Key: c.key, Actor: c.principal.Actor}
	if c.key != "" {
		request.Hash = contentHash(sent, operation...)
	}
	return request
}

// purchaseIn finds the purchase of the path.
func (c *call) purchaseIn(a *credit.Account) (*credit.Purchase, error) {
	id := c.r.PathValue("purchase")
	if p := a.Purchase(id); p != nil {
		return p, nil
	}
	return nil, unknownPurchase(id)
}
