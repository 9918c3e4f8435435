package look_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"creditstream/events/credit"
	"creditstream/services/internal/browser"
	"creditstream/services/look"
)

// sample is a page with every part of the design.
const sample = `{{define "sample"}}{{template "head" .}}
<div class="head"><div><h1>Sample</h1><p>A page with every part</p></div><button class="button primary">{{icon "plus"}} Primary</button></div>
{{template "tabs" .}}
<div class="stack">
<div class="notice"><div><p><strong>Plain</strong></p><p class="muted">Something <a href="#x">to read</a></p></div></div>
<div class="notice good">{{icon "check"}}<div><p><strong>Good</strong></p><p class="muted">It worked</p></div></div>
<div class="notice warn">{{icon "alert"}}<div><p><strong>Careful</strong></p><p class="muted">It ends soon</p></div></div>
<div class="notice bad">{{icon "alert"}}<div><p><strong>Bad</strong></p><p class="muted">It failed</p></div></div>
<section class="card" aria-labelledby="x"><header><h2 id="x">Card</h2><span class="row"><span class="badge">plain</span><span class="badge good">good</span><span class="badge warn">warn</span><span class="badge bad">bad</span><span class="badge accent">accent</span></span></header>
<div class="body stack"><p>Text <span class="muted">muted</span> <span class="faint">faint</span> <span class="good">good</span> <span class="warn">warn</span> <span class="bad">bad</span> <a href="#x">link</a></p>
<div class="row"><button class="button">Button</button><button class="button danger">Danger</button><button class="button plain">Plain</button></div>
<div class="field"><label for="f">Field</label><input class="input" id="f" placeholder="placeholder"><p class="hint">A hint</p></div>
<fieldset class="choices"><legend class="label">Choose</legend>
<label class="choice"><input type="radio" name="c" checked><span class="face"><span class="big">One</span><span class="muted">first</span></span></label>
<label class="choice"><input type="radio" name="c"><span class="face"><span class="big">Two</span><span class="muted">second</span></span></label></fieldset>
<figure data-chart="bars"><div class="chart"></div><details class="fold"><summary>{{icon "chevron"}} As a table</summary><div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="table"><thead><tr><th scope="col">Day</th><th scope="col" data-series>Stickers</th></tr></thead>
<tbody><tr data-at="1773100800"><th scope="row">10 Mar</th><td class="num" data-value="3">3</td></tr><tr data-at="1773187200"><th scope="row">11 Mar</th><td class="num" data-value="5">5</td></tr></tbody></table></div></details></figure>
</div><footer>Footer</footer></section>
</div>
{{template "foot" .}}{{end}}`

// serve serves the sample.
func serve(t *testing.T) string {
	t.Helper()
	l, err := look.New()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := l.Pages(fstest.MapFS{"t/sample.html": {Data: []byte(sample)}}, "t", nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(look.AssetPath, l.Handler())
	mux.Handle("/", look.Secure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if look.KeepLanguage(w, r) {
			return
		}
		locale := l.Locale(look.Choose(r, "en"), time.UTC, nil)
		frame := look.Frame{L: locale, Title: "Sample", Brand: "Look", Home: "/", Charts: true, Switch: look.Languages(), Tabs: []look.Tab{{"One", "/", true}, {"Two", "/two", false}}}
		if err := pages.Write(w, http.StatusOK, "sample", frame); err != nil {
			t.Error(err)
		}
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// The parts that all pages are made of are readable in both schemes, load nothing that the policy forbids,
// and draw their charts.
func TestEveryPart(t *testing.T) {
	url := serve(t)
	b := browser.Start(t)
	for name, visitor := range map[string]browser.Visitor{
		"look-light": {}, "look-dark": {Dark: true}, "look-phone": {Phone: true},
	} {
		tab := b.Tab(visitor)
		tab.Go(url)
		tab.See("figure[data-drawn='2'] canvas")
		tab.Screenshot(name, true)
		tab.Axe()
		if browser.Value[bool](tab, `document.documentElement.scrollWidth > innerWidth`) {
			t.Errorf("%s: the page is wider than its window", name)
		}
	}
}

// A visitor's choice of language outlives the page it was made on.
func TestSwitchingTheLanguage(t *testing.T) {
	url := serve(t)
	tab := browser.Start(t).Tab(browser.Visitor{Language: "fr-FR,pt;q=0.5"})
	tab.Go(url)
	tab.See(`html[lang="pt-BR"]`)
	tab.Click(`a[hreflang="en"]`)
	tab.See(`html[lang="en"]`)
	if at := tab.Address(); strings.Contains(at, "lang=") {
		t.Errorf("after the switch the address is %s", at)
	}
	tab.Go(url)
	tab.See(`html[lang="en"]`)
}

// What another site's page asks for through a visitor's browser is refused, and every answer says what it
// may load.
func TestHeaders(t *testing.T) {
	served := look.Secure(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, c := range []struct {
		method, header, value string
		status                int
	}{
		{"POST", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"POST", "Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{"POST", "Origin", "https://elsewhere.example", http.StatusForbidden},
		{"POST", "Sec-Fetch-Site", "same-origin", http.StatusNoContent},
		{"GET", "Sec-Fetch-Site", "cross-site", http.StatusNoContent},
	} {
		r := httptest.NewRequest(c.method, "http://here.example/x", nil)
		r.Header.Set(c.header, c.value)
		w := httptest.NewRecorder()
		served.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s with %s: %s is answered with %d, want %d", c.method, c.header, c.value, w.Code, c.status)
		}
		if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("the policy is %q", policy)
		}
	}
}

func TestWords(t *testing.T) {
	l, err := look.New()
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	en, pt := l.Locale(look.Languages()[0], zone, nil), l.Locale(look.Languages()[1], zone, nil)
	at := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC) // still February in São Paulo
	for _, c := range []struct{ got, want string }{
		{en.Amount(1_234_567_500_000, 6), "1,234,567.5"},
		{pt.Amount(1_234_567_500_000, 6), "1.234.567,5"},
		{en.Amount(999_000_000, 6), "999"},
		{en.Signed(2_000_000, 6), "+2"},
		{pt.Signed(-2_500_000, 6), "−2,5"},
		{en.Signed(0, 6), "0"},
		{en.Money(credit.Money{Currency: "USD", Minor: 123450}), "$1,234.50"},
		{pt.Money(credit.Money{Currency: "BRL", Minor: 4900}), "R$\u00a049,00"},
		{pt.Money(credit.Money{Currency: "JPY", Minor: 12000}), "JP¥\u00a012.000"},
		{en.Money(credit.Money{Currency: "CHF", Minor: 1200}), "CHF\u00a012.00"},
		{en.Time(at), "28 Feb 2026, 23:30"},
		{pt.Day(at), "28 de fev. de 2026"},
		{en.Until(at, at.Add(time.Hour)), "in 1 hour"},
		{en.Until(at, at.Add(30*time.Minute)), "in 31 minutes"},
		{en.Until(at, at.AddDate(0, 0, 6)), "in 6 days"},
		{en.Until(at, at.Add(25*time.Hour)), "in 2 days"}, // from 23:30 over two midnights
		{pt.Until(at, at.AddDate(1, 0, 0)), "em 12 meses"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
