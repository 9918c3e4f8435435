package pages

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/look"
	"creditstream/services/purchases"
	"creditstream/services/rules"
)

// buying is the form: packs to choose from, an amount of one's own, the code.
type buying struct {
	look.Frame
	Base     string
	Key      string // the purchase's idempotency key: sent twice, the form buys once
	Packs    []packChoice
	TopUp    *topUp
	Custom   bool // the amount of one's own is chosen
	Amount   string
	Quote    quote
	Approval bool
	TOTP     bool
	Method   string
	NoMethod bool // one is needed and missing
	Balance  string
	Refused  *refusal
	Fault    string // which field is at fault: code, amount or none
	Blocked  bool   // the account may not buy at all
}

// packChoice is a pack as it can be chosen.
type packChoice struct {
	ID, Credits, Unit, Price string
	Chosen                   bool
}

// topUp is the rule for an amount of one's own.
type topUp struct{ Symbol, Currency, Min, Max, Rate string }

// quote is what an amount of one's own buys, by the rules' own arithmetic.
type quote struct {
	L              *look.Locale
	Credits, Price string
	Fault          string
}

func showBuying(v *visit) error {
	return v.showForm(http.StatusOK, v.r.URL.Query().Get("pack"), "", nil)
}

// showForm shows the form, as it was filled in, with why it was refused.
func (v *visit) showForm(status int, pack, amount string, refused error) error {
	if !v.mayBuyHere() {
		f := v.frame("buy.title")
		text := v.L.T("buy.none")
		if r := rules.MayBuy(v.account, v.tenant.Books(), v.now); r != nil && r.Contact != "" {
			text = v.names.contact(v.account.Plan(), r.Contact)
		}
		return v.pages.Write(v.w, http.StatusOK, "said", message{f, "info", v.L.T("buy.none.title"), text})
	}
	key, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("name a purchase: %w", err)
	}
	page := buying{
		Frame: v.frame("buy.title"), Base: v.base, Key: key.String(), Amount: amount, Custom: amount != "" && pack == "", Quote: v.quote(amount),
		Approval: v.catalog.Approval.Buy != "" && v.catalog.Approval.Buy != rules.ApprovalOff,
		TOTP:     v.cfg.Credentials.Has(v.tenant.Name(), v.account.ID()) == credentials.KindTOTP,
		Method:   v.account.PaymentMethod().Label,
		Balance:  v.names.credits(rules.BalanceOf(v.account, v.tenant.Books(), v.now).Remaining),
	}
	page.offer(v, pack)
	if blocked := rules.MayBuy(v.account, v.tenant.Books(), v.now); blocked != nil {
		page.Blocked, page.Refused = true, v.refusalOf(blocked)
		status = http.StatusOK
	} else if refused != nil {
		page.Refused = v.refusalOf(refused)
		switch {
		case strings.HasPrefix(page.Refused.Code, "approval_"):
			page.Fault = "code"
		case page.Custom:
			page.Fault = "amount"
		}
	}
	return v.pages.Write(v.w, status, "buy", page)
}

func (b *buying) offer(v *visit, chosen string) {
	for i, p := range v.catalog.PackOrder {
		c := packChoice{ID: p.ID, Credits: v.names.amount(p.Credits), Unit: v.L.T("credits"), Price: v.L.Money(p.Price)}
		c.Chosen = p.ID == chosen || chosen == "" && !b.Custom && i == 0
		b.Packs = append(b.Packs, c)
	}
	if t := v.catalog.TopUp; t != nil {
		b.TopUp = &topUp{
			Symbol: v.L.Symbol(t.Currency), Currency: t.Currency, Min: v.L.Money(t.Min), Max: v.L.Money(t.Max),
			Rate: v.L.T("buy.rate", v.names.credits(t.Rate), v.L.Money(oneWhole(t.Currency))),
		}
		b.Custom = b.Custom || len(b.Packs) == 0
	}
}

// oneWhole is one whole unit of a currency.
func oneWhole(currency string) credit.Money {
	money, err := rules.ParseMoney(currency, "1")
	if err != nil {
		return credit.Money{Currency: currency, Minor: 1}
	}
	return money
}

// typedMoney reads an amount as people type it in the page's language.
func (v *visit) typedMoney(text string) (credit.Money, error) {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' {
			return -1
		}
		return r
	}, text)
	group, point := ",", "."
	if v.L.Code == "pt" {
		group, point = ".", ","
	}
	whole, fraction, dotted := strings.Cut(text, point)
	if parts := strings.Split(whole, group); len(parts) > 1 {
		for i, p := range parts {
			// A separator of thousands stands before three digits, else it was meant as something else.
			if i > 0 && len(p) != 3 || i == 0 && (p == "" || len(p) > 3) {
				return credit.Money{}, errTyped
			}
		}
		whole = strings.Join(parts, "")
	}
	if dotted {
		whole += "." + fraction
	}
	money, err := rules.ParseMoney(v.catalog.TopUp.Currency, whole)
	if err != nil {
		return money, errTyped
	}
	return money, nil
}

// errTyped refuses what is no amount of money.
var errTyped = &rules.Refusal{Code: rules.CodeInvalid, Field: "topup.amount"}

// quote computes what an amount buys. Nothing typed is nothing wrong.
func (v *visit) quote(amount string) quote {
	q := quote{L: v.L}
	if strings.TrimSpace(amount) == "" || v.catalog.TopUp == nil {
		return q
	}
	money, err := v.typedMoney(amount)
	var credits credit.Amount
	if err == nil {
		credits, err = v.catalog.TopUp.Credits(money)
	}
	if err != nil {
		q.Fault = v.L.T("refused.amount", v.L.Money(v.catalog.TopUp.Min), v.L.Money(v.catalog.TopUp.Max))
		return q
	}
	q.Credits, q.Price = v.names.credits(credits), v.L.Money(money)
	return q
}

// showQuote answers while somebody types.
func showQuote(v *visit) error {
	amount := v.r.URL.Query().Get("amount")
	if len(amount) > 64 {
		amount = amount[:64]
	}
	return v.pages.Write(v.w, http.StatusOK, "quote", v.quote(amount))
}

// buy requests a purchase, and leads to its page, where it is confirmed.
func buy(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return v.showForm(http.StatusUnprocessableEntity, "", "", errTyped)
	}
	form := v.r.PostForm
	pack, amount, key := form.Get("choice"), "", form.Get("key")
	wanted := purchases.Wanted{
		Tenant: v.tenant, Account: v.account.ID(), Key: "page-" + key, Actor: v.principal.Actor, Code: strings.TrimSpace(form.Get("code")),
	}
	if _, err := uuid.Parse(key); err != nil || !v.mayBuyHere() {
		return v.showForm(http.StatusOK, pack, amount, nil)
	}
	if pack == "custom" && v.catalog.TopUp != nil {
		var err error
		pack, amount = "", form.Get("amount")
		if wanted.TopUp, err = v.typedMoney(amount); err != nil {
			return v.showForm(http.StatusUnprocessableEntity, "", amount, err)
		}
	}
	wanted.Pack = pack
	wanted.Hash = hashOf("buy", pack, wanted.TopUp.Currency, fmt.Sprint(wanted.TopUp.Minor))
	requested, err := v.cfg.Purchases.Request(v.ctx, wanted)
	if err != nil {
		if isRefusal(err) {
			return v.showForm(http.StatusForbidden, pack, amount, err)
		}
		return err
	}
	http.Redirect(v.w, v.r, v.base+"/purchases/"+requested.Purchase, http.StatusSeeOther)
	return nil
}

// hashOf is the content that an idempotency key is bound to.
func hashOf(parts ...string) credit.Hash {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	var hash credit.Hash
	copy(hash[:], h.Sum(nil))
	return hash
}

// do carries out a command on the account; none at all settles what is due.
func (v *visit) do(command rules.Command) accounts.Answer {
	return v.tenant.Do(v.ctx, accounts.Request{Account: v.account.ID(), Actor: v.principal.Actor, Command: command})
}

// purchasePage follows one purchase from its confirmation to its credits.
type purchasePage struct {
	look.Frame
	Base                          string
	ID, Status, Credits, Price    string
	Pack, Pool                    string
	Heading, Text                 string
	Icon, Kind                    string
	Method                        string // to be charged, masked; "" when the buyer pays at the provider's page
	Checkout                      string
	Confirms                      bool
	Waiting                       bool // the outcome is on its way
	Balance, PaysUntil, Requested string
	Receipt, Invoice              string
	Again                         bool
	Refused                       *refusal
}

func showPurchase(v *visit) error { return v.writePurchase(http.StatusOK, nil) }

func (v *visit) writePurchase(status int, refused error) error {
	p := v.account.Purchase(v.r.PathValue("purchase"))
	if p == nil {
		f := v.frame("purchase.title")
		return v.pages.Write(v.w, http.StatusNotFound, "said", message{f, "search", v.L.T("purchase.unknown"), v.L.T("purchase.unknown.text")})
	}
	page := purchasePage{
		Frame: v.frame("purchase.title"), Base: v.base, ID: p.ID, Status: p.Status, Credits: v.names.credits(p.Credits), Price: v.L.Money(p.Price),
		Pool: v.names.pool(p.Pool), Requested: v.L.Time(p.Requested), PaysUntil: v.L.Time(p.PaysUntil), Receipt: p.ReceiptURL, Invoice: p.InvoiceRef,
		Balance: v.names.credits(rules.BalanceOf(v.account, v.tenant.Books(), v.now).Remaining),
	}
	if pack := v.catalog.Packs[p.Pack]; pack != nil {
		page.Pack = v.names.pack(pack)
	}
	if refused != nil {
		page.Refused = v.refusalOf(refused)
	}
	if err := page.describe(v.ctx, v, p); err != nil {
		return err
	}
	return v.pages.Write(v.w, status, "purchase", page)
}

// describe says where the purchase stands and what can be done about it.
func (page *purchasePage) describe(ctx context.Context, v *visit, p *credit.Purchase) error {
	page.Icon, page.Heading, page.Text = "clock", v.L.T("purchase."+p.Status), v.L.T("purchase."+p.Status+".text")
	switch {
	case p.Lot != "" && p.Status == credit.Completed:
		page.Icon, page.Kind = "check", "good"
		page.Heading = v.L.T("purchase.completed", page.Credits)
	case p.Status == credit.Failed || p.Status == credit.Expired:
		page.Icon, page.Kind, page.Again = "alert", "bad", true
	case p.Status == credit.Processing:
		page.Waiting = true
	case p.Pays() && p.Status == credit.AwaitingPayment && v.account.PaymentMethod().Label != "":
		page.Method, page.Confirms = v.account.PaymentMethod().Label, true
		page.Text = v.L.T("purchase.confirm.text", page.Method)
	case p.Pays():
		var err error
		if page.Checkout, err = v.cfg.Purchases.CheckoutURL(ctx, v.tenant, v.account, p); err != nil {
			return fmt.Errorf("find the checkout of purchase %s: %w", p.ID, err)
		}
	}
	return nil
}

// confirm is the buyer's word that the saved method may be charged (W8).
func confirm(v *visit) error {
	if !v.mayBuyHere() {
		return v.writePurchase(http.StatusForbidden, &rules.Refusal{Code: rules.CodeForbidden})
	}
	id := v.r.PathValue("purchase")
	request := accounts.Request{Account: v.account.ID(), Actor: v.principal.Actor}
	if _, err := v.cfg.Purchases.Confirm(v.ctx, v.tenant, request, id); err != nil {
		if isRefusal(err) {
			return v.writePurchase(http.StatusForbidden, err)
		}
		return err
	}
	http.Redirect(v.w, v.r, v.base+"/purchases/"+id, http.StatusSeeOther)
	return nil
}
