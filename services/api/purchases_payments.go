package api

import (
	"errors"
	"net/http"

	"creditstream/services/credentials"
	"creditstream/services/purchases"
	"creditstream/services/rules"
)

// maxNotification is the size in bytes of a provider's notification.
const maxNotification = 64 << 10

func paymentRoutes() []route {
	sandbox := tenantPath + "/payments/" + purchases.SandboxName + "/{purchase}/"
	codes := []rules.Code{rules.CodeUnknownPurchase, rules.CodeForbidden}
	return []route{
		{
			// The signature is what proves who is calling.
			id: "notifyPayment", method: http.MethodPost, path: tenantPath + "/payments/{provider}", scope: open,
			summary: "A payment provider's notification, signed as in Standard Webhooks",
			detail:  "Taking it in again, late or out of order changes nothing.",
			answer:  Taken{}, codes: []rules.Code{
				codeUnauthenticated, rules.CodeUnknownPurchase, rules.CodePaymentMismatch, rules.CodeTooLarge, codeNotFound,
			},
			handle: notifyPayment,
		},
		{
			id: "succeedSandbox", method: http.MethodPost, path: sandbox + "succeed", scope: credentials.Admin, key: keyOptional,
			summary: "Settle a sandbox payment by hand: paid", detail: "Answers when the credits are there. With `--dev` or `--allow-sandbox` only.",
			answer: Purchase{}, codes: codes, handle: func(c *call) (reply, error) { return settleSandbox(c, purchases.Succeeded) },
		},
		{
			id: "failSandbox", method: http.MethodPost, path: sandbox + "fail", scope: credentials.Admin, key: keyOptional,
			summary: "Settle a sandbox payment by hand: declined", detail: "With `--dev` or `--allow-sandbox` only.",
			answer: Purchase{}, codes: codes, handle: func(c *call) (reply, error) { return settleSandbox(c, purchases.Declined) },
		},
		{
			id: "disputeSandbox", method: http.MethodPost, path: sandbox + "dispute", scope: credentials.Admin, key: keyOptional,
			summary: "Let the bank of a sandbox payment take the money back", detail: "With `--dev` or `--allow-sandbox` only.",
			answer: Purchase{}, codes: codes, handle: func(c *call) (reply, error) { return settleSandbox(c, purchases.Disputed) },
		},
	}
}

// Taken is the answer to a notification.
type Taken struct {
	Status string `json:"status" enum:"taken"`
}

func notifyPayment(c *call) (reply, error) {
	body, err := c.text(maxNotification)
	if err != nil {
		return reply{}, err
	}
	err = c.cfg.Purchases.Notify(c.ctx, c.tenant, c.r.PathValue("provider"), c.r.Header, body)
	switch {
	case errors.Is(err, purchases.ErrSignature):
		return reply{}, &rules.Refusal{Code: codeUnauthenticated, Detail: err.Error()}
	case errors.Is(err, purchases.ErrUnknownProvider):
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: err.Error()}
	case err != nil:
		return reply{}, err
	}
	return ok(Taken{Status: "taken"})
}

// settleSandbox has the sandbox send its word about a purchase, and shows what came of it.
func settleSandbox(c *call, state purchases.State) (reply, error) {
	sandbox, err := c.sandbox()
	if err != nil {
		return reply{}, err
	}
	order, _, err := c.cfg.Purchases.Order(c.tenant, c.r.PathValue("purchase"))
	if err != nil {
		return reply{}, err
	}
	if err := sandbox.Settle(c.ctx, order, state); err != nil {
		return reply{}, notTaken(err)
	}
	a, _, at, err := c.tenant.Account(order.Account)
	if err != nil {
		return reply{}, err
	}
	p, err := c.purchaseIn(a)
	if err != nil {
		return reply{}, err
	}
	return replyOf(c.purchaseOf(a, p, at))
}

// sandbox is the provider that can be settled by hand (RULES.md "duties").
func (c *call) sandbox() (*purchases.Sandbox, error) {
	if c.cfg.Sandbox == nil || !c.cfg.Dev && !c.cfg.AllowSandbox {
		return nil, forbidden("sandbox payments are settled on servers that run with --dev or --allow-sandbox")
	}
	return c.cfg.Sandbox, nil
}

// notTaken passes on why the server did not take a notification of the sandbox.
func notTaken(err error) error {
	var rejected *purchases.Rejected
	if errors.As(err, &rejected) {
		if row, known := statusOf[rejected.Code]; known && row.status < http.StatusInternalServerError {
			return &rules.Refusal{Code: rejected.Code, Detail: rejected.Detail}
		}
	}
	return err
}
