package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"creditstream/services/node"
)

// One use through the door: quota first, then credits, as the answer and the history say (T7, T11).
func TestUsage(t *testing.T) {
	w := newWorld(t)
	a := account("tecpet", "pet%201%2F%C3%A7")
	w.put(a, `{"plan":"ai","metadata":{"crm":42}}`).is(200).has("account", "pet 1/ç").has("plan", "ai").has("metadata.crm", 42)
	w.grant(a, "purchased", "10")
	w.post(a+"/usage", "u1", `{"meter":"ai_service","quantity":298}`).is(200).has("cost", "0").has("draws.0.pool", "ai_quota")
	first := w.post(a+"/usage", "u2", `{"meter":"ai_service","quantity":5,"description":"five","attributes":{"bot":true}}`).is(200)
	first.has("status", "recorded").has("cost", "3").has("remaining", "7").has("replayed", false).
		has("draws.0.pool", "ai_quota").has("draws.0.amount", "2").has("draws.0.unit", "ai_service").
		has("draws.1.pool", "purchased").has("draws.1.amount", "3").has("draws.1.unit", "credit")
	again := w.post(a+"/usage", "u2", "{\"attributes\":{ \"bot\":true},\n\"description\":\"five\",\"quantity\":5,\"meter\":\"ai_service\"}").is(200).has("replayed", true)
	if want := strings.Replace(string(first.body), `"replayed":false`, `"replayed":true`, 1); string(again.body) != want {
		t.Errorf("the original answer was %s\nnow it is %s", want, again.body)
	}
	balance := w.get(a + "/balance?min_position=" + first.text("position")).is(200)
	balance.has("total", "10").has("used", "3").has("remaining", "7").has("debt", "0").
		has("pools.0.pool", "ai_quota").has("pools.0.unit", "ai_service").has("pools.0.used", "300").has("pools.0.remaining", "0").
		has("pools.1.lots.0.remaining", "7")
	line := w.get(a + "/history?limit=1&type=usage").is(200)
	line.has("entries.0.position", first.text("position")).has("entries.0.credits", "-3").has("entries.0.description", "five").
		has("entries.0.quantity", 5).has("entries.0.key", "u2").has("entries.0.actor", "operator").has("entries.0.draws.0.pool", "ai_quota").has("entries.0.remaining", "7")
	w.get(a+"/usage?cycle=current&by=meter").is(200).has("credits", "3").has("groups.0.meter", "ai_service").has("groups.0.quantity", 303).has("groups.0.units", "300")
	w.get(a+"/usage?by=day").is(200).has("groups.0.day", "2026-01-15")
}

// The order of checks is part of the interface.
func TestOrderOfChecks(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", `{"plan":"base"}`)
	reader := w.newKey("tecpet", "reader", false, "read")
	stranger := w.newKey("adtech", "stranger", false, "usage", "read")
	w.as("cs_live_nonsense").post(a+"/usage", "", "{").refused(401, "unauthenticated")
	reader.post(a+"/usage", "", "{").refused(403, "forbidden")
	stranger.post(a+"/usage", "", "{").refused(403, "forbidden")
	stranger.get(account("nowhere", "a")+"/balance").refused(403, "forbidden")
	stranger.get(account("tecpet", "nobody")+"/balance").refused(403, "forbidden")
	w.post("/v1/tenants/nowhere/accounts/a/usage", "", "{").refused(422, "invalid").has("field", "Idempotency-Key")
	w.post("/v1/tenants/nowhere/accounts/a/usage", "k", "{").refused(404, "unknown_tenant")
	w.post(a+"/usage", "k", "{").refused(422, "invalid")
	w.post(account("tecpet", "nobody")+"/usage", "k", `{"meter":"none","quantity":1}`).refused(404, "unknown_account")
	w.post(a+"/usage", "k", `{"meter":"none","quantity":1}`).refused(404, "unknown_meter")
	w.post(a+"/usage", "k", `{"meter":"ai_service","quantity":1}`).refused(403, "meter_not_in_plan").has("blocked_by", "plan")
	w.post(a+"/usage", "k", `{"meter":"sticker","quantity":1}`).refused(402, "insufficient_credits").has("short", "1")
	w.grant(a, "purchased", "5")
	w.post(a+"/usage", "k", `{"meter":"sticker","quantity":1}`).is(200).has("replayed", false) // a refusal did not consume it
	w.post(a+"/usage", "k", `{"meter":"sticker","quantity":2}`).refused(409, "idempotency_conflict")
	w.post(a+"/close", "", `{"reason":"left"}`).is(200).has("status", "closed")
	w.post(a+"/usage", "k2", `{"meter":"sticker","quantity":1}`).refused(409, "account_closed")
	w.post(a+"/usage", "k2", `{"meter":"none","quantity":1}`).refused(404, "unknown_meter")
	w.post(a+"/usage", "k", `{"meter":"sticker","quantity":1}`).is(200).has("replayed", true)
	w.post(a+"/reopen", "", nil).is(200).has("status", "open")
	w.post(a+"/usage", "k3", `{"meter":"sticker","quantity":1,"time":"2025-11-01T00:00:00Z"}`).refused(422, "late_event")
	w.post(a+"/usage", "k3", `{"meter":"sticker","quantity":1,"time":"2026-01-15T12:06:00Z"}`).refused(422, "invalid").has("field", "time")
}

// What is not understood exactly is refused with the name of the field.
func TestStrictBodies(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", "")
	for body, field := range map[string]string{
		`{"meter":"sticker","quantity":1.5}`:                                           "quantity",
		`{"meter":"sticker","quantity":"5"}`:                                           "quantity",
		`{"meter":"sticker","quantity":1e3}`:                                           "quantity",
		`{"meter":"sticker","quantity":0}`:                                             "quantity",
		`{"meter":"sticker","quantity":1000000000001}`:                                 "quantity",
		`{"meter":"sticker"}`:                                                          "quantity",
		`{"quantity":1}`:                                                               "meter",
		`{"meter":"sticker","quantity":1,"quantity":1}`:                                "quantity",
		`{"meter":"sticker","quantity":1,"amount":1}`:                                  "amount",
		`{"meter":"sticker","quantity":1,"time":"yesterday"}`:                          "time",
		`{"meter":"sticker","quantity":1,"attributes":[]}`:                             "attributes",
		`{"meter":"stick\u0000er","quantity":1}`:                                       "meter",
		`{"meter":"` + strings.Repeat("m", 129) + `","quantity":1}`:                    "meter",
		`{"meter":"m","quantity":1,"description":"` + strings.Repeat("d", 1025) + `"}`: "description",
	} {
		w.post(a+"/usage", "k", body).refused(422, "invalid").has("field", field)
	}
	w.post(a+"/usage", "k", `{"meter":"m","quantity":1,"description":"`+strings.Repeat("d", 2<<20)+`"}`).refused(413, "too_large")
	w.post(a+"/usage", strings.Repeat("k", 256), `{"meter":"m","quantity":1}`).refused(422, "invalid").has("field", "Idempotency-Key")
	w.get("/v1/tenants/tecpet/accounts/"+strings.Repeat("a", 129)).refused(422, "invalid").has("field", "account")
	w.get("/v1/nothing").refused(404, "not_found")
	w.get("/v1/tenants/tecpet/accounts//balance").refused(404, "not_found")
	w.get("/v1/tenants/tecpet/accounts/%2E%2E/balance").refused(404, "unknown_account")
	if allow := w.send(http.MethodDelete, a+"/usage", nil).refused(405, "method_not_allowed").header.Get("Allow"); allow != "GET, POST" {
		t.Errorf("allowed are %s", allow)
	}
}

func event(id, subject, meter string, quantity int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/shop","type":"creditstream.usage","subject":%q,"data":{"meter":%q,"quantity":%d}}`, id, subject, meter, quantity)
}

// Events come one by one or in batches, in every content mode, each for itself and in order.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.open("tecpet", "a", "")
	w.grant(account("tecpet", "a"), "purchased", "10")
	path := "/v1/tenants/tecpet/events"
	batch := "[" + strings.Join([]string{
		event("e1", "a", "sticker", 1), event("e1", "a", "sticker", 1), event("e2", "nobody", "sticker", 1),
		event("e3", "a", "sticker", 100), event("e1", "a", "sticker", 2), event("e4", "a", "sticker", 2),
		strings.Replace(event("e5", "a", "sticker", 1), `"quantity":1`, `"quantity":1.5`, 1), "7",
	}, ",") + "]"
	got := w.send(http.MethodPost, path, batch, "Content-Type: application/cloudevents-batch+json").is(200)
	got.has("results.0.status", "recorded").has("results.0.remaining", "9").has("results.0.replayed", false).
		has("results.1.status", "recorded").has("results.1.replayed", true).
		has("results.2.status", "refused").has("results.2.code", "unknown_account").
		has("results.3.code", "insufficient_credits").has("results.3.short", "91").
		has("results.4.code", "idempotency_conflict").has("results.5.remaining", "7").
		has("results.6.code", "invalid").has("results.6.field", "data.quantity").has("results.7.code", "invalid")
	if n := len(got.field("results").([]any)); n != 8 {
		t.Errorf("%d results of 8 events", n)
	}
	w.send(http.MethodPost, path, event("e4", "a", "sticker", 2), "Content-Type: application/cloudevents+json; charset=utf-8").is(200).has("results.0.replayed", true)
	w.send(http.MethodPost, path, `{"meter":"sticker","quantity":2}`, "Content-Type: application/json", "ce-specversion: 1.0", "ce-id: e4",
		"ce-source: /shop", "ce-type: creditstream.usage", "ce-subject: a", "ce-traceparent: 00-1").is(200).has("results.0.replayed", true)
	w.send(http.MethodPost, path, `{"meter":"sticker","quantity":2}`, "Content-Type: application/json", "ce-specversion: 1.0", "ce-id: e6",
		"ce-source: /%6Fther", "ce-type: creditstream.usage", "ce-subject: a").is(200).has("results.0.remaining", "5")
	w.get(account("tecpet", "a")+"/history?limit=1").is(200).has("entries.0.source", "/other").has("entries.0.key", "e6")
	w.post(path, "", "[]").is(200)
	w.post(path, "", "nonsense").refused(422, "invalid")
	w.post(path, "", strings.Repeat(" ", 5<<20)).refused(413, "too_large")
	for text, field := range map[string]string{
		strings.Replace(event("x", "a", "sticker", 1), `"1.0"`, `"0.3"`, 1):                                      "specversion",
		strings.Replace(event("x", "a", "sticker", 1), "creditstream.usage", "other", 1):                         "type",
		strings.Replace(event("x", "a", "sticker", 1), `"subject":"a",`, "", 1):                                  "subject",
		strings.Replace(event("", "a", "sticker", 1), `"id":"",`, "", 1):                                         "id",
		strings.Replace(event("x", "a", "sticker", 1), `"data":{"meter":"sticker","quantity":1}`, `"data":3`, 1): "data",
	} {
		w.post(path, "", text).is(200).has("results.0.status", "refused").has("results.0.field", field)
	}
}

func TestChecks(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", `{"plan":"ai"}`)
	w.open("tecpet", "b", `{"plan":"base"}`)
	w.post(a+"/check", "", `{"meter":"ai_service","quantity":3}`).is(200).has("allowed", true).has("cost", "0").has("remaining_units", 300).has("draws.0.amount", "3")
	w.post(a+"/check", "", `{"meter":"sticker","quantity":1}`).is(200).has("allowed", false).has("code", "insufficient_credits").has("cost", "1").has("short", "1")
	w.post(account("tecpet", "b")+"/check", "", `{"meter":"ai_service","quantity":1}`).is(200).has("allowed", false).has("code", "meter_not_in_plan").has("blocked_by", "plan")
	w.post(account("tecpet", "c")+"/check", "", `{"meter":"sticker","quantity":1}`).refused(404, "unknown_account")
	w.post(a+"/check", "", `{"meter":"none","quantity":1}`).refused(404, "unknown_meter")
	got := w.post("/v1/tenants/tecpet/checks", "", `{"checks":[{"account":"a","meter":"ai_service","quantity":301},{"account":"a","meter":"ai_service"},{"account":"c","meter":"sticker"}]}`).is(200)
	got.has("results.0.allowed", false).has("results.0.account", "a").has("results.1.allowed", true).has("results.1.meter", "ai_service").has("results.2.code", "unknown_account")
	w.post("/v1/tenants/tecpet/checks", "", `{"checks":[{"account":"a"}]}`).refused(422, "invalid").has("field", "checks[0].meter")
	w.post("/v1/tenants/tecpet/checks", "", "["+strings.Repeat(`{"account":"a","meter":"m"},`, 10_000)+`{"account":"a","meter":"m"}]`).refused(413, "too_large")
	list := w.post("/v1/tenants/tecpet/balances", "", `{"accounts":["a","zzz","b"]}`).is(200)
	list.has("balances.0.account", "a").has("balances.1.code", "unknown_account").has("balances.2.account", "b")
	w.get(a+"/history").is(200).has("entries.0.type", "grant").has("entries.2", nil) // nothing was written by asking
}

func TestHolds(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", "")
	w.grant(a, "purchased", "20")
	hold := w.post(a+"/holds", "h1", `{"meter":"sticker","quantity":10,"ttl":"10m"}`).is(201).has("hold", "h1").has("cost", "10").
		has("remaining", "10").has("expires", "2026-01-15T12:10:00Z").has("draws.0.pool", "purchased")
	w.post(a+"/holds", "h1", `{"meter":"sticker","quantity":10,"ttl":"10m"}`).is(201).has("replayed", true).has("position", hold.text("position"))
	w.post(a+"/holds", "h9", `{"meter":"sticker","quantity":1,"ttl":"25h"}`).refused(422, "invalid").has("field", "ttl")
	w.get(a+"/holds").is(200).has("holds.0.hold", "h1").has("holds.0.quantity", 10)
	w.post(a+"/holds/h1/capture", "", `{"quantity":8}`).refused(422, "invalid").has("field", "Idempotency-Key")
	w.post(a+"/holds/h1/capture", "c1", `{"quantity":8}`).is(200).has("status", "captured").has("cost", "8").has("remaining", "12").has("released.0.amount", "2")
	w.post(a+"/holds/h1/capture", "c1", `{"quantity":8}`).is(200).has("replayed", true)
	w.post(a+"/holds/h1/capture", "c2", `{"quantity":8}`).refused(409, "hold_closed")
	w.post(a+"/holds/h7/capture", "c2", `{}`).refused(404, "unknown_hold")
	w.post(a+"/holds", "h2", `{"meter":"sticker","quantity":2}`).is(201)
	w.post(a+"/holds/h2/release", "", nil).is(200).has("status", "released").has("released.0.amount", "2")
	w.post(a+"/holds/h2/release", "", nil).refused(409, "hold_closed")
	lines := w.get(a + "/history?limit=4").is(200)
	lines.has("entries.0.type", "release").has("entries.0.credits", "2").has("entries.1.type", "hold").has("entries.1.credits", "-2").
		has("entries.2.type", "usage").has("entries.2.credits", "-8").has("entries.3.type", "release").has("entries.3.credits", "10")
	w.post(a+"/usage/c1/reverse", "r1", `{"quantity":3,"reason":"failed"}`).is(200).has("status", "reversed").has("credits", "3").has("draws.0.lot", "l1")
}

func TestGrantsLotsAndReversals(t *testing.T) {
	w := newWorld(t)
	a := w.open("adtech", "a", `{"plan":"pro"}`)
	service := w.newKey("adtech", "robot", false, "grant", "read")
	person := w.newKey("adtech", "ana", true, "grant", "read")
	usage := w.newKey("adtech", "feature", false, "usage", "read")
	body := `{"pool":"extra","credits":"100.5","reason":"invoice 7","kind":"sold","price":{"currency":"EUR","amount":"50"},"invoice_ref":"F-7"}`
	service.post(a+"/grants", "g1", body).refused(403, "forbidden")
	usage.post(a+"/grants", "g1", body).refused(403, "forbidden")
	got := person.post(a+"/grants", "g1", body).is(201).has("lot", "l2").has("credits", "100.5").has("expires", "2027-01-15T12:00:00Z").has("replayed", false)
	person.post(a+"/grants", "g1", body).is(201).has("replayed", true).has("position", got.text("position"))
	person.post(a+"/grants", "g2", `{"pool":"extra","credits":"1"}`).refused(422, "invalid").has("field", "reason")
	person.post(a+"/grants", "g2", `{"pool":"none","credits":"1","reason":"x"}`).refused(404, "unknown_pool")
	person.post(a+"/grants", "g2", `{"pool":"extra","credits":"1.1234567","reason":"x"}`).refused(422, "invalid").has("field", "credits")
	person.post(a+"/grants", "g2", `{"pool":"extra","credits":"1","reason":"x","expires":null}`).is(201).has("expires", nil)
	w.open("adtech", "s", `{"plan":"standard"}`)
	person.post(account("adtech", "s")+"/grants", "g1", body).refused(403, "plan_not_eligible").has("blocked_by", "plan")
	lots := person.get(a+"/lots?limit=2").is(200).has("lots.1.lot", "l2").has("lots.1.kind", "sold").has("lots.1.paid", true).has("lots.1.price.amount", "50.00").has("next", "2")
	person.get(a+"/lots?limit=2&cursor="+lots.text("next")).is(200).has("lots.0.lot", "l3").has("lots.0.expires", nil).has("lots.0.price", nil)
	person.get(a+"/history?type=grant&limit=1").is(200).has("entries.0.actor", "ana")
	service.post(a+"/lots/l3/revoke", "v1", `{"reason":"mistake"}`).refused(403, "forbidden")
	person.post(a+"/lots/l3/revoke", "v1", `{"reason":"mistake"}`).is(200).has("revoked", "1").has("pool", "extra")
	person.post(a+"/lots/l3/revoke", "v1", `{"reason":"mistake"}`).is(200).has("replayed", true)
	person.post(a+"/lots/l9/revoke", "v2", `{"reason":"mistake"}`).refused(404, "unknown_lot")

	usage.post(a+"/usage", "u1", `{"meter":"custom_image","quantity":3}`).is(200).has("cost", "1.5")
	usage.post(a+"/usage/u1/reverse", "x1", `{"quantity":4}`).refused(409, "reversal_exceeds_usage")
	usage.post(a+"/usage/u0/reverse", "x1", `{}`).refused(404, "unknown_usage")
	usage.post(a+"/usage/u1/reverse", "x1", `{"quantity":1}`).is(200).has("credits", "0.5").has("usage", "u1").has("replayed", false)
	w.post("/v1/admin/test-clock", "", `{"now":"2026-01-17T00:00:00Z"}`).is(200)
	usage.post(a+"/usage/u1/reverse", "x1", `{"quantity":1}`).is(200).has("replayed", true) // however late
	usage.post(a+"/usage/u1/reverse", "x2", `{}`).refused(403, "forbidden")
	both := w.newKey("adtech", "lead", true, "grant", "usage")
	both.post(a+"/usage/u1/reverse", "x2", `{}`).is(200).has("quantity", 2)
}

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	a := w.open("wanclouds", "a", `{"plan":"free","timezone":"Europe/Madrid","anchor":"2025-12-20T00:00:00Z","payment_method":{"reference":"pm_1","brand":"Visa","last4":"4242"},"metadata":{"x":"1","y":2}}`)
	w.get(a).is(200).has("status", "open").has("plan", "free").has("timezone", "Europe/Madrid").has("payment_method.label", "Visa •••• 4242").
		has("payment_method.reference", nil).has("metadata.x", "1").has("cycle.from", "2025-12-20T00:00:00Z").has("cycle.to", "2026-01-20T00:00:00Z")
	w.put(a, `{"metadata":{"x":null,"z":true}}`).is(200).has("metadata.x", nil).has("metadata.y", 2).has("metadata.z", true).has("plan", "free")
	w.put(a, `{"metadata":null,"payment_method":null}`).is(200).has("payment_method", nil).has("metadata.y", nil)
	w.put(a, `{"plan":"pro"}`).is(200).has("plan", "pro").has("cycle.from", "2026-01-15T12:00:00Z")
	w.put(a, `{"plan":null}`).is(200).has("plan", "pro").has("pending.plan", nil).has("pending.due", "2026-02-15T12:00:00Z")
	w.put(a, `{"plan":"none"}`).refused(404, "unknown_plan")
	w.put(a, `{"anchor":"2025-01-01T00:00:00Z"}`).refused(422, "invalid").has("field", "anchor")
	w.put(a, `{"timezone":"Mars/Base"}`).refused(422, "invalid").has("field", "timezone")
	w.put(a, `{"approval":{"pin":"12345"}}`).refused(422, "invalid").has("field", "approval.pin")
	w.put(a, `{"approval":{"pin":"123456","totp":true}}`).refused(422, "invalid").has("field", "approval.pin")
	if uri := w.put(a, `{"approval":{"totp":true}}`).is(200).has("approval", "totp").text("provisioning_uri"); !strings.HasPrefix(uri, "otpauth://totp/") {
		t.Errorf("the provisioning URI is %q", uri)
	}
	w.put(a, `{"approval":{"pin":"482913"}}`).is(200).has("approval", "pin").has("provisioning_uri", nil)
	if all := w.get("/v1/tenants/wanclouds/events").is(200); strings.Contains(string(all.body), "482913") || strings.Contains(string(all.body), "pm_2") {
		t.Error("a secret is in the journal")
	}
	w.put(a, `{"approval":null}`).is(200).has("approval", nil)
	for i := range 5 {
		w.open("wanclouds", fmt.Sprintf("list-%d", i), `{"plan":"free"}`)
	}
	page := w.get("/v1/tenants/wanclouds/accounts?limit=2&q=list").is(200).has("accounts.0.account", "list-0").has("accounts.1.account", "list-1")
	page = w.get("/v1/tenants/wanclouds/accounts?limit=2&q=list&cursor="+page.text("next")).is(200).has("accounts.0.account", "list-2")
	w.get("/v1/tenants/wanclouds/accounts?limit=2&q=list&cursor="+page.text("next")).is(200).has("accounts.0.account", "list-4").has("next", nil)
	w.get("/v1/tenants/wanclouds/accounts?plan=pro").is(200).has("accounts.0.account", "a").has("accounts.1", nil)
	w.get("/v1/tenants/wanclouds/accounts?status=closed").is(200).has("accounts.0", nil)
	w.get("/v1/tenants/wanclouds/accounts?limit=1001").refused(422, "invalid").has("field", "limit")
	w.get("/v1/tenants/wanclouds/accounts?cursor=%21").refused(422, "invalid").has("field", "cursor")
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	lines := `{"account":"i1","plan":"ai","lots":[{"pool":"purchased","credits":"12.5","expires":"2026-06-01T00:00:00Z","kind":"purchase","price":{"currency":"BRL","amount":"10.00"}}]}
{"account":"i2","lots":[{"pool":"none","credits":"1"}]}

{"account":"i3","lotz":[]}
not json
{"account":"i5"}
`
	path := "/v1/tenants/tecpet/accounts/batch"
	w.post(path, "", lines).refused(422, "invalid").has("field", "Idempotency-Key")
	got := w.post(path, "import-1", lines).is(200).has("opened", 2).has("refused", 3).has("replayed", 0)
	got.has("refusals.0.line", 4).has("refusals.0.field", "lotz").has("refusals.1.line", 5).has("refusals.2.line", 2).has("refusals.2.code", "unknown_pool")
	w.get(account("tecpet", "i1")+"/balance").is(200).has("remaining", "12.5")
	w.get(account("tecpet", "i2")).refused(404, "unknown_account")
	w.post(path, "import-1", lines).is(200).has("opened", 0).has("replayed", 2).has("refused", 3)
	w.post(path, "import-2", `{"account":"i1"}`).is(200).has("refusals.0.code", "invalid")
	var many strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&many, "{\"account\":\"m%d\",\"lots\":[{\"pool\":\"purchased\",\"credits\":\"1\"}]}\n", i)
	}
	w.post(path, "import-3", many.String()).is(200).has("opened", 1200)
}

func TestCatalog(t *testing.T) {
	w := newWorld(t)
	path := "/v1/tenants/tecpet/catalog"
	current := w.get(path).is(200).has("version", 1).has("catalog.name", "TecPet")
	changed := strings.Replace(current.text("source"), `name: "TecPet"`, `name: "TecPet 2"`, 1)
	w.send(http.MethodPut, path+"?dry_run=true", changed).is(200).has("version", 1).has("dry_run", true).has("diff.0", `name "TecPet" → "TecPet 2"`)
	w.send(http.MethodPut, path, changed).is(200).has("version", 2).has("diff.0", `name "TecPet" → "TecPet 2"`)
	w.send(http.MethodPut, path, changed).is(200).has("version", 2).has("diff.0", nil)
	var inForce struct{ Catalog json.RawMessage }
	if err := json.Unmarshal(w.get(path).is(200).body, &inForce); err != nil {
		t.Fatal(err)
	}
	w.send(http.MethodPut, path, string(inForce.Catalog)).is(200).has("version", 2) // the same as JSON
	bad := w.send(http.MethodPut, path, "name: x\nmeterz: {}\n").refused(422, "invalid")
	if bad.field("problems.0.message") == nil {
		t.Errorf("no problems are named: %s", bad.body)
	}
	w.get(path+"?version=1").is(200).has("catalog.name", "TecPet")
	w.get(path+"?version=9").refused(404, "not_found")
	if yaml := w.get(path, "Accept: application/yaml").is(200); !strings.HasPrefix(string(yaml.body), `name: "TecPet 2"`) {
		t.Errorf("as YAML: %.60s", yaml.body)
	}
	w.newKey("tecpet", "pricing", true, "catalog").send(http.MethodPut, path, changed).is(200)
	w.newKey("tecpet", "feature", false, "usage", "read").send(http.MethodPut, path, changed).refused(403, "forbidden")
}

// A balance can be asked for as of a time, and as it was known at one.
func TestBalanceAsOf(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", "")
	w.grant(a, "purchased", "10")
	w.post("/v1/admin/test-clock", "", `{"now":"2026-01-20T00:00:00Z"}`).is(200).has("now", "2026-01-20T00:00:00Z")
	w.post(a+"/usage", "u1", `{"meter":"sticker","quantity":3}`).is(200)
	w.post("/v1/admin/test-clock", "", `{"now":"2026-01-21T00:00:00Z"}`).is(200)
	late := w.post(a+"/usage", "u2", `{"meter":"sticker","quantity":2,"time":"2026-01-18T00:00:00Z"}`).is(200)
	w.get(a+"/balance").is(200).has("remaining", "5")
	w.get(a+"/balance?at=2026-01-19T00:00:00Z").is(200).has("remaining", "8").has("at", "2026-01-19T00:00:00Z")
	w.get(a+"/balance?at=2026-01-19T00:00:00Z&known_at=2026-01-20T12:00:00Z").is(200).has("remaining", "10")
	w.get(a+"/balance?at=2026-01-19T00:00:00Z&known_at="+late.text("position")).is(200).has("remaining", "8")
	w.get(a+"/balance?at=2026-01-19T00:00:00Z&known_at=2.0").refused(422, "invalid").has("field", "known_at")
	w.get(a+"/balance?at=2026-01-19T00:00:00Z&known_at=soon").refused(422, "invalid").has("field", "known_at")
	w.get(a+"/balance?at=2027-01-19T00:00:00Z").refused(422, "invalid").has("field", "at")
	w.get(a+"/balance?at=2026-01-01T00:00:00Z").refused(422, "invalid").has("field", "at")
	w.get(a+"/balance?min_position=99999.0").refused(503, "unavailable")
	if w.get(a+"/balance?min_position=99999.0").header.Get("Retry-After") == "" {
		t.Error("unavailable without Retry-After")
	}
	w.get(a+"/balance?min_position=x").refused(422, "invalid").has("field", "min_position")
	w.get(account("tecpet", "b")+"/balance?at=2026-01-19T00:00:00Z").refused(404, "unknown_account")
	w.post("/v1/admin/test-clock", "", `{"now":"2026-01-01T00:00:00Z"}`).refused(422, "invalid").has("field", "now")
	w.post("/v1/admin/test-clock", "", `{"now":"2027-03-01T00:00:00Z"}`).is(200)
	w.get(a+"/history?type=expiry").is(200).has("entries.0.credits", "-5").has("entries.0.time", "2027-01-15T12:00:00Z").has("entries.0.remaining", "0")
}

// The journal can be read by anybody who may, from any place, and followed.
func TestJournal(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", "")
	w.open("tecpet", "b", "")
	w.grant(a, "purchased", "10")
	use := w.post(a+"/usage", "u1", `{"meter":"sticker","quantity":1}`).is(200)
	all := lines(t, w.get("/v1/tenants/tecpet/events").is(200).body)
	if kind := all[0]["type"]; kind != "creditstream.CatalogPublished.v1" {
		t.Errorf("the journal starts with %v", kind)
	}
	last := all[len(all)-1]
	if last["type"] != "creditstream.UsageRecorded.v1" || last["position"] != use.text("position") || last["entrykey"] != "u1" {
		t.Errorf("the last event is %v", last)
	}
	if mine := lines(t, w.get("/v1/tenants/tecpet/events?account=b").is(200).body); len(mine) != 1 || mine[0]["subject"] != "b" {
		t.Errorf("the events of b are %v", mine)
	}
	if used := lines(t, w.get("/v1/tenants/tecpet/events?type=UsageRecorded").is(200).body); len(used) != 1 {
		t.Errorf("the uses are %v", used)
	}
	if from := lines(t, w.get("/v1/tenants/tecpet/events?from_position="+use.text("position")).is(200).body); len(from) != 1 {
		t.Errorf("from the use on there are %d events", len(from))
	}
	w.get("/v1/tenants/tecpet/events?from_position=x").refused(422, "invalid")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/v1/tenants/tecpet/events?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", use.text("position"))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	next := w.post(a+"/usage", "u2", `{"meter":"sticker","quantity":1}`).is(200)
	stream := bufio.NewScanner(response.Body)
	for stream.Scan() && stream.Text() == "" {
	}
	if got := stream.Text(); got != "id: "+next.text("position") {
		t.Errorf("the stream goes on with %q, want %s", got, next.text("position"))
	}
	if !stream.Scan() || !strings.HasPrefix(stream.Text(), "data: {") {
		t.Errorf("the stream then has %q", stream.Text())
	}
}

func lines(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, event)
	}
	return all
}

func TestOperator(t *testing.T) {
	w := newWorld(t)
	w.post("/v1/admin/tenants", "", `{"tenant":"new-shop","shards":2}`).is(201).has("shards", 2).has("catalog", 0)
	w.post("/v1/admin/tenants", "", `{"tenant":"new-shop"}`).is(201).has("shards", 2)
	w.post("/v1/admin/tenants", "", `{"tenant":"new-shop","shards":3}`).refused(422, "invalid").has("field", "shards")
	w.post("/v1/admin/tenants", "", `{"tenant":"New Shop"}`).refused(422, "invalid").has("field", "tenant")
	w.get("/v1/admin/tenants").is(200).has("tenants.1.tenant", "new-shop")

	made := w.post("/v1/admin/keys", "", `{"tenant":"tecpet","actor":"feature","scopes":["usage","read"]}`).is(201).has("tenant", "tecpet").has("scopes.0", "usage")
	holder := w.as(made.text("key"))
	holder.get("/v1/tenants/tecpet/accounts").is(200)
	holder.get("/v1/admin/views").refused(403, "forbidden")
	w.newKey("tecpet", "boss", true, "admin").get("/v1/admin/views").refused(403, "forbidden") // of a tenant, not of the operator
	if list := w.get("/v1/admin/keys?tenant=tecpet").is(200); strings.Contains(string(list.body), "cs_live_") || !strings.Contains(string(list.body), `"actor":"feature"`) {
		t.Errorf("the list of keys: %s", list.body)
	}
	w.send(http.MethodDelete, "/v1/admin/keys/"+made.text("id"), nil).is(200)
	holder.get("/v1/tenants/tecpet/accounts").refused(401, "unauthenticated")
	w.send(http.MethodDelete, "/v1/admin/keys/none", nil).refused(404, "not_found")
	w.post("/v1/admin/keys", "", `{"tenant":"nowhere","actor":"x","scopes":["usage"]}`).refused(404, "unknown_tenant")
	w.post("/v1/admin/keys", "", `{"actor":"x","scopes":["everything"]}`).refused(422, "invalid").has("field", "scopes")

	w.open("tecpet", "a", `{"plan":"ai"}`)
	w.post(account("tecpet", "a")+"/usage", "u", `{"meter":"ai_service","quantity":1}`).is(200)
	w.get("/v1/admin/views").is(200).has("views.0.view", "accounts")
	for _, view := range []string{"accounts", "statement", "usage"} {
		w.post("/v1/admin/views/"+view+"/rebuild?tenant=tecpet", "", nil).is(200).has("rebuilt.0.switched", true).has("rebuilt.0.different", 0)
	}
	w.post("/v1/admin/views/none/rebuild", "", nil).refused(404, "not_found")
	w.post("/v1/admin/verify", "", nil).is(200).has("ok", true).has("journals.0.lost", 0)
	w.get(account("tecpet", "a")+"/usage").is(200).has("groups.0.quantity", 1)
	w.get("/v1/admin/test-clock").is(200).has("now", "2026-01-15T12:00:00Z")
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", "")
	b := w.open("tecpet", "b", "")
	key := w.newKey("tecpet", "site", false, "read")
	made := key.post(a+"/tokens", "", `{"purpose":"widget","ttl":"5m"}`).is(201).has("scopes.0", "read").has("expires", "2026-01-15T12:05:00Z")
	token := w.as(made.text("token"))
	token.get(a + "/balance").is(200)
	token.get(b+"/balance").refused(403, "forbidden")
	token.get("/v1/tenants/tecpet/accounts").refused(403, "forbidden")
	// The account stands in the query there.
	token.get("/v1/tenants/tecpet/packs?account=a").is(200).has("packs.0.pack", "pack-50")
	for _, query := range []string{"?account=b", "?account=b&account=a", "?account=", ""} {
		token.get("/v1/tenants/tecpet/packs"+query).refused(403, "forbidden")
	}
	token.get("/v1/tenants/adtech/packs?account=a").refused(403, "forbidden")
	token.post(a+"/usage", "u", `{"meter":"sticker","quantity":1}`).refused(403, "forbidden")
	token.post(a+"/tokens", "", nil).refused(403, "forbidden")
	key.post(a+"/tokens", "", `{"scopes":["purchase"]}`).refused(403, "forbidden")
	key.post(a+"/tokens", "", `{"ttl":"2h"}`).refused(422, "invalid").has("field", "expires")
	key.post(account("tecpet", "c")+"/tokens", "", nil).refused(404, "unknown_account")
	w.post("/v1/admin/test-clock", "", `{"now":"2026-01-15T12:06:00Z"}`).is(200)
	token.get(a+"/balance").refused(401, "unauthenticated")
}

func TestDocumentAndHealth(t *testing.T) {
	w := newWorld(t)
	w.get("/healthz").is(200).has("status", "ok")
	w.get("/readyz").is(200).has("status", "ready")
	w.get("/openapi.json").is(200).has("openapi", "3.1.0")
	if page := w.get("/docs").is(200); regexp.MustCompile(`(src|href)="(https?:)?//`).Match(page.body) {
		t.Errorf("the page of the document loads something from elsewhere: %s", page.body)
	}
	w.get("/docs/swagger-ui-bundle.js").is(200)
	if m := string(w.get("/metrics").is(200).body); !strings.Contains(m, `creditstream_http_requests_total{operation="healthz",status="200"} 1`) {
		t.Errorf("healthz was not counted:\n%.2000s", m)
	}
}

// Without a key a server in development takes the operator's requests from this machine, and from no
// page of another site.
func TestRequestsWithoutAKey(t *testing.T) {
	w := newWorld(t)
	w.get("/v1/admin/views", "Origin: https://evil.example").refused(403, "forbidden")
	w.get("/v1/admin/views", "Sec-Fetch-Site: cross-site").refused(403, "forbidden")
	w.get("/v1/admin/views", "Sec-Fetch-Site: same-origin", "Origin: "+w.base).is(200)
	strict := newWorld(t, func(c *node.Config) { c.Dev = false })
	answer := strict.get("/v1/admin/views").refused(401, "unauthenticated")
	if answer.header.Get("WWW-Authenticate") == "" {
		t.Error("no way to authenticate is named")
	}
}
