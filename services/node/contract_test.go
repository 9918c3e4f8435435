package node_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Every row of the interface's table answers with the fields and types that it names.
func TestEveryRequestAnswersInItsShape(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	for _, path := range []string{"accounts/a", "accounts/b"} {
		s.put(t, path, `{"plan":"ai","timezone":"Europe/Lisbon","metadata":{"crm":"7"},"approval":{"pin":"482913"},"payment_method":{"brand":"visa","last4":"4242","reference":"pm"}}`).
			is(t, 200).has(t, "", accountShape).has(t, "cycle", periodShape).want(t, "metadata.crm", "7", "timezone", "Europe/Lisbon")
	}
	s.get(t, "accounts/a").is(t, 200).has(t, "", accountShape)
	s.get(t, "accounts?plan=ai&status=open&q=a").is(t, 200).want(t, "accounts.#", "1").has(t, "accounts.0", accountShape)
	s.get(t, "accounts?plan=base").is(t, 200).want(t, "accounts.#", "0")
	s.get(t, "accounts?status=closed").is(t, 200).want(t, "accounts.#", "0")

	s.get(t, "packs?account=a").is(t, 200).has(t, "packs.0", "pack:string price:money credits:amount")
	p := s.post(t, "accounts/a/purchases", `{"pack":"pack-50","metadata":{"cart":"9"}`+code, "p").is(t, 201).has(t, "", purchaseShape+" checkout_url:string").text("purchase")
	s.post(t, "payments/sandbox/"+p+"/succeed", "").is(t, 200).want(t, "status", "completed")
	s.get(t, "accounts/a/purchases/"+p).is(t, 200).has(t, "", purchaseShape+" paid_at:time invoice_ref:string receipt_url:string")
	s.get(t, "accounts/a/purchases").is(t, 200).has(t, "purchases.0", purchaseShape)
	f := s.post(t, "accounts/a/purchases", `{"pack":"pack-50"`+code, "f").is(t, 201).text("purchase")
	s.post(t, "payments/sandbox/"+f+"/fail", "").is(t, 200).want(t, "status", "failed")

	s.post(t, "accounts/a/check", `{"meter":"ai_service","quantity":301}`).is(t, 200).has(t, "", checkShape).want(t, "allowed", "true", "cost", "1", "remaining", "50", "remaining_units", "350")
	s.post(t, "accounts/a/check", `{"meter":"sticker","quantity":51}`).is(t, 200).has(t, "", checkShape+" code:string").want(t, "allowed", "false", "code", "insufficient_credits")
	s.post(t, "checks", `{"checks":[{"account":"a","meter":"sticker","quantity":50},{"account":"b","meter":"sticker","quantity":1},{"account":"zz","meter":"sticker","quantity":1}]}`).
		is(t, 200).want(t, "results.#", "3", "results.0.allowed", "true", "results.1.allowed", "false", "results.2.code", "unknown_account").has(t, "results.0", checkShape)
	s.post(t, "balances", `{"accounts":["a","b"]}`).is(t, 200).want(t, "balances.#", "2", "balances.1.account", "b").has(t, "balances.0", balanceShape)

	s.post(t, "accounts/a/usage", `{"meter":"ai_service","quantity":302,"time":"2026-01-15T12:00:00Z","description":"d","attributes":{"model":"m1"}}`, "u").is(t, 200).
		has(t, "", recordedShape).has(t, "draws.0", drawShape).want(t, "status", "recorded", "replayed", "false")
	s.balance(t, "a").has(t, "", balanceShape).has(t, "cycle", periodShape).has(t, "pools.ai_quota", poolShape).has(t, "pools.purchased", poolShape).has(t, "pools.purchased.lots.0", lotShape)
	h := s.get(t, "accounts/a/history").is(t, 200)
	for i := range len(h.value("entries").([]any)) {
		h.has(t, fmt.Sprint("entries.", i), entryShape)
	}
	h.has(t, "entries.0", strings.ReplaceAll(entryShape, "?", "")).has(t, "entries.0.draws.0", drawShape).
		want(t, "entries.0.description", "d", "entries.0.attributes.model", "m1", "entries.0.key", "u", "entries.0.type", "usage", "entries.0.credits", "-2")
	s.get(t, "accounts/a/usage?by=meter").is(t, 200).has(t, "", "groups:list credits:amount").has(t, "groups.0", "meter:string quantity:int credits:amount")
	s.get(t, "accounts/a/usage?by=day&from=2026-01-15T00:00:00Z&to=2026-01-16T00:00:00Z").is(t, 200).want(t, "groups.0.day", "2026-01-15", "credits", "2")
	s.get(t, "accounts/a/usage?by=day&from=2026-01-14T00:00:00Z&to=2026-01-15T00:00:00Z").is(t, 200).want(t, "groups.#", "0", "credits", "0")

	hold := s.post(t, "accounts/a/holds", `{"meter":"sticker","quantity":10,"ttl":"15m"}`, "h").is(t, 201).has(t, "", holdShape).has(t, "draws.0", drawShape).text("hold")
	s.get(t, "accounts/a/holds").is(t, 200).has(t, "holds.0", "hold:string cost:amount draws:list expires:time")
	s.post(t, "accounts/a/holds/"+hold+"/capture", `{"quantity":8}`, "c").is(t, 200).has(t, "", "position:string cost:amount draws:list remaining:amount")
	hold = s.post(t, "accounts/a/holds", `{"meter":"sticker","quantity":10}`, "h2").is(t, 201).text("hold")
	s.post(t, "accounts/a/holds/"+hold+"/release", "").is(t, 200).has(t, "", "position:string")
	s.post(t, "accounts/a/usage/u/reverse", `{"quantity":1,"reason":"r"}`, "r").is(t, 200).has(t, "", "position:string")
	lot := s.post(t, "accounts/a/grants", `{"pool":"purchased","credits":"2.02","reason":"r","kind":"goodwill"}`, "g").is(t, 201).has(t, "", "lot:string position:string").text("lot")
	s.get(t, "accounts/a/lots").is(t, 200).has(t, "lots.1", lotShape)
	s.post(t, "accounts/a/lots/"+lot+"/revoke", `{"reason":"r"}`, "rv").is(t, 200).has(t, "", "position:string")
	s.post(t, "accounts/a/purchases/"+p+"/refund", `{"reason":"r"}`, "rf").is(t, 200).want(t, "status", "refunded").has(t, "", "position:string")

	s.post(t, "accounts/b/close", `{"reason":"r"}`).is(t, 200)
	s.get(t, "accounts/b").is(t, 200).want(t, "status", "closed")
	s.post(t, "accounts/b/reopen", `{"reason":"r"}`).is(t, 200)
	s.get(t, "accounts/b").is(t, 200).want(t, "status", "open")
	s.put(t, "accounts/b", `{"plan":null}`).is(t, 200)
	s.put(t, "accounts/b", `{"approval":{"totp":true}}`).is(t, 200).has(t, "", "provisioning_uri:string")
	s.get(t, "accounts/b").is(t, 200).want(t, "provisioning_uri", "", "approval", "totp")
	s.post(t, "accounts/b/tokens", `{}`).is(t, 201).has(t, "", "token:string expires:time")

	batch := `{"account":"i1","plan":"base","lots":[{"pool":"purchased","credits":"5"}]}` + "\n" + `{"account":"i2","plan":"no-such"}` + "\n" + `{"account":"i3"}` + "\n"
	s.send(t, http.MethodPost, "accounts/batch", batch, http.Header{"Content-Type": {"application/x-ndjson"}, "Idempotency-Key": {"import"}}).is(t, 200)
	s.balance(t, "i1").want(t, "remaining", "5")
	s.get(t, "accounts/i2").refused(t, 404, "unknown_account")
	s.get(t, "accounts/i3").is(t, 200)
	verified := s.post(t, "/v1/admin/verify", "").is(t, 200)
	verified.want(t, "ok", "true")
}

// Each code of the table of errors comes with its status, as a problem.
func TestEveryCodeOfTheTable(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	w, a := s.of("wanclouds"), s.of("adtech")
	s.put(t, "accounts/a", `{"plan":"ai","approval":{"pin":"482913"}}`).is(t, 200)
	s.put(t, "accounts/base", `{"plan":"base"}`).is(t, 200)
	s.put(t, "accounts/shut", `{"plan":"ai"}`).is(t, 200)
	s.post(t, "accounts/shut/close", `{"reason":"r"}`).is(t, 200)
	s.spend(t, "a", "ai_service", 2, "u").is(t, 200)
	h := s.post(t, "accounts/a/holds", `{"meter":"ai_service","quantity":2}`, "h").is(t, 201).text("hold")
	s.post(t, "accounts/a/holds/"+h+"/release", "").is(t, 200)
	w.put(t, "accounts/w", `{"plan":"pro"}`).is(t, 200)
	a.put(t, "accounts/std", `{"plan":"standard"}`).is(t, 200)
	reader := s.as(s.machine(t, "r", `"read"`))

	rows := []struct {
		code   string
		status int
		a      answer
	}{
		{"unauthenticated", 401, s.as("cs_live_nobody").get(t, "accounts/a")},
		{"insufficient_credits", 402, s.spend(t, "a", "sticker", 1, "x")},
		{"payment_method_required", 402, w.post(t, "accounts/w/purchases", `{"pack":"usd-100"}`, "x")},
		{"forbidden", 403, reader.spend(t, "a", "sticker", 1, "x")},
		{"plan_not_eligible", 403, a.post(t, "accounts/std/grants", `{"pool":"extra","credits":"1","kind":"goodwill","reason":"r"}`, "x")},
		{"meter_not_in_plan", 403, s.spend(t, "base", "ai_service", 1, "x")},
		{"approval_required", 403, s.post(t, "accounts/a/purchases", `{"pack":"pack-50"}`, "x")},
		{"approval_invalid", 403, s.post(t, "accounts/a/purchases", `{"pack":"pack-50","approval_code":"000000"}`, "x")},
		{"unknown_tenant", 404, s.of("nobody").get(t, "accounts/a")},
		{"unknown_account", 404, s.get(t, "accounts/nobody/balance")},
		{"unknown_meter", 404, s.spend(t, "a", "nothing", 1, "x")},
		{"unknown_plan", 404, s.put(t, "accounts/a", `{"plan":"nothing"}`)},
		{"unknown_pack", 404, s.post(t, "accounts/a/purchases", `{"pack":"nothing"}`, "x")},
		{"unknown_pool", 404, s.post(t, "accounts/a/grants", `{"pool":"nothing","credits":"1","kind":"goodwill","reason":"r"}`, "x")},
		{"unknown_lot", 404, s.post(t, "accounts/a/lots/nothing/revoke", `{"reason":"r"}`, "x")},
		{"unknown_hold", 404, s.post(t, "accounts/a/holds/nothing/capture", `{"quantity":1}`, "x")},
		{"unknown_hold", 404, s.post(t, "accounts/a/holds/nothing/release", "")},
		{"unknown_purchase", 404, s.get(t, "accounts/a/purchases/nothing")},
		{"unknown_purchase", 404, s.post(t, "accounts/a/purchases/nothing/confirm", "")},
		{"unknown_purchase", 404, s.post(t, "payments/sandbox/nothing/succeed", "")},
		{"unknown_usage", 404, s.post(t, "accounts/a/usage/nothing/reverse", `{"quantity":1,"reason":"r"}`, "x")},
		{"idempotency_conflict", 409, s.spend(t, "a", "ai_service", 3, "u")},
		{"account_closed", 409, s.spend(t, "shut", "ai_service", 1, "x")},
		{"hold_closed", 409, s.post(t, "accounts/a/holds/"+h+"/capture", `{"quantity":1}`, "x")},
		{"reversal_exceeds_usage", 409, s.post(t, "accounts/a/usage/u/reverse", `{"quantity":3,"reason":"r"}`, "x")},
		{"too_large", 413, s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":1,"description":"`+strings.Repeat("x", 2<<20)+`"}`, "x")},
		{"invalid", 422, s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":-1}`, "x")},
		{"late_event", 422, s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":1,"time":"2025-12-11T11:59:59Z"}`, "x")},
		{"unavailable", 503, s.get(t, "accounts/a/balance?min_position=999999.0")},
	}
	for range 5 {
		s.post(t, "accounts/a/purchases", `{"pack":"pack-50","approval_code":"000000"}`, "x").is(t, 403)
	}
	rows = append(rows, struct {
		code   string
		status int
		a      answer
	}{"approval_locked", 403, s.post(t, "accounts/a/purchases", `{"pack":"pack-50"`+code, "x")})
	for _, row := range rows {
		row.a.refused(t, row.status, row.code).has(t, "", problemShape).want(t, "status", fmt.Sprint(row.status))
		if retry := row.a.header.Get("Retry-After"); (retry != "") != (row.status == 503) {
			t.Errorf("%v\n  has Retry-After %q", row.a, retry)
		}
	}
	// No refusal has left anything but its counters.
	if got := s.lines(t, "a", "plan", "grant"); !slices.Equal(got, []string{"usage", "hold", "release"}) {
		t.Errorf("the history of a is %v", got)
	}
}

// The key of a request means one thing, through every door and however late.
func TestIdempotencyKeys(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/b", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/a", card).is(t, 200)

	required := map[string]string{
		"usage": `{"meter":"assistant_token","quantity":1}`, "holds": `{"meter":"assistant_token","quantity":1}`, "purchases": `{"pack":"usd-100"}`,
		"grants": `{"pool":"topup","credits":"1","reason":"r","kind":"goodwill"}`, "usage/u/reverse": `{"quantity":1,"reason":"r"}`, "holds/h/capture": `{"quantity":1}`,
		"lots/l1/revoke": `{"reason":"r"}`, "purchases/p/refund": `{"reason":"r"}`,
	}
	for path, body := range required {
		s.post(t, "accounts/a/"+path, body).refused(t, 422, "invalid")
		s.post(t, "accounts/a/"+path, body, strings.Repeat("k", 2000)).refused(t, 422, "invalid")
	}

	first := s.spend(t, "a", "assistant_token", 10, "k").is(t, 200)
	s.spend(t, "a", "assistant_token", 11, "k").refused(t, 409, "idempotency_conflict")
	s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":10}`, "k").refused(t, 409, "idempotency_conflict")
	s.spend(t, "b", "assistant_token", 11, "k").is(t, 200).want(t, "replayed", "false") // another account, another key
	s.clock(t, "2028-01-15T12:00:00Z")
	s.spend(t, "a", "assistant_token", 10, "k").is(t, 200).
		want(t, "replayed", "true", "position", first.text("position"), "remaining", first.text("remaining"), "cost", "10", "draws", first.text("draws"))

	// A refusal does not consume its key, and an event that a request refused may be sent changed.
	s.spend(t, "a", "assistant_token", 10_000_001, "r").refused(t, 402, "insufficient_credits")
	s.spend(t, "a", "assistant_token", 5, "r").is(t, 200).want(t, "replayed", "false", "cost", "5")

	// Every kind of answer can be had again; what happened since does not change it.
	hold := s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":10}`, "h").is(t, 201)
	s.post(t, "accounts/a/holds/"+hold.text("hold")+"/capture", `{"quantity":4}`, "c").is(t, 200)
	s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":10}`, "h").is(t, 201).want(t, "replayed", "true", "hold", hold.text("hold"), "expires", hold.text("expires"))
	grant := s.post(t, "accounts/a/grants", required["grants"], "g").is(t, 201)
	s.post(t, "accounts/a/grants", required["grants"], "g").is(t, 201).want(t, "replayed", "true", "lot", grant.text("lot"), "position", grant.text("position"))
	s.post(t, "accounts/a/usage/k/reverse", `{"quantity":3,"reason":"r"}`, "rv").is(t, 200)
	s.post(t, "accounts/a/usage/k/reverse", `{"quantity":3,"reason":"r"}`, "rv").is(t, 200).want(t, "replayed", "true")
	buy := s.post(t, "accounts/a/purchases", `{"pack":"usd-100"}`, "b").is(t, 201)
	s.post(t, "accounts/a/purchases", `{"pack":"usd-100","approval_code":"123456"}`, "b").is(t, 201).want(t, "replayed", "true", "purchase", buy.text("purchase"))
	s.post(t, "accounts/a/purchases", `{"pack":"usd-500"}`, "b").refused(t, 409, "idempotency_conflict")

	// An event's id is its key; its source is part of its content.
	event := func(source, quantity string) string {
		return `{"specversion":"1.0","type":"creditstream.usage","id":"e1","source":"` + source + `","subject":"a","data":{"meter":"assistant_token","quantity":` + quantity + `}}`
	}
	s.post(t, "events", event("/x", "7")).is(t, 200).want(t, "results.0.status", "recorded", "results.0.replayed", "false")
	s.post(t, "events", event("/x", "7")).is(t, 200).want(t, "results.0.replayed", "true")
	s.post(t, "events", event("/y", "7")).is(t, 200).want(t, "results.0.status", "refused", "results.0.code", "idempotency_conflict")
	s.post(t, "events", event("/x", "8")).is(t, 200).want(t, "results.0.code", "idempotency_conflict")
	s.spend(t, "a", "assistant_token", 8, "e1").refused(t, 409, "idempotency_conflict")
}

// key, tenant, body, replay, unknown things, closed, plan, payment method, lock, code, credits.
func TestOrderOfChecks(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	w := s.of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"base","approval":{"pin":"482913"}}`).is(t, 200)
	s.put(t, "accounts/shut", `{"plan":"base"}`).is(t, 200)
	s.buy(t, "a", `{"pack":"pack-50"`+code, "b1")
	s.spend(t, "a", "sticker", 50, "all").is(t, 200)
	w.put(t, "accounts/free", `{"plan":"free"}`).is(t, 200)

	s.as("nonsense").of("nobody").post(t, "accounts/a/usage", `{`).refused(t, 401, "unauthenticated")
	s.of("nobody").post(t, "accounts/a/usage", `{`, "k").refused(t, 404, "unknown_tenant")
	s.post(t, "accounts/nobody/usage", `{"meter":"nothing","quantity":0}`, "k").refused(t, 422, "invalid")
	// The replay of a request whose account is closed since.
	s.spend(t, "shut", "sticker", 1, "k").refused(t, 402, "insufficient_credits")
	s.post(t, "accounts/a/close", `{"reason":"r"}`).is(t, 200)
	s.spend(t, "a", "sticker", 50, "all").is(t, 200).want(t, "replayed", "true")
	s.spend(t, "a", "sticker", 51, "all").refused(t, 409, "idempotency_conflict")
	s.spend(t, "a", "nothing", 1, "k").refused(t, 404, "unknown_meter")
	s.spend(t, "a", "ai_service", 1, "k").refused(t, 409, "account_closed")
	s.post(t, "accounts/a/reopen", `{"reason":"r"}`).is(t, 200)
	s.spend(t, "a", "ai_service", 1, "k").refused(t, 403, "meter_not_in_plan")
	// Plan before payment method; and the code after both.
	w.post(t, "accounts/free/purchases", `{"pack":"nothing"}`, "k").refused(t, 404, "unknown_pack")
	w.post(t, "accounts/free/purchases", `{"pack":"usd-100"}`, "k").refused(t, 403, "plan_not_eligible")
}

// A reader sees what it was told of, and what was known when.
func TestReads(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	for i := range 20 {
		position := s.spend(t, "a", "assistant_token", 1, fmt.Sprint("k", i)).is(t, 200).text("position")
		s.balance(t, "a", "min_position="+position).want(t, "used", fmt.Sprint(i+1))
		s.get(t, "accounts/a/history?limit=1&min_position="+position).is(t, 200).want(t, "entries.0.key", fmt.Sprint("k", i))
		s.get(t, "accounts/a/usage?min_position="+position).is(t, 200).want(t, "credits", fmt.Sprint(i+1))
		s.spend(t, "a", "assistant_token", 1, fmt.Sprint("l", i)).is(t, 200)
		s.get(t, "accounts/a/history?limit=1").is(t, 200).want(t, "entries.0.key", fmt.Sprint("l", i))
		s.post(t, "accounts/a/usage/"+fmt.Sprint("l", i)+"/reverse", `{"quantity":1,"reason":"r"}`, fmt.Sprint("m", i)).is(t, 200)
	}
	s.clock(t, "2026-01-20T00:00:00Z")
	s.spend(t, "a", "assistant_token", 100, "later").is(t, 200)
	s.balance(t, "a", "at=2026-01-19T00:00:00Z").want(t, "used", "20", "at", "2026-01-19T00:00:00Z")
	s.clock(t, "2026-01-21T00:00:00Z")
	s.post(t, "accounts/a/usage", `{"meter":"assistant_token","quantity":5,"time":"2026-01-18T00:00:00Z"}`, "late").is(t, 200)
	s.balance(t, "a", "at=2026-01-19T00:00:00Z").want(t, "used", "25")
	s.balance(t, "a", "at=2026-01-19T00:00:00Z", "known_at=2026-01-20T12:00:00Z").want(t, "used", "20")
	s.balance(t, "a", "at=2026-01-20T12:00:00Z", "known_at=2026-01-20T12:00:00Z").want(t, "used", "120")
	s.balance(t, "a").want(t, "used", "125")
	s.get(t, "accounts/a/balance?at=2026-01-21T00:00:00.000000001Z").refused(t, 422, "invalid").want(t, "field", "at")
	s.get(t, "accounts/a/balance?at=yesterday").refused(t, 422, "invalid").want(t, "field", "at")
}

// Lists come in pages that neither lose nor repeat anything.
func TestLists(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	for i := range 12 {
		s.put(t, fmt.Sprintf("accounts/a%02d", i), `{"plan":"pro"}`).is(t, 200)
	}
	s.put(t, "accounts/a00", card).is(t, 200)
	for i := range 7 {
		s.spend(t, "a00", "assistant_token", i+1, fmt.Sprint("u", i)).is(t, 200)
		s.post(t, "accounts/a00/holds", `{"meter":"assistant_token","quantity":1}`, fmt.Sprint("h", i)).is(t, 201)
		s.post(t, "accounts/a00/purchases", `{"pack":"usd-100"}`, fmt.Sprint("p", i)).is(t, 201)
		s.post(t, "accounts/a00/grants", `{"pool":"topup","credits":"1","reason":"r","kind":"goodwill"}`, fmt.Sprint("g", i)).is(t, 201)
	}
	for _, list := range []struct{ path, name, id string }{
		{"accounts", "accounts", "account"}, {"accounts/a00/history", "entries", "key"}, {"accounts/a00/holds", "holds", "hold"},
		{"accounts/a00/purchases", "purchases", "purchase"}, {"accounts/a00/lots", "lots", "lot"},
	} {
		whole := s.get(t, list.path).is(t, 200).value(list.name).([]any)
		var paged []any
		for cursor, pages := "", 0; ; pages++ {
			page := s.get(t, list.path+"?limit=3&cursor="+cursor).is(t, 200)
			paged = append(paged, page.value(list.name).([]any)...)
			if cursor = page.text("next"); cursor == "" || pages > 20 {
				break
			}
		}
		if got, want := fmt.Sprint(paged), fmt.Sprint(whole); got != want {
			t.Errorf("%s in pages of 3:\n%v\nat once:\n%v", list.path, got, want)
		}
		for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "cursor=%00nonsense"} {
			s.get(t, list.path+"?"+bad).refused(t, 422, "invalid")
		}
	}
	s.get(t, "accounts/a00/history?meter=assistant_token&type=usage&from=2026-01-15T00:00:00Z&to=2026-01-16T00:00:00Z").is(t, 200).want(t, "entries.#", "7")
	s.get(t, "accounts/a00/history?to=2026-01-15T12:00:00Z").is(t, 200).want(t, "entries.#", "0")
	s.get(t, "accounts/a00/history?type=hold").is(t, 200).want(t, "entries.#", "7")
	s.get(t, "accounts/a00/history?pool=topup&type=usage").is(t, 200).want(t, "entries.#", "0")
}
