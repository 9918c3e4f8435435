package console_test

import (
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/usage"
	"creditstream/services/internal/browser"
)

// TestFlows drives the console as people do, in one browser. The steps share a server.
func TestFlows(t *testing.T) {
	b := browser.Start(t)
	w := filled(t)
	t.Run("sign in", func(*testing.T) { signIn(b, w) })
	t.Run("grant twice is one lot", func(*testing.T) { grantTwice(t, b, w) })
	t.Run("revoke and reverse", func(*testing.T) { takeBack(t, b, w) })
	t.Run("publish", func(*testing.T) { publishing(b, w) })
	t.Run("tail", func(*testing.T) { tailing(b, w) })
	t.Run("rebuild", func(*testing.T) { rebuilding(t, b, w) })
	t.Run("verify", func(*testing.T) { verifying(b, w) })
	t.Run("make a key", func(*testing.T) { makingAKey(b, w) })
}

// signIn tries a poor key and a good one; the good one's session ends with the key.
func signIn(b *browser.Browser, w *world) {
	key, id := w.key("adtech", "carla", true, "read", "grant")
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/sign-in?next=" + url.QueryEscape("/admin/t/adtech/accounts?q=lumen"))
	tab.Fill("#apikey", strings.Replace(key, "cs_live_", "cs_live_x", 1))
	tab.Click("form button.primary")
	tab.Says("#apikey-fault", "not a valid key")
	tab.Faults() // the browser notes the 401
	tab.Fill("#apikey", key)
	tab.Click("form button.primary")
	tab.Arrives("/admin/t/adtech/accounts?q=lumen")
	tab.Says("tbody", "studio-lumen")
	tab.Gone("#nav-server") // nothing of the operator's
	tab.Go(w.url + "/admin/t/tecpet/accounts")
	tab.Says("main", "Not with this key")
	tab.Faults()
	tab.Go(w.url + "/admin/t/adtech/journal/live")
	tab.See("#tail-state.good")
	w.do("DELETE", "/v1/admin/keys/"+id, "", nil)
	tab.Says("#tail-state", "signed out")
	tab.Go(w.url + "/admin/t/adtech/accounts")
	tab.Arrives("/admin/sign-in")
}

// grantTwice grants with a double click, after a refusal that stands beside its field.
func grantTwice(t *testing.T, b *browser.Browser, w *world) {
	before := len(w.lots("adtech", "studio-lumen"))
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/t/adtech/accounts/studio-lumen")
	tab.Click(".head a.primary")
	tab.See("dialog[open] #g-credits")
	tab.Choose("#g-pool", "extra")
	tab.Fill("#g-credits", "-5")
	tab.Fill("#g-reason", "A double click")
	tab.Click("dialog button[type=submit]")
	tab.See("#g-credits[aria-invalid=true]")
	tab.See("#why-credits")
	tab.Faults() // the browser notes the 422
	tab.Axe()
	tab.Screenshot("flow-grant-refused", false)
	tab.Fill("#g-credits", "7.25")
	tab.Run(`document.querySelector("dialog button[type=submit]").click(); document.querySelector("dialog button[type=submit]")?.click()`)
	tab.Arrives("done=granted")
	tab.Says("main", "The credits were granted")
	lots := w.lots("adtech", "studio-lumen")
	if len(lots) != before+1 || lots[before].Remaining != "7.25" {
		t.Errorf("lots %+v, want one more of 7.25", lots)
	}
}

// takeBack revokes a lot and reverses a use.
func takeBack(t *testing.T, b *browser.Browser, w *world) {
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/t/adtech/accounts/studio-lumen")
	tab.Click(`#lot-l3 a[hx-get]`)
	tab.Says("dialog", "25 credits are left of the 25")
	tab.Click("dialog button[type=submit]")
	tab.See("#why-reason") // it needs one
	tab.Faults()
	tab.Fill("#r-reason", "Given by mistake")
	tab.Click("dialog button.danger")
	tab.Arrives("done=revoked")
	for _, lot := range w.lots("adtech", "studio-lumen") {
		if lot.Lot == "l3" && lot.Remaining != "0" {
			t.Errorf("lot l3 has %s left", lot.Remaining)
		}
	}
	tab.Go(w.url + "/admin/t/adtech/accounts/studio-lumen/history?type=usage&meter=dynamic_video")
	tab.Click(`tbody tr:first-child a[hx-get]`)
	tab.Fill("#v-units", "6")
	tab.Fill("#v-reason", "Rendered twice")
	tab.Click("dialog button.danger")
	tab.Arrives("done=reversed")
	tab.Says("tbody tr:first-child", "reversal")
	tab.Says("tbody tr:first-child", "+6")
}

// publishing writes a bad catalog and a good one.
func publishing(b *browser.Browser, w *world) {
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/t/tecpet/catalog/edit")
	tab.See(".con-gutter span")
	tab.Run(`document.querySelector("#source").value = document.querySelector("#source").value.replace("price: 49.00", "price: cheap")`)
	tab.Click("button[value=check]")
	tab.Says(".con-problems", "pack-50")
	tab.Faults()
	line := tab.Text(".con-gutter .wrong")
	tab.Says(".con-problems", "line "+line)
	tab.Axe()
	tab.Screenshot("flow-catalog-bad", false)
	tab.Run(`document.querySelector("#source").value = document.querySelector("#source").value.replace("price: cheap", "price: 59.00")`)
	tab.Click("button[value=check]")
	tab.Says(".notice", "pack pack-50")
	tab.Click("button[value=publish]")
	tab.Arrives("published=2")
	tab.Says("main", "Version 2 is in force")
	tab.Go(w.url + "/admin/t/tecpet/catalog/diff")
	tab.Says(".con-lines .new", "59")
}

// tailing follows the journal: an event that was made elsewhere shows; a lost connection comes back, and nothing
// that happened meanwhile is missing.
func tailing(b *browser.Browser, w *world) {
	line := newLine(w)
	tab := b.Tab(browser.Visitor{})
	tab.Go(line.url + "/admin/t/wanclouds/journal/live")
	tab.See("#tail-state.good")
	charge := func(n string) {
		w.do("POST", "/v1/tenants/wanclouds/accounts/northwind/usage", `{"meter":"assistant_token","quantity":`+n+`,"description":"call"}`, nil)
	}
	charge("111")
	tab.Says("#tail", "111 × assistant_token")
	line.cut()
	tab.Says("#tail-state", "reconnecting")
	charge("222")
	line.mend()
	tab.Says("#tail", "222 × assistant_token")
	tab.See("#tail-state.good")
	charge("333")
	tab.Says("#tail tr:first-child", "333 × assistant_token")
	tab.Until(`document.querySelectorAll("#tail tr").length === 3`)
	tab.Screenshot("flow-tail", false)
	tab.Go("about:blank")
	tab.Faults() // what the browser says of the cut
}

// rebuilding rebuilds a view that differs from its journal: it is shown, not switched, until that is accepted.
func rebuilding(t *testing.T, b *browser.Browser, w *world) {
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/views?tenant=adtech")
	tab.Click(`section[aria-labelledby=k-statement] tbody a[hx-get]`)
	tab.Says("dialog", "Rebuild statement")
	tab.Click("dialog button.primary")
	tab.See(`[data-task=ended]`)
	tab.Says("#task", "equal")
	tab.Says("#task", "switched")
	w.stop()
	spoil(t, w, "adtech")
	w.start()
	tab.Go(w.url + "/admin/views/rebuild?view=usage&tenant=adtech&shard=0")
	tab.Click(".con-ask button[type=submit]")
	tab.See(`[data-task=ended]`)
	tab.Says("#task", "1 differ")
	tab.Says("#task", "not switched")
	tab.Axe()
	tab.Screenshot("flow-rebuild-differs", true)
	tab.Click("#task a.danger")
	tab.Says("dialog", "replace them")
	tab.Click("dialog button.danger")
	tab.Until(`document.querySelector("[data-task=ended]") && !document.querySelector("#task a.danger")`)
	tab.Says("#task", "yes")
}

// spoil changes one record of a stopped server's usage view, and leaves its checkpoint as it was.
func spoil(t *testing.T, w *world, tenant string) {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: w.cfg.Data + "/views", View: usage.Fold{}.Name()})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.View(journal.Name{Tenant: tenant}, usage.Fold{}.Version())
	if err != nil {
		t.Fatal(err)
	}
	head, err := view.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	records, err := view.Iter([]byte{1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !records.Last() {
		t.Fatal("the view is empty")
	}
	value := append([]byte(nil), records.Value()...)
	value[len(value)-1] ^= 1
	batch := view.NewBatch()
	key := append([]byte(nil), records.Key()...)
	for _, err := range []error{batch.Put(append(batch.Key(), key...), value), records.Close(), batch.Commit(head), batch.Close(), store.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// verifying verifies everything: nothing is wrong.
func verifying(b *browser.Browser, w *world) {
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/verify")
	tab.Click("form.filters button[type=submit]")
	tab.See(`[data-task=ended]`)
	tab.Says("#task", "nothing found")
	tab.Says("#h-report", "Nothing is wrong")
	tab.Go(w.url + "/admin/views?tenant=adtech")
	tab.Says("#views", "all of it")
}

// makingAKey makes a key whose secret is shown once, and deletes it.
func makingAKey(b *browser.Browser, w *world) {
	tab := b.Tab(browser.Visitor{})
	tab.Go(w.url + "/admin/keys")
	tab.Click(".head a.primary")
	tab.Fill("#k-actor", "batch-runner")
	tab.Choose("#k-tenant", "tecpet")
	tab.Click("dialog button[type=submit]")
	tab.Says("#secret", "cs_live_")
	secret := tab.Text("#secret")
	tab.Click("dialog footer a.primary")
	tab.Says("tbody", "batch-runner")
	tab.Until(`!document.documentElement.innerHTML.includes(` + "`" + secret + "`" + `)`)
	w.visitor(secret) // it opens the console
	tab.Click(`tbody tr:last-child a[hx-get]`)
	tab.Click("dialog button.danger")
	tab.Says("#h-ended", "Ended")
}

// line is a connection to the server that can be cut: what goes through it is lost then, and nobody gets through.
type line struct {
	t        *testing.T
	url, to  string
	address  string
	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

func newLine(w *world) *line {
	w.t.Helper()
	l := &line{t: w.t, to: strings.TrimPrefix(w.url, "http://"), address: "127.0.0.1:0"}
	l.mend()
	l.url = "http://" + l.address
	w.t.Cleanup(l.cut)
	return l
}

// mend opens the line, at the address that it had.
func (l *line) mend() {
	l.t.Helper()
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener, l.address = listener, listener.Addr().String()
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", l.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, in, out)
			l.mu.Unlock()
			go pass(in, out)
			go pass(out, in)
		}
	}()
}

func pass(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if _, wrong := to.Write(buffer[:n]); err != nil || wrong != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.listener.Close()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}
