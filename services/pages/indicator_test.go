package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"creditstream/services/credentials"
	"creditstream/services/internal/browser"
	"creditstream/services/node"
)

// elsewhere is the page of another site, which has one script tag of ours and a strict policy of its own.
func elsewhere(t *testing.T, w *world, token string) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Security-Policy", "default-src 'none'; script-src "+w.base+"; connect-src "+w.base+"; img-src data:")
		fmt.Fprintf(out, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Videos</title><link rel="icon" href="data:,"><main><h1>Videos</h1><p>Made by AI</p>
<script src="%s/embed/indicator.js" data-token="%s" defer></script></main></html>`, w.base, token)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// P8, P9: the indicator in another site's page shows available and consumed, the parts on a click, and
// changes by itself.
func indicator(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	a := w.open("adtech", "shop", `{"plan":"pro"}`)
	w.use(a, "dynamic_video", 3)
	w.use(a, "custom_image", 5)
	token := w.api("POST", a+"/tokens", `{"purpose":"widget","scopes":["read"]}`)["token"].(string)
	for i, guise := range browser.Guises() {
		tab := b.Tab(guise.Visitor)
		tab.Go(elsewhere(t, w, token))
		inside := `document.querySelector("creditstream-indicator").shadowRoot`
		says := func(words string) {
			t.Helper()
			tab.Until(inside + `?.textContent.includes(` + fmt.Sprintf("%q", words) + `)`)
		}
		says("available")
		tab.Run(inside + `.querySelector("button").click()`)
		tab.Until(`!` + inside + `.getElementById("details").hidden`)
		says("Dynamic videos× 33")
		says("Custom images× 52.5")
		if i == 0 {
			says("2,494.5 available")
			says("5.5 consumed")
			w.use(a, "feed_optimization", 50)
			says("6.5 consumed")
			says("Feed optimization× 501")
		}
		tab.Screenshot("indicator-"+guise.Name, false)
		tab.Axe()
		tab.Fits()
	}
}

// A browser gives the indicator's answer only to sites that the catalog names; the token is of one account,
// of purpose widget, and ends.
func TestIndicatorIsForNamedSites(t *testing.T) {
	w := guardedWorld(t)
	w.restart(func(c *node.Config) { c.Dev = true })
	w.publish("wanclouds", "\nindicator: {origins: [https://app.example.com]}\n")
	w.restart(func(c *node.Config) { c.Dev, c.Catalogs = false, "" })
	widget := credentials.AccountToken{Tenant: "wanclouds", Account: "acme", Purpose: credentials.Widget, Scopes: credentials.ScopesOf(credentials.Read)}
	good := w.token(t, widget)
	page := widget
	page.Purpose = credentials.Page
	for _, c := range []struct {
		name, path, origin, token string
		status                    int
		readable                  bool
	}{
		{"a site that is named", "/embed/wanclouds/acme", "https://app.example.com", good, 200, true},
		{"a site that is not", "/embed/wanclouds/acme", "https://evil.example", good, 403, false},
		{"one that looks like it", "/embed/wanclouds/acme", "https://app.example.com.evil.example", good, 403, false},
		{"this machine, outside development", "/embed/wanclouds/acme", "http://localhost:3000", good, 403, false},
		{"no token", "/embed/wanclouds/acme", "https://app.example.com", "", 401, true},
		{"a token of the page", "/embed/wanclouds/acme", "https://app.example.com", w.token(t, page), 401, true},
		{"another account", "/embed/wanclouds/other", "https://app.example.com", good, 401, true},
		{"another tenant", "/embed/tecpet/clinic-7", "https://app.example.com", good, 403, false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", w.base+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", c.origin)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		got := newVisitor(t).read(http.DefaultClient.Do(r))
		if got.status != c.status || (got.header.Get("Access-Control-Allow-Origin") == c.origin) != c.readable {
			t.Errorf("%s: answered with %d, readable by %q", c.name, got.status, got.header.Get("Access-Control-Allow-Origin"))
		}
		if got.header.Get("Access-Control-Allow-Credentials") != "" || got.status != http.StatusOK && strings.Contains(got.text, "10,000,000") {
			t.Errorf("%s: tells too much: %s", c.name, got.text)
		}
	}
	if err := w.clock().Set(noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.base+"/embed/wanclouds/acme", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+good)
	if got := newVisitor(t).read(http.DefaultClient.Do(r)); got.status != http.StatusUnauthorized {
		t.Errorf("a token that ended is answered with %d", got.status)
	}
}
