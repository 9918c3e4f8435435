package node_test

import (
	"slices"
	"testing"
)

const card = `{"payment_method":{"provider":"sandbox","reference":"pm_1","brand":"visa","last4":"4242"}}`

// Wanclouds' customers top up a paid plan for the rest of the cycle (W1–W12).
func TestWanclouds(t *testing.T) {
	s := open(t, "2026-01-31T08:00:00Z").of("wanclouds")
	// W1: not on the free plan; an upgrade from it begins a cycle.
	s.put(t, "accounts/acme", `{"plan":"free"}`).is(t, 200)
	s.put(t, "accounts/acme", card).is(t, 200).want(t, "payment_method.provider", "sandbox", "payment_method.label", "visa •••• 4242")
	s.post(t, "accounts/acme/purchases", `{"pack":"usd-100"}`, "b1").refused(t, 403, "plan_not_eligible").want(t, "blocked_by", "plan")
	s.post(t, "accounts/acme/purchases", `{"pack":"usd-1"}`, "b1").refused(t, 404, "unknown_pack")
	s.spend(t, "acme", "assistant_token", 250_000, "u1").is(t, 200).want(t, "remaining", "750000")
	s.clock(t, "2026-02-10T09:00:00Z")
	s.put(t, "accounts/acme", `{"plan":"pro"}`).is(t, 200).want(t, "plan", "pro", "cycle.from", "2026-02-10T09:00:00Z", "cycle.to", "2026-03-10T09:00:00Z")
	s.balance(t, "acme").want(t, "total", "10000000", "used", "0", "expired", "0", "remaining", "10000000")

	// W8: the saved method, charged after the buyer confirmed.
	s.put(t, "accounts/acme", `{"payment_method":null}`).is(t, 200).want(t, "payment_method", "")
	s.post(t, "accounts/acme/purchases", `{"pack":"usd-100"}`, "b1").refused(t, 402, "payment_method_required")
	s.put(t, "accounts/acme", card).is(t, 200)
	p := s.post(t, "accounts/acme/purchases", `{"pack":"usd-100"}`, "b1").is(t, 201).
		want(t, "credits", "8000000", "price.currency", "USD", "price.amount", "100.00", "status", "awaiting_payment").text("purchase")
	s.balance(t, "acme").want(t, "total", "10000000")
	status := s.post(t, "accounts/acme/purchases/"+p+"/confirm", "").is(t, 200).text("status")
	if !slices.Contains([]string{"processing", "completed"}, status) {
		t.Errorf("confirmed: %s", status)
	}
	s.post(t, "payments/sandbox/"+p+"/succeed", "").is(t, 200).want(t, "status", "completed")
	// W4, W5, W9, W10.
	s.balance(t, "acme").want(t, "total", "18000000", "used", "0", "remaining", "18000000", "pools.topup.expires", "2026-03-10T09:00:00Z")

	// W2, W3.
	for pack, credits := range map[string]string{"usd-500": "40000000", "usd-1000": "80000000", "usd-2000": "160000000"} {
		s.post(t, "accounts/acme/purchases", `{"pack":"`+pack+`"}`, "ask-"+pack).is(t, 201).want(t, "credits", credits)
	}
	for amount, credits := range map[string]string{"12.34": "987200", "5": "400000", "5.00": "400000", "10000.00": "800000000", "100": "8000000"} {
		s.post(t, "accounts/acme/purchases", `{"topup":{"currency":"USD","amount":"`+amount+`"}}`, "ask-"+amount).is(t, 201).want(t, "credits", credits)
	}
	for _, topup := range []string{`"USD","amount":"4.99"`, `"USD","amount":"10000.01"`, `"USD","amount":"12.345"`, `"EUR","amount":"12"`, `"USD","amount":"-12"`, `"USD","amount":12`} {
		s.post(t, "accounts/acme/purchases", `{"topup":{"currency":`+topup+`}}`, "bad").refused(t, 422, "invalid")
	}
	s.get(t, "packs?account=acme").is(t, 200).want(t, "packs.#", "4", "topup.min.amount", "5.00", "topup.max.amount", "10000.00", "allowed", "true")

	// W6, W11: the allowance first, then top-ups.
	s.spend(t, "acme", "assistant_token", 10_000_003, "u2").is(t, 200).want(t, "draws.#", "2", "draws.0.pool", "allowance", "draws.0.amount", "10000000",
		"draws.1.pool", "topup", "draws.1.amount", "3", "remaining", "7999997")
	s.balance(t, "acme").want(t, "total", "18000000", "used", "10000003", "remaining", "7999997")

	// A refund takes back what is left: floor(100.00 × 7,999,997 / 8,000,000).
	s.post(t, "accounts/acme/purchases/"+p+"/refund", `{"reason":"changed their mind"}`, "rf").is(t, 200).want(t, "status", "refunded", "money.amount", "99.99")
	s.balance(t, "acme").want(t, "total", "18000000", "used", "10000003", "revoked", "7999997", "remaining", "0")
	s.get(t, "accounts/acme/purchases/"+p).is(t, 200).want(t, "status", "refunded")

	// W7: a top-up ends with the cycle in which it was paid, whenever it was asked for.
	late := s.post(t, "accounts/acme/purchases", `{"topup":{"currency":"USD","amount":"10"}}`, "b2").is(t, 201).text("purchase")
	s.buy(t, "acme", `{"topup":{"currency":"USD","amount":"20"}}`, "b3")
	s.balance(t, "acme").want(t, "remaining", "1600000")
	s.clock(t, "2026-03-10T09:00:00Z")
	s.balance(t, "acme").want(t, "total", "10000000", "used", "0", "expired", "0", "remaining", "10000000")
	s.get(t, "accounts/acme/purchases/"+late).is(t, 200).want(t, "status", "expired")
	s.post(t, "payments/sandbox/"+late+"/succeed", "").is(t, 200).want(t, "status", "completed")
	s.balance(t, "acme").want(t, "total", "10800000", "remaining", "10800000", "pools.topup.expires", "2026-04-10T09:00:00Z")
	s.balance(t, "acme", "at=2026-03-10T08:59:59.999999999Z").want(t, "total", "19600000", "used", "10000003", "revoked", "7999997", "remaining", "1600000")
	s.get(t, "accounts/acme/history?type=expiry&pool=topup").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-1600000")
}

// Cycles are counted from the anchor, never from the last boundary.
func TestWancloudsMonthsFromTheLastOfJanuary(t *testing.T) {
	s := open(t, "2026-01-31T08:00:00Z").of("wanclouds")
	s.put(t, "accounts/acme", `{"plan":"pro"}`).is(t, 200).want(t, "cycle.to", "2026-02-28T08:00:00Z")
	s.clock(t, "2026-02-28T08:00:00Z")
	s.balance(t, "acme").want(t, "cycle.from", "2026-02-28T08:00:00Z", "cycle.to", "2026-03-31T08:00:00Z")
	s.put(t, "accounts/past", `{"plan":"pro","anchor":"2025-12-30T08:00:00Z"}`).is(t, 200).want(t, "cycle.from", "2026-02-28T08:00:00Z", "cycle.to", "2026-03-30T08:00:00Z")
	s.put(t, "accounts/past", `{"anchor":"2025-12-29T08:00:00Z"}`).refused(t, 422, "invalid").want(t, "field", "anchor")
	s.clock(t, "2026-07-31T07:59:59Z")
	s.balance(t, "acme").want(t, "cycle.from", "2026-06-30T08:00:00Z", "cycle.to", "2026-07-31T08:00:00Z")
	s.get(t, "accounts/acme/history?type=renewal").is(t, 200).want(t, "entries.#", "5", "entries.0.time", "2026-06-30T08:00:00Z", "entries.1.time", "2026-05-31T08:00:00Z", "entries.2.time", "2026-04-30T08:00:00Z")
}

// Holds: captured, given back, timed out, and overtaken by the end of their credits.
func TestWancloudsHolds(t *testing.T) {
	s := open(t, "2026-01-31T08:00:00Z").of("wanclouds")
	s.put(t, "accounts/acme", `{"plan":"free"}`).is(t, 200)
	hold := func(key, quantity, ttl string) string {
		t.Helper()
		return s.post(t, "accounts/acme/holds", `{"meter":"assistant_token","quantity":`+quantity+`,"ttl":"`+ttl+`"}`, key).is(t, 201).want(t, "cost", quantity).text("hold")
	}
	// Charge 8 of 10 and give back 2.
	h := hold("h1", "10", "15m")
	s.balance(t, "acme").want(t, "held", "10", "remaining", "999990", "total", "1000000")
	s.get(t, "accounts/acme/holds").is(t, 200).want(t, "holds.#", "1", "holds.0.hold", h, "holds.0.expires", "2026-01-31T08:15:00Z")
	s.post(t, "accounts/acme/holds/"+h+"/capture", `{"quantity":8}`, "c1").is(t, 200).want(t, "cost", "8", "remaining", "999992", "replayed", "false")
	s.post(t, "accounts/acme/holds/"+h+"/capture", `{"quantity":8}`, "c1").is(t, 200).want(t, "cost", "8", "replayed", "true")
	s.post(t, "accounts/acme/holds/"+h+"/capture", `{"quantity":8}`, "c2").refused(t, 409, "hold_closed")
	s.balance(t, "acme").want(t, "held", "0", "used", "8", "remaining", "999992")
	s.get(t, "accounts/acme/history").is(t, 200).want(t, "entries.0.type", "usage", "entries.0.credits", "-8", "entries.1.type", "release", "entries.1.credits", "10",
		"entries.2.type", "hold", "entries.2.credits", "-10")
	// All of it given back; given back again it is no other.
	h = hold("h2", "10", "15m")
	s.post(t, "accounts/acme/holds/"+h+"/release", "").is(t, 200)
	s.balance(t, "acme").want(t, "held", "0", "remaining", "999992")
	// Dead at its end by time.
	h = hold("h3", "10", "15m")
	s.clock(t, "2026-01-31T08:14:59.999999999Z")
	s.balance(t, "acme").want(t, "held", "10")
	s.clock(t, "2026-01-31T08:15:00Z")
	s.balance(t, "acme").want(t, "held", "0", "remaining", "999992")
	s.post(t, "accounts/acme/holds/"+h+"/capture", `{"quantity":8}`, "c3").refused(t, 409, "hold_closed")
	s.post(t, "accounts/acme/holds", `{"meter":"assistant_token","quantity":1,"ttl":"2h"}`, "h4").refused(t, 422, "invalid").want(t, "field", "ttl")
	// More than was held: the excess draws further.
	h = hold("h5", "10", "1h")
	s.post(t, "accounts/acme/holds/"+h+"/capture", `{"quantity":15}`, "c5").is(t, 200).want(t, "cost", "15", "remaining", "999977")
	// Held over the end of the cycle: what comes back is expired.
	s.clock(t, "2026-02-28T07:30:00Z")
	h = hold("h6", "100", "1h")
	s.clock(t, "2026-02-28T08:00:00Z")
	s.balance(t, "acme").want(t, "total", "1000100", "held", "100", "remaining", "1000000")
	s.post(t, "accounts/acme/holds/"+h+"/release", "").is(t, 200)
	s.balance(t, "acme").want(t, "total", "1000100", "held", "0", "expired", "100", "remaining", "1000000")
	// A refusal of a hold leaves nothing.
	s.post(t, "accounts/acme/holds", `{"meter":"assistant_token","quantity":1000001}`, "h7").refused(t, 402, "insufficient_credits").want(t, "short", "1")
	s.get(t, "accounts/acme/holds").is(t, 200).want(t, "holds.#", "0")
}

// Usage that is reported late is taken from what was valid then and changes no present term; usage that
// is taken back goes to the lots that paid.
func TestWancloudsLateUsageAndReversal(t *testing.T) {
	s := open(t, "2026-01-31T08:00:00Z").of("wanclouds")
	s.put(t, "accounts/acme", `{"plan":"free"}`).is(t, 200)
	s.spend(t, "acme", "assistant_token", 400_000, "u1").is(t, 200)
	s.clock(t, "2026-02-28T08:00:00Z")
	late := `{"meter":"assistant_token","quantity":1000,"time":"2026-02-15T00:00:00Z"}`
	s.post(t, "accounts/acme/usage", late, "late").is(t, 200).want(t, "cost", "1000", "draws.#", "1", "draws.0.cycle", "1", "remaining", "1000000")
	s.balance(t, "acme").want(t, "total", "1000000", "used", "0", "expired", "0", "remaining", "1000000")
	s.get(t, "accounts/acme/usage?cycle=1").is(t, 200).want(t, "credits", "401000")
	s.get(t, "accounts/acme/usage?cycle=2").is(t, 200).want(t, "credits", "0")
	s.get(t, "accounts/acme/history?type=adjustment").is(t, 200).want(t, "entries.#", "1")
	// The books of the closed cycle: as known now, and as they were known before.
	s.balance(t, "acme", "at=2026-02-28T07:59:59Z").want(t, "used", "401000", "remaining", "599000")
	s.balance(t, "acme", "at=2026-02-28T07:59:59Z", "known_at=2026-02-28T07:59:59Z").want(t, "used", "400000", "remaining", "600000")
	// Never from a lot that began later: of the old cycle 599,000 are left.
	s.post(t, "accounts/acme/usage", `{"meter":"assistant_token","quantity":599001,"time":"2026-02-15T00:00:00Z"}`, "late-2").refused(t, 402, "insufficient_credits")
	// The window, and the future.
	s.post(t, "accounts/acme/usage", `{"meter":"assistant_token","quantity":1,"time":"2026-01-20T00:00:00Z"}`, "late-3").refused(t, 422, "late_event")
	s.post(t, "accounts/acme/usage", `{"meter":"assistant_token","quantity":1,"time":"2026-02-28T08:05:00Z"}`, "soon").is(t, 200)
	s.post(t, "accounts/acme/usage", `{"meter":"assistant_token","quantity":1,"time":"2026-02-28T08:05:01Z"}`, "future").refused(t, 422, "invalid").want(t, "field", "time")

	// price(n) − price(n − r), at most n in all.
	s.spend(t, "acme", "assistant_token", 100, "u2").is(t, 200).want(t, "remaining", "999899")
	s.post(t, "accounts/acme/usage/u2/reverse", `{"quantity":40,"reason":"failed"}`, "r1").is(t, 200).want(t, "credits", "40")
	s.post(t, "accounts/acme/usage/u2/reverse", `{"quantity":61,"reason":"failed"}`, "r2").refused(t, 409, "reversal_exceeds_usage")
	s.post(t, "accounts/acme/usage/u2/reverse", `{"quantity":60,"reason":"failed"}`, "r2").is(t, 200)
	s.balance(t, "acme").want(t, "total", "1000000", "used", "1", "remaining", "999999")
	// Into an allowance that has ended: expires in the open, and the present terms stay.
	s.post(t, "accounts/acme/usage/u1/reverse", `{"quantity":400000,"reason":"failed"}`, "r3").is(t, 200)
	s.balance(t, "acme").want(t, "total", "1000000", "used", "1", "remaining", "999999", "expired", "0")
	s.get(t, "accounts/acme/usage?cycle=1").is(t, 200).want(t, "credits", "1000")
	s.post(t, "accounts/acme/usage/never/reverse", `{"quantity":1,"reason":"x"}`, "r4").refused(t, 404, "unknown_usage")
}
