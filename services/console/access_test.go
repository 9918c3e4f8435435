package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"creditstream/services/console"
	"creditstream/services/node"
)

// production is a server that lets nobody in without a key; its first key was made in development.
func production(t *testing.T, keys func(w *world)) *world {
	t.Helper()
	w := filled(t)
	keys(w)
	w.stop()
	w.cfg.Dev = false
	w.start()
	return w
}

// place puts a tenant and its parts in the places of a path.
func place(path, tenant, account string) string {
	return strings.NewReplacer("{tenant}", tenant, "{account}", account, "{shard}", "0", "{sequence}", "3", "{task}", "1").Replace(path)
}

// TestAForeignKeySeesNothing drives every page with the key of another tenant: nothing of the tenant leaks, nothing
// of the operator's, and nothing is changed. The same key sees its own tenant, so the test can fail.
func TestAForeignKeySeesNothing(t *testing.T) {
	var key string
	w := production(t, func(w *world) {
		key, _ = w.key("tecpet", "ana", true, "usage", "read", "purchase", "grant", "catalog", "admin")
	})
	ana := w.visitor(key)
	form := url.Values{
		"key": {"k-1"}, "pool": {"extra"}, "credits": {"5"}, "reason": {"x"}, "lot": {"l2"}, "usage": {"world-11"}, "view": {"usage"},
		"actor": {"eve"}, "scopes": {"admin"}, "source": {"name: x"}, "do": {"publish"}, "id": {"x"},
	}
	driven := 0
	for _, rt := range console.Routes() {
		if rt.Open || rt.Own {
			continue
		}
		driven++
		path := place(rt.Path, "adtech", "studio-lumen")
		status, text := ana.send(rt.Method, path, form)
		if status != http.StatusForbidden {
			t.Errorf("%s %s: %d, want 403", rt.Method, path, status)
		}
		for _, secret := range []string{"studio-lumen", "atelier-nord", "wanclouds", "dynamic_video", "JOURNAL_", "2291"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s %s tells %q", rt.Method, path, secret)
			}
		}
		unknown, other := ana.send(rt.Method, place(rt.Path, "nobody", "studio-lumen"), form)
		if unknown != status || strings.ReplaceAll(other, "nobody", "adtech") != text {
			t.Errorf("%s %s: a tenant that there is can be told from one that there is not", rt.Method, path)
		}
	}
	if driven < 30 {
		t.Fatalf("only %d pages were driven", driven)
	}
	for _, path := range []string{"/accounts", "/accounts/clinic-7", "/accounts/clinic-7/history", "/accounts/clinic-7/explain", "/journal", "/journal/0/3", "/journal/live", "/catalog", "/catalog/edit"} {
		status, text := ana.get("/admin/t/tecpet" + path)
		if status != http.StatusOK || strings.Contains(text, "adtech") || strings.Contains(text, "wanclouds") || strings.Contains(text, "Projections") {
			t.Errorf("%s of its own tenant: %d, or names another", path, status)
		}
	}
	if status, text := ana.get("/admin/t/tecpet/accounts"); status != 200 || !strings.Contains(text, "clinic-7") {
		t.Errorf("the own accounts: %d", status)
	}
}

// TestScopesDecide holds that a key that may only read is neither shown nor allowed what changes something.
func TestScopesDecide(t *testing.T) {
	var reader, service, worker string
	w := production(t, func(w *world) {
		reader, _ = w.key("adtech", "reader", true, "read")
		service, _ = w.key("adtech", "robot", false, "read", "grant")
		worker, _ = w.key("adtech", "worker", false, "usage")
	})
	lumen := "/admin/t/adtech/accounts/studio-lumen"
	for name, key := range map[string]string{"reader": reader, "service": service} {
		v := w.visitor(key)
		status, text := v.get(lumen)
		if status != http.StatusOK || strings.Contains(text, "Grant credits") || strings.Contains(text, "/revoke?") {
			t.Errorf("%s: %d, or it is offered what it may not", name, status)
		}
		for _, form := range []string{"/grant", "/revoke?lot=l2"} {
			if status, text := v.get(lumen + form); status != http.StatusForbidden || strings.Contains(text, "<form class=\"ask\"") {
				t.Errorf("%s is shown %s: %d", name, form, status)
			}
		}
		for _, act := range []string{"/grant", "/revoke", "/reverse"} {
			if status, _ := v.post(lumen+act, url.Values{"key": {"k"}, "pool": {"extra"}, "credits": {"5"}, "reason": {"x"}, "lot": {"l2"}}); status != http.StatusForbidden {
				t.Errorf("%s may %s: %d", name, act, status)
			}
		}
		if status, _ := v.post("/admin/t/adtech/catalog/edit", url.Values{"do": {"publish"}}); status != http.StatusForbidden {
			t.Errorf("%s may publish: %d", name, status)
		}
	}
	stranger := &visitor{w: w, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if status, text := stranger.post("/admin/sign-in", url.Values{"apikey": {worker}}); status != http.StatusForbidden || !strings.Contains(text, "needs one with read") {
		t.Errorf("a key without read: %d", status)
	}
	if status, _ := stranger.get(lumen); status != http.StatusSeeOther {
		t.Errorf("nobody: %d, want to be sent to sign in", status)
	}
	if status, _ := stranger.post("/admin/sign-in", url.Values{"operator": {"1"}}); status == http.StatusSeeOther {
		t.Error("the operator of development comes in without a key")
	}
}

// TestSessions holds what a session is bound to: a cookie that no script and no other site gets, the life of its
// key, and a bound on attempts.
func TestSessions(t *testing.T) {
	var key, id, admin string
	w := production(t, func(w *world) {
		key, id = w.key("adtech", "reader", true, "read")
		admin, _ = w.key("", "root", true, "read", "admin")
	})
	r, _ := http.NewRequestWithContext(t.Context(), "POST", w.url+"/admin/sign-in", strings.NewReader(url.Values{"apikey": {key}, "next": {"//evil.example"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	cookies := answer.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Path != "/admin" || strings.Contains(cookies[0].Value, key) {
		t.Errorf("the cookie: %v", cookies)
	}
	if to := answer.Header.Get("Location"); to != "/admin" {
		t.Errorf("it leads to %q", to)
	}
	reader, root := w.visitor(key), w.visitor(admin)
	if status, _ := reader.get("/admin/t/adtech/accounts"); status != http.StatusOK {
		t.Fatalf("signed in: %d", status)
	}
	if status, text := root.post("/admin/keys/delete", url.Values{"id": {id}}); status != http.StatusSeeOther {
		t.Fatalf("delete the key: %d %s", status, text)
	}
	if status, _ := reader.get("/admin/t/adtech/accounts"); status != http.StatusSeeOther {
		t.Errorf("with a deleted key: %d, want to be sent to sign in", status)
	}
	root.post("/admin/sign-out", nil)
	if status, _ := root.get("/admin/overview"); status != http.StatusSeeOther {
		t.Errorf("signed out: %d, want to be sent to sign in", status)
	}
	refused := 0
	for range 8 {
		if status, _ := root.post("/admin/sign-in", url.Values{"apikey": {key + "x"}}); status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("attempts to sign in are not bounded")
	}
	if status, _ := root.post("/admin/sign-in", url.Values{"apikey": {admin}}); status != http.StatusTooManyRequests {
		t.Errorf("a good key while the bound holds: %d", status)
	}
}

// TestOtherSitesCannotAct holds that a page elsewhere cannot act through a visitor's browser, in development
// neither, where no session is needed.
func TestOtherSitesCannotAct(t *testing.T) {
	w := filled(t)
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		form := url.Values{"key": {"k"}, "pool": {"extra"}, "credits": {"5"}, "reason": {"x"}}
		r, _ := http.NewRequestWithContext(t.Context(), "POST", w.url+"/admin/t/adtech/accounts/studio-lumen/grant", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(header, value)
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %d, want 403", header, value, answer.StatusCode)
		}
	}
	if lots := w.lots("adtech", "studio-lumen"); len(lots) != 3 {
		t.Errorf("%d lots, want 3", len(lots))
	}
}

// TestAFormActsOnce sends one form many times at once: it is one lot, one key, one revocation.
func TestAFormActsOnce(t *testing.T) {
	w := filled(t, func(cfg *node.Config) { cfg.Shards = 2 })
	v := &visitor{w: w, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	grant := url.Values{"key": {"form-1"}, "pool": {"extra"}, "credits": {"12.5"}, "reason": {"twice"}, "kind": {"goodwill"}}
	key := url.Values{"key": {"form-2"}, "actor": {"twin"}, "scopes": {"read"}}
	var sending sync.WaitGroup
	for range 5 {
		sending.Go(func() {
			if status, text := v.post("/admin/t/adtech/accounts/studio-lumen/grant", grant); status != http.StatusSeeOther {
				t.Errorf("grant: %d %s", status, text)
			}
			v.post("/admin/keys", key)
		})
	}
	sending.Wait()
	if lots := w.lots("adtech", "studio-lumen"); len(lots) != 4 || lots[3].Remaining != "12.5" || lots[3].Kind != "goodwill" {
		t.Errorf("lots %+v, want one more of 12.5", lots)
	}
	var list struct{ Keys []struct{ Actor string } }
	w.do("GET", "/v1/admin/keys", "", &list)
	twins := 0
	for _, k := range list.Keys {
		if k.Actor == "twin" {
			twins++
		}
	}
	if twins != 1 {
		t.Errorf("%d keys were made by one form", twins)
	}
	var history struct {
		Entries []struct{ Type, Actor, Description string }
	}
	w.do("GET", "/v1/tenants/adtech/accounts/studio-lumen/history?type=grant&limit=1", "", &history)
	if len(history.Entries) != 1 || history.Entries[0].Actor != "operator" || !strings.Contains(history.Entries[0].Description, "twice") {
		t.Errorf("the history has %+v", history.Entries)
	}
}
