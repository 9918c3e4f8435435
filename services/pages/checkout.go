package pages

import (
	"errors"
	"net/http"
	"net/url"

	"creditstream/services/look"
	"creditstream/services/purchases"
)

// checkoutPage is the page of the payment provider that moves no money. It belongs to another party: it
// knows the order, and nothing of the account's session.
type checkoutPage struct {
	look.Frame
	Pays, Paid                       bool
	Shop, Status, Price, Credits, ID string
	Invoice, Action, Back            string
	ByHand                           bool // this server lets a browser settle it
}

func (p *Pages) showCheckout(w http.ResponseWriter, r *http.Request) {
	if look.KeepLanguage(w, r) {
		return
	}
	page, err := p.checkout(r)
	switch {
	case errors.Is(err, errNoAccount):
		p.nothingHere(w, r)
	case err != nil:
		p.fault(w, r, err)
	default:
		if err := p.pages.Write(w, http.StatusOK, "checkout", page); err != nil {
			p.fault(w, r, err)
		}
	}
}

func (p *Pages) checkout(r *http.Request) (*checkoutPage, error) {
	t, err := p.cfg.Accounts.Tenant(r.PathValue("tenant"))
	if err != nil {
		return nil, errNoAccount
	}
	order, bought, err := p.cfg.Purchases.Order(t, r.PathValue("purchase"))
	if isRefusal(err) || err == nil && bought.Provider != purchases.SandboxName {
		return nil, errNoAccount
	}
	if err != nil {
		return nil, err
	}
	catalog := t.Books().Current()
	f := p.plainFrame(r, p.cfg.Look.Locale(look.Choose(r, catalog.Language), nil, p.texts).T("checkout.brand"), catalog.Language, "checkout.title")
	f.Switch = look.Languages()
	n := names{catalog, f.L}
	page := &checkoutPage{
		Frame: f, Pays: bought.Lot == "" && bought.Status != "failed", Paid: bought.Lot != "", Shop: catalog.Name,
		Status: f.L.T("purchase." + bought.Status), Price: f.L.Money(bought.Price), Credits: n.credits(bought.Credits), ID: bought.ID,
		Invoice: bought.InvoiceRef, ByHand: p.cfg.Dev,
		Action: checkoutPrefix + url.PathEscape(order.Tenant) + "/" + url.PathEscape(order.Purchase),
		Back:   basePath(order.Tenant, order.Account) + "/purchases/" + url.PathEscape(order.Purchase),
	}
	if page.Paid {
		page.Status = f.L.T("checkout.paid")
	}
	return page, nil
}
