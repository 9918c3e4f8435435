package api

import (
	"html/template"
	"net/http"
	"net/url"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/purchases"
	"creditstream/services/rules"
)

// sandboxPage is where the sandbox's checkout_url leads.
const sandboxPage = "/pay/sandbox/{tenant}/{purchase}"

func checkoutRoutes() []route {
	return []route{
		{
			id: "sandboxCheckout", method: http.MethodGet, path: sandboxPage, scope: open,
			summary: "The sandbox's checkout page", codes: []rules.Code{codeNotFound}, handle: showCheckout,
		},
		{
			id: "sandboxPay", method: http.MethodPost, path: sandboxPage + "/{outcome}", scope: credentials.Admin,
			summary: "A button of the sandbox's checkout page", codes: []rules.Code{codeNotFound}, handle: pressCheckout,
		},
	}
}

var checkoutPage = template.Must(template.New("checkout").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox checkout</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 26rem; margin: 12vh auto; padding: 0 1.25rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1.5rem; margin: 1.5rem 0 }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.buttons { display: flex; gap: .75rem }
form { flex: 1 }
button { font: inherit; width: 100%; padding: .6rem; border: 1px solid; border-radius: .5rem; cursor: pointer; background: transparent; color: inherit }
.pay { background: #1a7f37; border-color: #1a7f37; color: #fff }
small { opacity: .75 }
</style>
<main>
<h1>{{if .Pays}}Pay {{.Price}}{{else}}This purchase is {{.Status}}{{end}}</h1>
<dl>
<dt>Credits</dt><dd>{{.Credits}}</dd>
<dt>Price</dt><dd>{{.Price}}</dd>
<dt>Purchase</dt><dd>{{.Purchase}}</dd>
{{with .Invoice}}<dt>Invoice</dt><dd>{{.}}</dd>{{end}}
</dl>
{{if .Pays}}<div class="buttons">
<form method="post" action="{{.Action}}/pay"><button class="pay">Pay</button></form>
<form method="post" action="{{.Action}}/fail"><button>Decline</button></form>
</div>{{end}}
<p><small>Sandbox: no money is moved.</small></p>
</main>
</html>
`))

type checkout struct {
	Pays                                              bool
	Status, Price, Credits, Purchase, Invoice, Action string
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

func showCheckout(c *call) (reply, error) {
	t, order, p, err := c.checkoutOrder()
	if err != nil {
		return reply{}, err
	}
	header := c.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Referrer-Policy", "same-origin")
	page := checkout{
		Pays: p.Lot == "" && p.Status != credit.Failed, Status: p.Status, Price: p.Price.Currency + " " + rules.FormatMoney(p.Price),
		Credits: p.Credits.Format(scaleOf(t)), Purchase: p.ID, Invoice: p.InvoiceRef, Action: checkoutPath(order),
	}
	if err := checkoutPage.Execute(c.w, page); err != nil {
		c.log.Debug("send a checkout page", "error", err)
	}
	return reply{status: http.StatusOK, written: true}, nil
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
