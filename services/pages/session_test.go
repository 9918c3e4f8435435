package pages_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"creditstream/services/credentials"
	"creditstream/services/node"
)

// visitor is a browser without a screen: it keeps cookies and follows redirects.
type visitor struct {
	t      *testing.T
	client *http.Client
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar}}
}

// seen is what a visitor got.
type seen struct {
	status int
	at     string
	text   string
	header http.Header
}

func (v *visitor) read(response *http.Response, err error) seen {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return seen{response.StatusCode, response.Request.URL.RequestURI(), string(text), response.Header}
}

func (v *visitor) get(address string) seen {
	v.t.Helper()
	return v.read(v.client.Get(address))
}

func (v *visitor) post(address string, form url.Values) seen {
	v.t.Helper()
	return v.read(v.client.PostForm(address, form))
}

// guardedWorld is a server that takes nobody for the operator, with an account of two tenants each.
func guardedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.clinic("clinic-7")
	w.open("wanclouds", "acme", `{"plan":"pro"}`)
	w.open("wanclouds", "other", `{"plan":"pro"}`)
	w.restart(func(c *node.Config) { c.Dev, c.AllowSandbox = false, true })
	return w
}

func (w *world) token(t *testing.T, token credentials.AccountToken) string {
	t.Helper()
	token.Actor = "test"
	if token.Scopes == 0 {
		token.Scopes = credentials.ScopesOf(credentials.Read, credentials.Purchase)
	}
	text, _, err := w.node.Credentials().MintToken(token, w.node.Accounts().Clock().Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A token opens one account's page, in one browser, until it ends; and the address is rid of it at once.
func TestSession(t *testing.T) {
	w := guardedWorld(t)
	v := newVisitor(t)
	acme := credentials.AccountToken{Tenant: "wanclouds", Account: "acme", Purpose: credentials.Page}
	if got := v.get(w.page("wanclouds", "acme")); got.status != http.StatusUnauthorized || !strings.Contains(got.text, "This link has ended") {
		t.Errorf("without a token the page is answered with %d", got.status)
	}
	text := w.token(t, acme)
	got := v.get(w.page("wanclouds", "acme") + "?type=usage&token=" + text)
	if got.status != http.StatusOK || got.at != "/t/wanclouds/a/acme?type=usage" {
		t.Errorf("with a token the page is %d at %s", got.status, got.at)
	}
	if policy := got.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the page's policy is %q", policy)
	}
	if strings.Contains(got.text, text) {
		t.Error("the page holds the token")
	}
	for name, address := range map[string]string{
		"another account":        w.page("wanclouds", "other"),
		"another tenant":         w.page("tecpet", "acme"),
		"its token elsewhere":    w.page("wanclouds", "other") + "?token=" + text,
		"a token of the widget":  w.page("wanclouds", "other") + "?token=" + w.token(t, credentials.AccountToken{Tenant: "wanclouds", Account: "other", Purpose: credentials.Widget}),
		"a token that is forged": w.page("wanclouds", "other") + "?token=" + text[:len(text)-4] + "AAAA",
	} {
		if got := v.get(address); got.status != http.StatusUnauthorized {
			t.Errorf("%s: answered with %d", name, got.status)
		}
	}
	if got := v.get(w.page("wanclouds", "acme")); got.status != http.StatusOK {
		t.Errorf("the session was lost: %d", got.status)
	}
	if err := w.clock().Set(noon.Add(16 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := v.get(w.page("wanclouds", "acme")); got.status != http.StatusUnauthorized {
		t.Errorf("after the token's end the page is answered with %d", got.status)
	}
}

// Who may only read is offered nothing to buy, and buys nothing.
func TestReadOnlySession(t *testing.T) {
	w := guardedWorld(t)
	v := newVisitor(t)
	page := w.page("wanclouds", "acme")
	got := v.get(page + "?token=" + w.token(t, credentials.AccountToken{Tenant: "wanclouds", Account: "acme", Purpose: credentials.Page, Scopes: credentials.ScopesOf(credentials.Read)}))
	if got.status != http.StatusOK || strings.Contains(got.text, "/buy") {
		t.Errorf("a session that may only read is offered to buy (%d)", got.status)
	}
	got = v.post(page+"/buy", url.Values{"key": {"01a20126-0f62-7d00-b2d0-cfa6a72ede7a"}, "choice": {"usd-100"}})
	if !strings.Contains(got.text, "Credits are not for sale here") {
		t.Errorf("a session that may only read asked to buy, and got %d %.300s", got.status, got.text)
	}
}

// T13: the code opens the page for the session that it was given in, and nothing else passes for it.
func TestCodeOpensOneSession(t *testing.T) {
	w := guardedWorld(t)
	clinic := credentials.AccountToken{Tenant: "tecpet", Account: "clinic-7", Purpose: credentials.Page}
	page := w.page("tecpet", "clinic-7")
	manager, clerk := newVisitor(t), newVisitor(t)
	another := clinic
	another.Expires = noon.Add(20 * time.Minute)
	clerk.get(page + "?token=" + w.token(t, another))
	if got := manager.get(page + "?token=" + w.token(t, clinic)); !strings.Contains(got.text, `id="code"`) || strings.Contains(got.text, "remaining") {
		t.Fatalf("the page does not ask for the code: %d", got.status)
	}
	for _, part := range []string{"", "/card", "/history", "/history/new?since=1.0", "/usage", "/buy", "/quote?amount=5", "/purchases/x"} {
		if got := manager.get(page + part); strings.Contains(got.text, "remaining") || strings.Contains(got.text, "Recarga") {
			t.Errorf("%q shows something without the code", part)
		}
	}
	if got := manager.post(page+"/code", url.Values{"code": {"482913"}}); got.status != http.StatusOK || !strings.Contains(got.text, `id="remaining"`) {
		t.Fatalf("the right code is answered with %d", got.status)
	}
	if got := clerk.get(page); !strings.Contains(got.text, `id="code"`) {
		t.Error("the code opened another browser's page")
	}
	// The cookie of the code does not open the session of another.
	at, err := url.Parse(w.base + "/t/")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range manager.client.Jar.Cookies(at) {
		if strings.HasSuffix(c.Name, "_code") {
			c.Path = "/t/"
			clerk.client.Jar.SetCookies(at, []*http.Cookie{c})
		}
	}
	if got := clerk.get(page); !strings.Contains(got.text, `id="code"`) {
		t.Error("the code's cookie opened the session of somebody else, who has a token of his own")
	}
	if got := manager.post(page+"/lock", nil); !strings.Contains(got.text, `id="code"`) {
		t.Error("the page cannot be locked again")
	}
}

// Another site's page cannot buy through a visitor's browser.
func TestForgedForm(t *testing.T) {
	w := guardedWorld(t)
	v := newVisitor(t)
	page := w.page("wanclouds", "acme")
	v.get(page + "?token=" + w.token(t, credentials.AccountToken{Tenant: "wanclouds", Account: "acme", Purpose: credentials.Page}))
	r, err := http.NewRequestWithContext(t.Context(), "POST", page+"/buy", strings.NewReader("choice=usd-100"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://elsewhere.example")
	if got := v.read(v.client.Do(r)); got.status != http.StatusForbidden {
		t.Errorf("a form from elsewhere is answered with %d", got.status)
	}
}

// A form that is sent twice buys once.
func TestFormSentTwice(t *testing.T) {
	w := newWorld(t)
	w.open("wanclouds", "acme", `{"plan":"pro","payment_method":{"brand":"Visa","last4":"4242"}}`)
	v := newVisitor(t)
	form := url.Values{"key": {"01a20126-0f62-7d00-b2d0-cfa6a72ede7a"}, "choice": {"usd-100"}}
	first, second := v.post(w.page("wanclouds", "acme")+"/buy", form), v.post(w.page("wanclouds", "acme")+"/buy", form)
	if first.status != http.StatusOK || first.at != second.at || !strings.Contains(first.at, "/purchases/") {
		t.Errorf("the form leads to %s and to %s", first.at, second.at)
	}
	form.Set("choice", "usd-500")
	if got := v.post(w.page("wanclouds", "acme")+"/buy", form); !strings.Contains(got.text, "This form was sent already") {
		t.Errorf("the form with another pack is answered with %d", got.status)
	}
}

// Refusals are in plain words and say what to do next, in the tenant's words where it has some.
func TestRefusalsInPlainWords(t *testing.T) {
	w := newWorld(t)
	w.open("wanclouds", "free", `{"plan":"free","payment_method":{"brand":"Visa","last4":"4242"}}`)
	w.open("wanclouds", "cardless", `{"plan":"pro"}`)
	w.open("adtech", "plain", `{"plan":"standard"}`)
	w.open("tecpet", "base", `{"plan":"base"}`)
	used := w.open("adtech", "used", `{"plan":"pro"}`)
	w.use(used, "dynamic_video", 2500)
	v := newVisitor(t)
	for _, c := range []struct{ path, says string }{
		{"/t/wanclouds/a/free/buy", "Upgrade to a paid plan under Settings → Billing &amp; Subscription to buy credits."},
		{"/t/wanclouds/a/cardless/buy", "Buying needs a saved payment method"},
		{"/t/adtech/a/plain", "Ask your account executive about the Pro plan."},
		{"/t/adtech/a/used", "Your credits are used up"},
		{"/t/adtech/a/used", "Ask your account executive for additional credits."},
		{"/t/adtech/a/used", "New credits come on 10 Apr 2026."},
		{"/t/tecpet/a/base", "Nenhum código do gestor está definido nesta conta"},
	} {
		if got := v.get(w.base + c.path); !strings.Contains(got.text, c.says) {
			t.Errorf("%s does not say %q:\n%s", c.path, c.says, got.text[max(0, strings.Index(got.text, "<main")):])
		}
	}
}

// An amount is read as people write it in the page's language, and computed by the rules.
func TestQuote(t *testing.T) {
	w := newWorld(t)
	w.open("wanclouds", "acme", `{"plan":"pro"}`)
	v := newVisitor(t)
	for _, c := range []struct{ lang, amount, says string }{
		{"en", "5", "400,000 credits"},
		{"en", "1,234.56", "98,764,800 credits"},
		{"en", "0.01", "Enter an amount from $5.00"},
		{"en", "5.001", "Enter an amount from $5.00"},
		{"en", "12,34", "Enter an amount from $5.00"},
		{"en", "-10", "Enter an amount from $5.00"},
		{"en", "1e3", "Enter an amount from $5.00"},
		{"en", "10000.01", "Enter an amount from $5.00"},
		{"pt", "1.234,56", "98.764.800 créditos"},
		{"pt", "1234,56", "98.764.800 créditos"},
		{"pt", "12.34", "Informe um valor"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", w.page("wanclouds", "acme")+"/quote?amount="+url.QueryEscape(c.amount), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Language", c.lang)
		if got := v.read(v.client.Do(r)); !strings.Contains(got.text, c.says) {
			t.Errorf("%s in %s is answered with %q, want %q", c.amount, c.lang, got.text, c.says)
		}
	}
}
