package node_test

import (
	"context"
	"strings"
	"testing"

	"creditstream/services/node"
)

// The operator's requests.
func TestTheOperatorsRequests(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.spend(t, "a", "assistant_token", 7, "k").is(t, 200)

	for _, view := range []string{"accounts", "statement", "usage"} {
		s.get(t, "/v1/admin/views").is(t, 200).has(t, "views."+view, "view:string tenant:string")
		s.post(t, "/v1/admin/views/"+view+"/rebuild", "").is(t, 200)
		s.balance(t, "a").want(t, "used", "7")
		s.spend(t, "a", "assistant_token", 7, "k").is(t, 200).want(t, "replayed", "true")
		s.get(t, "accounts/a/history?type=usage").is(t, 200).want(t, "entries.#", "1")
		s.get(t, "accounts/a/usage").is(t, 200).want(t, "credits", "7")
	}
	if a := s.post(t, "/v1/admin/views/nothing/rebuild", ""); a.status != 404 {
		t.Errorf("%v\n  want 404", a)
	}
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")

	s.post(t, "/v1/admin/tenants", `{"tenant":"new-1"}`).is(t, 201)
	s.post(t, "/v1/admin/tenants", `{"tenant":"No_Good"}`).refused(t, 422, "invalid").want(t, "field", "tenant")
	n := s.of("new-1")
	n.put(t, "catalog", strings.ReplaceAll(s.get(t, "catalog").text("catalog"), "Wanclouds", "New")).is(t, 200)
	n.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	n.balance(t, "a").want(t, "remaining", "1000000")

	key := s.post(t, "/v1/admin/keys", `{"tenant":"wanclouds","actor":"app","scopes":["read"]}`).is(t, 201).has(t, "", "key:string id:string actor:string scopes:list")
	if strings.Contains(string(s.get(t, "/v1/admin/keys").is(t, 200).has(t, "keys.0", "id:string actor:string scopes:list").raw), key.text("key")) {
		t.Error("the list of keys shows one")
	}
	s.post(t, "/v1/admin/keys", `{"tenant":"wanclouds","actor":"app","scopes":["everything"]}`).refused(t, 422, "invalid")
	s.post(t, "/v1/admin/keys", `{"tenant":"nobody","actor":"app","scopes":["read"]}`).is(t, 404)
}

// A catalog that says nothing sensible is not published, and an answer says what would change.
func TestPublishingACatalog(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	before := s.get(t, "catalog").is(t, 200).text("version")
	for _, bad := range []string{``, `{`, `name: 7: 8`, `meters: {x: {price: 1, per: 3}}`, `{"nonsense":1}`} {
		s.put(t, "catalog", bad).refused(t, 422, "invalid")
	}
	s.get(t, "catalog").is(t, 200).want(t, "version", before)
	a := republish(t, s, "allowance: 1000000", "allowance: 2000000", "allowance: 1_000_000", "allowance: 2000000")
	if a.text("version") == before || !strings.Contains(string(a.raw), "2000000") {
		t.Errorf("%v\n  does not say what changed", a)
	}
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	s.balance(t, "a").want(t, "remaining", "2000000")
}

// The test clock stands still, moves forward only, and what fell due on the way has happened.
func TestTheTestClock(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/a", card).is(t, 200)
	s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":10,"ttl":"15m"}`, "h").is(t, 201)
	p := s.post(t, "accounts/a/purchases", `{"pack":"usd-100"}`, "p").is(t, 201).text("purchase")
	for range 2 {
		s.get(t, "/v1/admin/test-clock").is(t, 200).want(t, "now", "2026-01-15T12:00:00Z")
	}
	s.clock(t, "2026-04-15T12:00:00Z")
	s.post(t, "/v1/admin/test-clock", `{"now":"2026-04-15T11:59:59Z"}`).refused(t, 422, "invalid").want(t, "field", "now")
	// Booked, not only computed: the lines are in the journal.
	text := string(s.get(t, "events?account=a").is(t, 200).raw)
	for kind, count := range map[string]int{"CycleRenewed": 3, "HoldLapsed": 1} {
		if got := strings.Count(text, "creditstream."+kind+".v1"); got < count {
			t.Errorf("the journal has %d %s, want %d", got, kind, count)
		}
	}
	s.get(t, "accounts/a/purchases/"+p).is(t, 200).want(t, "status", "expired")
	s.balance(t, "a").want(t, "held", "0", "cycle.from", "2026-04-15T12:00:00Z")
}

// Who watches the server needs no key.
func TestHealthAndDocuments(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.get(t, "/healthz").is(t, 200)
	s.get(t, "/readyz").is(t, 200)
	if m := s.get(t, "/metrics").is(t, 200); !strings.Contains(string(m.raw), "# TYPE ") {
		t.Errorf("%v\n  is no exposition", m)
	}
	if d := s.get(t, "/docs").is(t, 200); !strings.HasPrefix(d.header.Get("Content-Type"), "text/html") {
		t.Errorf("/docs is %s", d.header.Get("Content-Type"))
	}
	api := s.get(t, "/openapi.json").is(t, 200)
	if !strings.HasPrefix(api.text("openapi"), "3.1") {
		t.Errorf("openapi is %s", api.text("openapi"))
	}
	paths, _ := api.value("paths").(map[string]any)
	for _, row := range strings.Fields(`put/catalog get/catalog put/accounts/{account} get/accounts/{account} get/accounts post/accounts/batch post/accounts/{account}/close
		post/accounts/{account}/reopen get/accounts/{account}/balance get/accounts/{account}/history get/accounts/{account}/usage post/accounts/{account}/check post/checks post/balances
		post/accounts/{account}/usage post/events post/accounts/{account}/holds post/accounts/{account}/holds/{hold}/capture post/accounts/{account}/holds/{hold}/release get/accounts/{account}/holds
		post/accounts/{account}/usage/{key}/reverse get/packs post/accounts/{account}/purchases get/accounts/{account}/purchases get/accounts/{account}/purchases/{purchase}
		post/accounts/{account}/purchases/{purchase}/confirm post/accounts/{account}/purchases/{purchase}/refund post/payments/{provider} post/payments/sandbox/{purchase}/succeed
		post/payments/sandbox/{purchase}/fail post/accounts/{account}/grants get/accounts/{account}/lots post/accounts/{account}/lots/{lot}/revoke get/events post/accounts/{account}/tokens`) {
		method, path, _ := strings.Cut(row, "/")
		if item, ok := paths["/v1/tenants/{tenant}/"+path].(map[string]any); !ok || item[method] == nil {
			t.Errorf("%s /%s is not described", method, path)
		}
	}
	for _, row := range strings.Fields(`post/v1/admin/tenants post/v1/admin/keys get/v1/admin/keys delete/v1/admin/keys get/v1/admin/views post/v1/admin/views/{view}/rebuild post/v1/admin/verify
		get/v1/admin/test-clock post/v1/admin/test-clock get/healthz get/readyz get/metrics get/openapi.json`) {
		method, path, _ := strings.Cut(row, "/")
		if item, ok := paths["/"+path].(map[string]any); !ok || item[method] == nil {
			t.Errorf("%s /%s is not described", method, path)
		}
	}
}

// The test clock moves forward only, also over a restart with the arguments of the first start.
func TestTheTestClockOverARestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for round := range 2 {
		n, err := node.Start(context.Background(), node.Config{Data: data, Listen: "127.0.0.1:0", Catalogs: "../../deploy/catalogs", Dev: true, TestClock: instant(t, "2026-01-15T12:00:00Z")})
		if err != nil {
			t.Fatal(err)
		}
		s := site{http: n.HTTP(), tenant: "wanclouds"}
		if round == 0 {
			s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
			s.spend(t, "a", "assistant_token", 1, "k").is(t, 200)
			s.clock(t, "2026-02-15T12:00:00Z")
		}
		s.get(t, "/v1/admin/test-clock").is(t, 200).want(t, "now", "2026-02-15T12:00:00Z")
		s.balance(t, "a").want(t, "cycle.from", "2026-02-15T12:00:00Z", "used", "0")
		s.spend(t, "a", "assistant_token", 1, "k").is(t, 200).want(t, "remaining", "999999", "replayed", "true")
		s.post(t, "accounts/a/check", `{"meter":"assistant_token","quantity":1}`).is(t, 200).want(t, "remaining", "1000000")
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
