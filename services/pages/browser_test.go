package pages_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"creditstream/services/internal/browser"
)

// TestInABrowser drives every flow of the page in one Chromium, each with a server of its own.
func TestInABrowser(t *testing.T) {
	b := browser.Start(t)
	for name, flow := range map[string]func(*testing.T, *browser.Browser){
		"every page":       everyPage,
		"buy with the PIN": buyWithPIN,
		"saved method":     savedMethod,
		"wrong code":       wrongCode,
		"lost connection":  lostConnection,
		"long history":     longHistory,
		"two languages":    twoLanguages,
		"indicator":        indicator,
	} {
		t.Run(name, func(t *testing.T) { flow(t, b.For(t)) })
	}
}

// month gives an account 24 days of use of each meter, more or less of it.
func (w *world) month(a string, meters ...string) {
	w.t.Helper()
	for day := range 24 {
		w.to(noon.AddDate(0, 0, day))
		for i, m := range meters {
			w.use(a, m, (day*(7+3*i)+i*11)%23+3, fmt.Sprintf(`,"description":"Campaign %d"`, day%4+1))
		}
	}
}

// everyPage looks at all pages of the three programmes, on a desktop and on a phone, in light colours and in
// dark ones: they are accessible, fit their window, and are quiet in the console.
func everyPage(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	w.clinic("clinic-7")
	cloud := w.open("wanclouds", "acme", `{"plan":"pro","payment_method":{"brand":"Visa","last4":"4242"}}`)
	w.bought("wanclouds", "acme", `{"pack":"usd-100"}`)
	shop := w.open("adtech", "shop", `{"plan":"pro"}`)
	w.open("adtech", "plain", `{"plan":"standard"}`)
	w.month(shop, "dynamic_video", "custom_image", "feed_optimization")
	w.use(cloud, "assistant_token", 2_400_000)
	w.api("POST", cloud+"/holds", `{"meter":"assistant_token","quantity":50000}`)
	w.api("POST", shop+"/grants", fmt.Sprintf(`{"pool":"extra","credits":"120.5","reason":"Sorry for the outage","kind":"goodwill","expires":%q}`, noon.AddDate(0, 0, 28).Format(time.RFC3339)))
	open := w.api("POST", account("wanclouds", "acme")+"/purchases", `{"pack":"usd-500"}`)["purchase"].(string)
	for _, guise := range browser.Guises() {
		tab := b.Tab(guise.Visitor)
		for _, page := range []struct{ name, path, see string }{
			{"adtech", "/t/adtech/a/shop", "#remaining"},
			{"adtech-usage", "/t/adtech/a/shop/usage", "[data-drawn] canvas"},
			{"adtech-standard", "/t/adtech/a/plain", "#remaining"},
			{"wanclouds", "/t/wanclouds/a/acme", "#remaining"},
			{"wanclouds-buy", "/t/wanclouds/a/acme/buy?pack=usd-500", `input[value="usd-500"]:checked`},
			{"wanclouds-confirm", "/t/wanclouds/a/acme/purchases/" + open, "#purchase form"},
			{"checkout", "/pay/sandbox/wanclouds/" + open, "#succeed"},
			{"gone", "/t/wanclouds/a/nobody", ".said"},
			{"code", "/t/tecpet/a/clinic-7", "#code"},
		} {
			tab.Go(w.base + page.path)
			tab.See(page.see)
			tab.Screenshot(page.name+"-"+guise.Name, true)
			tab.Axe()
			tab.Fits()
		}
		unlock(tab)
		tab.Run(`document.querySelector(".line details").open = true`)
		tab.Screenshot("tecpet-"+guise.Name, true)
		tab.Axe()
		tab.Fits()
	}
}

// T13, T14, T15: a second browser sees the credits of a purchase at once, and none of one that failed.
func buyWithPIN(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	w.clinic("clinic-7")
	watching := b.Tab(browser.Visitor{})
	watching.Go(w.page("tecpet", "clinic-7"))
	unlock(watching)
	watching.Says("#remaining", "45")
	watching.Run(`window.notReloaded = true`)

	buyer := b.Tab(browser.Visitor{Phone: true})
	buyer.Go(w.page("tecpet", "clinic-7"))
	unlock(buyer)
	choose := func(code string) {
		buyer.Go(w.page("tecpet", "clinic-7") + "/buy")
		buyer.Check(`input[value="pack-200"]`)
		buyer.Fill("#buy-code", code)
		buyer.Submit(`button[type="submit"]`)
	}
	choose("000000")
	buyer.Says(".notice.bad", "The code is not right")
	buyer.See(`input[value="pack-200"]:checked`)

	choose("482913")
	buyer.Arrives("/purchases/")
	buyer.Says("#purchase", "R$179.00")
	buyer.Submit("#pay")
	buyer.Arrives("/pay/sandbox/")
	buyer.Submit("#fail")
	buyer.Says("#pay-title", "The payment failed")
	buyer.Submit("#back")
	buyer.Says("#purchase", "Nothing was charged and no credits were added.")
	buyer.Says("#new-balance", "45 credits")

	choose("482913")
	buyer.Submit("#pay")
	buyer.Submit("#succeed")
	buyer.Says("#pay-title", "Payment complete")
	watching.Says("#remaining", "245")
	watching.Says("#lines", "Top-up for R$179.00")
	if !browser.Value[bool](watching, `window.notReloaded === true`) {
		t.Error("the second browser shows the purchase because it was loaded again")
	}
	buyer.Submit("#back")
	buyer.Says("#purchase-title", "200 credits added")
	buyer.Says("#new-balance", "245 credits")
	buyer.Screenshot("purchase-done", false)
	buyer.Axe()
}

// W3, W8, W4, W10: an amount of one's own, the saved method confirmed, the credits there without a reload.
func savedMethod(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	w.open("wanclouds", "acme", `{"plan":"pro","payment_method":{"brand":"Visa","last4":"4242"}}`)
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.page("wanclouds", "acme") + "/buy")
	tab.Check(`input[value="custom"]`)
	tab.Fill("#amount", "1.00")
	tab.Says("#quote", "Enter an amount from $5.00 to $10,000.00")
	tab.Fill("#amount", "250.50")
	tab.Says("#quote", "$250.50 = 20,040,000 credits")
	tab.Screenshot("wanclouds-custom", false)
	tab.Axe()
	tab.Submit(`button[type="submit"]`)
	tab.Says("#purchase", "Visa •••• 4242")
	tab.Submit("#purchase form button")
	tab.Says("#purchase-title", "Payment in progress")
	tab.Run(`window.notReloaded = true`)
	at := tab.Address()
	w.api("POST", "/v1/tenants/wanclouds/payments/sandbox/"+at[strings.LastIndex(at, "/")+1:]+"/succeed", "")
	tab.Says("#purchase-title", "20,040,000 credits added")
	tab.Says("#new-balance", "30,040,000 credits")
	if !browser.Value[bool](tab, `window.notReloaded === true`) {
		t.Error("the page was loaded again")
	}
	tab.Go(w.page("wanclouds", "acme"))
	tab.Says("#total", "30,040,000")
	tab.Click("#refresh") // nobody needs it
	tab.Says("#remaining", "30,040,000")
}

// T13: five wrong codes lock, a right one does not open then; it does 15 minutes later, for 15 minutes.
func wrongCode(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	w.clinic("clinic-7")
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.page("tecpet", "clinic-7") + "/usage")
	for range 5 {
		tab.Fill("#code", "111111")
		tab.Submit("form .button.primary")
		tab.Says(".notice.bad", "The code is not right")
	}
	tab.Fill("#code", "482913")
	tab.Submit("form .button.primary")
	tab.Says(".notice.bad", "Too many wrong codes: it is locked")
	tab.Says(".notice.bad", "It can be tried again at 09:15.") // in São Paulo
	tab.See("#code[disabled]")
	w.to(noon.Add(15 * time.Minute))
	tab.Go(w.page("tecpet", "clinic-7"))
	unlock(tab)
	w.to(noon.Add(30 * time.Minute))
	// What the page asks for by itself finds it locked, and the page says so.
	tab.Run(`htmx.trigger("#card", "refresh")`)
	tab.See("#code")
	tab.Faults() // the live connection of the page that was left may have said that it ended
}

// A page whose connection was cut says so, comes back by itself and shows what happened meanwhile.
func lostConnection(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	a := w.open("adtech", "shop", `{"plan":"pro"}`)
	cable := newCable(t, strings.TrimPrefix(w.base, "http://"))
	tab := b.Tab(browser.Visitor{})
	tab.Go("http://" + cable.address + "/t/adtech/a/shop")
	tab.Until(`document.documentElement.dataset.live === "open"`)
	tab.Run(`window.notReloaded = true`)
	w.use(a, "dynamic_video", 1)
	tab.Says("#remaining", "2,499")
	cable.cut()
	tab.Says("#live-state", "Connection lost. Reconnecting…")
	w.use(a, "dynamic_video", 99)
	cable.mend()
	tab.Says("#remaining", "2,400")
	tab.Says("#lines", "99 × Dynamic videos")
	tab.Until(`document.querySelector("#live-state").hidden`)
	if !browser.Value[bool](tab, `window.notReloaded === true`) {
		t.Error("the page was loaded again")
	}
	tab.Faults() // of a cable that was cut
}

// A hundred thousand lines: the page opens with the newest, more come as one scrolls, the oldest are one
// filter away.
func longHistory(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	a := w.open("wanclouds", "acme", `{"plan":"pro"}`)
	w.use(a, "assistant_token", 7, `,"description":"the very first"`)
	w.to(noon.AddDate(0, 0, 1))
	for batch := range 100 {
		var events strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&events, `,{"specversion":"1.0","id":"e%d-%d","source":"t","type":"creditstream.usage","subject":"acme","data":{"meter":"assistant_token","quantity":1}}`, batch, i)
		}
		w.batch("wanclouds", "["+events.String()[1:]+"]")
	}
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.page("wanclouds", "acme"))
	tab.Says("#used", "100,007")
	if n := tab.Count(".line"); n != 50 {
		t.Errorf("the page opens with %d lines, want 50", n)
	}
	for want := 100; want <= 200; want += 50 {
		tab.Run(`document.querySelector(".more").scrollIntoView()`)
		tab.Until(fmt.Sprintf(`document.querySelectorAll(".line").length >= %d`, want))
	}
	w.use(a, "assistant_token", 3)
	tab.Until(`document.querySelector(".line").textContent.includes("3 × AI Assistant")`)
	tab.Run(`scrollTo(0, 0)`)
	tab.Choose("#f-to", "2026-03-10")
	tab.Says("#lines", "the very first")
	if n := tab.Count(".line"); n > 5 {
		t.Errorf("%d lines are of the first day", n)
	}
	tab.Choose("#f-to", "")
	tab.Choose("#f-type", "hold")
	tab.Says("#lines", "Nothing matches these filters.")
}

// The language is the browser's, or the visitor's choice; the tenant's own words are its own.
func twoLanguages(t *testing.T, b *browser.Browser) {
	w := newWorld(t)
	w.clinic("clinic-7")
	tab := b.Tab(browser.Visitor{Language: "pt-PT,en;q=0.5"})
	tab.Go(w.page("tecpet", "clinic-7"))
	tab.Says("label", "Código de 6 dígitos do gestor")
	unlock(tab)
	tab.See(`html[lang="pt-BR"]`)
	tab.Says("#lines", "Recarga por R$ 49,00")
	tab.Says(".pools", "0 de 300 atendimentos")
	tab.Axe()
	tab.Submit(`a[hreflang="en"]`)
	tab.See(`html[lang="en"]`)
	tab.Says("h1", "Credits")
	tab.Says("#lines", "Top-up for R$49.00")
	tab.Says(".pools", "0 of 300 services")
}

// cable is a connection to a server that can be cut and mended.
type cable struct {
	address string
	mu      sync.Mutex
	isCut   bool
	ends    []net.Conn
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{address: listener.Addr().String()}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil || !c.plug(near, far) {
				near.Close()
				continue
			}
			done.Go(func() { io.Copy(far, near); far.Close() })
			done.Go(func() { io.Copy(near, far); near.Close() })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		c.cut()
		done.Wait()
	})
	return c
}

// plug reports whether the cable is whole.
func (c *cable) plug(near, far net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isCut {
		far.Close()
		return false
	}
	c.ends = append(c.ends, near, far)
	return true
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for _, end := range c.ends {
		end.Close()
	}
	c.ends = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = false
}
