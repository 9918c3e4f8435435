package api_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"creditstream/services/api"
)

// What comes often is answered before net/http reads it, and as it would be behind net/http: the same status, headers
// and text, for whoever asks, whatever is wrong.
func TestOftenIsAnsweredAlike(t *testing.T) {
	w := newWorld(t)
	a, b := w.open("tecpet", "a", ""), w.open("tecpet", "b@example.com", "")
	w.grant(a, "purchased", "5")
	w.grant(b, "purchased", "5")
	behind := httptest.NewServer(w.node.Handler())
	t.Cleanup(behind.Close)
	key, reader, other := w.newKey("tecpet", "x", false, "usage"), w.newKey("tecpet", "y", false, "read"), w.newKey("adtech", "z", false, "usage")
	const one = `{"meter":"sticker","quantity":1}`
	const tenant = "/v1/tenants/tecpet"
	for i, c := range []struct {
		who             *world
		path, key, body string
		status          int
	}{
		{key, a + "/check", "", one, 200}, {w, a + "/check", "", one, 200}, {key, b + "/check", "", one, 200}, {key, a + "/check", "ignored", one, 200},
		{key, a + "/check", "", `{"meter":"sticker","quantity":100}`, 200}, {key, account("tecpet", "nobody") + "/check", "", one, 404},
		{key, a + "/check", "", `{"meter":"unknown","quantity":1}`, 404}, {key, a + "/check", "", `{"meter":"sticker","quantity":-1}`, 422},
		{key, a + "/check", "", `{"meter":"sticker"`, 422}, {key, a + "/check", "", "", 422}, {key, a + "/check", "", strings.Repeat(" ", 1<<20) + one, 413},
		{key, account("tecpet", strings.Repeat("x", 200)) + "/check", "", one, 422}, {key, "/v1/tenants/nowhere/accounts/a/check", "", one, 403}, {w, "/v1/tenants/nowhere/accounts/a/check", "", one, 404},
		{key, account("tecpet", "..") + "/check", "", one, 404}, {key, account("tecpet", ".b") + "/check", "", one, 404}, {key, account("tecpet", "%41") + "/check", "", one, 404},
		{reader, a + "/check", "", one, 403}, {other, a + "/check", "", one, 403}, {w.as("cs_live_wrong"), a + "/check", "", one, 401},
		{key, a + "/usage", "k1", one, 200}, {key, a + "/usage", "k1", `{"meter":"sticker","quantity":2}`, 409}, {key, a + "/usage", "", one, 422}, {key, a + "/usage", strings.Repeat("k", 300), one, 422},
		{key, a + "/usage", "k2", `{"meter":"sticker","quantity":100}`, 402}, {key, b + "/usage", "k1", `{"meter":"sticker","quantity":2,"attributes":{"a":"b"}}`, 200},
		{key, tenant + "/events", "", event("e1", "a", "sticker", 1), 200}, {key, tenant + "/events", "", "[" + event("e1", "a", "sticker", 1) + "," + event("e2", "b@example.com", "none", 1) + "]", 200},
		{key, tenant + "/events", "", "[]", 200}, {key, tenant + "/events", "", "{", 422}, {other, tenant + "/events", "", event("e3", "a", "sticker", 1), 403},
		{key, tenant + "/checks", "", `{"checks":[{"account":"a","meter":"sticker"},{"account":"q","meter":"sticker"}]}`, 200}, {key, tenant + "/checks", "", `{"checks":1}`, 422},
	} {
		alike := c.who.as(c.who.key)
		alike.base = behind.URL
		c.who.post(c.path, c.key, c.body) // what charges, is a replay then
		got, want := c.who.post(c.path, c.key, c.body).is(c.status), alike.post(c.path, c.key, c.body)
		got.header.Del("Date")
		want.header.Del("Date")
		if got.status != want.status || string(got.body) != string(want.body) || !reflect.DeepEqual(got.header, want.header) {
			t.Errorf("%d: %s is answered %d %v %s, and behind net/http %d %v %s", i, c.path, got.status, got.header, got.body, want.status, want.header, want.body)
		}
	}
}

// Every endpoint that comes often is found by its path, with the names that the mux finds in it; nothing else is.
func TestOftenFindsWhatTheMuxFinds(t *testing.T) {
	door := api.New(api.Config{})
	r := httptest.NewRequest(http.MethodPost, "/", nil) // one for all, as over one connection
	for _, c := range []struct{ path, tenant, account string }{
		{"/v1/tenants/t/accounts/a/check", "t", "a"}, {"/v1/tenants/t/accounts/accounts/usage", "t", "accounts"}, {"/v1/tenants/u/events", "u", ""}, {"/v1/tenants/accounts/checks", "accounts", ""},
	} {
		r.URL.Path = c.path
		if door.Often(r) == nil || r.PathValue("tenant") != c.tenant || r.PathValue("account") != c.account {
			t.Errorf("%s is of tenant %q, account %q", c.path, r.PathValue("tenant"), r.PathValue("account"))
		}
	}
	for _, path := range []string{"/", "/v1/tenants/t", "/v1/tenants/t/", "/v1/tenants/t/accounts", "/v1/tenants/t/accounts/a", "/v1/tenants/t/accounts/events", "/v1/tenants/t/check", "/v1/tenants/t/accounts/a/events",
		"/v1/tenants/t/accounts/a/check/", "/v1/tenants/t/accounts/a/usage/k", "/v1/tenants/t/accounts/a/balance", "/v1/tenants/t/accounts/a/b/check", "/v2/tenants/t/events"} {
		if r.URL.Path = path; door.Often(r) != nil {
			t.Errorf("%s is taken for something else", path)
		}
	}
	if r.URL.Path, r.Method = "/v1/tenants/t/events", http.MethodGet; door.Often(r) != nil {
		t.Error("a GET comes often")
	}
}
