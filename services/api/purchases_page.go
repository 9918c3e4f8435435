package api

import (
	"net/http"
	"net/url"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/purchases"
	"creditstream/services/rules"
)

// sandboxPage is where the sandbox's checkout_url leads; services/pages shows it.
const sandboxPage = "/pay/sandbox/{tenant}/{purchase}"

func checkoutRoutes() []route {
	return []route{
		{
			id: "sandboxPay", method: http.MethodPost, path: sandboxPage + "/{outcome}", scope: credentials.Admin,
			summary: "A button of the sandbox's checkout page", codes: []rules.Code{codeNotFound}, handle: pressCheckout,
		},
	}
}

// checkoutOrder finds what the page is about. It is outside the tenant's paths: a buyer has no key.
func (c *call) checkoutOrder() (*accounts.Tenant, purchases.Order, *credit.Purchase, error) {
	gone := &rules.Refusal{Code: codeNotFound, Detail: "there is no such checkout"}
	t, err := c.cfg.Accounts.Tenant(c.r.PathValue("tenant"))
	if err != nil || c.cfg.Sandbox == nil {
		return nil, purchases.Order{}, nil, gone
	}
	order, p, err := c.cfg.Purchases.Order(t, c.r.PathValue("purchase"))
	if err == nil && p.Provider != purchases.SandboxName {
		err = gone
	}
	return t, order, p, err
}

func pressCheckout(c *call) (reply, error) {
	_, order, _, err := c.checkoutOrder()
	if err != nil {
		return reply{}, err
	}
	sandbox, err := c.sandbox()
	if err != nil {
		return reply{}, err
	}
	state := purchases.Succeeded
	switch c.r.PathValue("outcome") {
	case "pay":
	case "fail":
		state = purchases.Declined
	default:
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: "there is no such button"}
	}
	if err := sandbox.Settle(c.ctx, order, state); err != nil {
		return reply{}, notTaken(err)
	}
	http.Redirect(c.w, c.r, checkoutPath(order), http.StatusSeeOther)
	return reply{status: http.StatusSeeOther, written: true}, nil
}

func checkoutPath(o purchases.Order) string {
	return "/pay/sandbox/" + url.PathEscape(o.Tenant) + "/" + url.PathEscape(o.Purchase)
}
