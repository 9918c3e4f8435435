package node_test

import "testing"

// person makes a key of a person and answers it.
func (s site) person(t *testing.T, actor, scopes string) string {
	t.Helper()
	return s.as("").post(t, "/v1/admin/keys", `{"tenant":"`+s.tenant+`","actor":"`+actor+`","person":true,"scopes":[`+scopes+`]}`).is(t, 201).text("key")
}

// machine makes a key of a program and answers it.
func (s site) machine(t *testing.T, actor, scopes string) string {
	t.Helper()
	return s.as("").post(t, "/v1/admin/keys", `{"tenant":"`+s.tenant+`","actor":"`+actor+`","scopes":[`+scopes+`]}`).is(t, 201).text("key")
}

// An ad platform's Pro account spends its monthly allowance, runs out, and is helped by its account
// executive (P1–P15).
func TestAdTech(t *testing.T) {
	s := open(t, "2026-01-10T10:00:00Z").of("adtech")
	// P1, P5: the cycle begins with the day, in Madrid.
	s.put(t, "accounts/shop", `{"plan":"pro"}`).is(t, 200).want(t, "cycle.from", "2026-01-09T23:00:00Z", "cycle.to", "2026-02-09T23:00:00Z")
	s.balance(t, "shop").want(t, "total", "2500", "remaining", "2500", "pools.allowance.expires", "2026-02-09T23:00:00Z")

	// P3, P10–P12.
	s.spend(t, "shop", "dynamic_video", 3, "v1").is(t, 200).want(t, "cost", "3")
	s.spend(t, "shop", "custom_image", 1, "i1").is(t, 200).want(t, "cost", "0.5")
	s.spend(t, "shop", "custom_image", 2, "i2").is(t, 200).want(t, "cost", "1")
	s.spend(t, "shop", "feed_optimization", 50, "f1").is(t, 200).want(t, "cost", "1")
	s.spend(t, "shop", "feed_optimization", 101, "f2").is(t, 200).want(t, "cost", "2.02", "remaining", "2492.48")

	// P8, P9: consumption per meter adds up to what is consumed.
	s.get(t, "accounts/shop/usage?by=meter").is(t, 200).want(t, "credits", "7.52", "groups.#", "3", "groups.dynamic_video.credits", "3",
		"groups.custom_image.credits", "1.5", "groups.custom_image.quantity", "3", "groups.feed_optimization.credits", "3.02")
	s.balance(t, "shop").want(t, "used", "7.52", "remaining", "2492.48")

	// P14: nobody buys here; P13: at 0 it stops and says whom to ask.
	s.post(t, "accounts/shop/purchases", `{"pack":"pack-50"}`, "b").refused(t, 403, "plan_not_eligible")
	s.post(t, "accounts/shop/purchases", `{"topup":{"currency":"EUR","amount":"10"}}`, "b").refused(t, 403, "plan_not_eligible").
		want(t, "blocked_by", "plan", "contact", "Ask your account executive for additional credits.")
	s.spend(t, "shop", "dynamic_video", 2492, "v2").is(t, 200).want(t, "remaining", "0.48")
	s.spend(t, "shop", "dynamic_video", 1, "v3").refused(t, 402, "insufficient_credits").
		want(t, "short", "0.52", "blocked_by", "credits", "contact", "Ask your account executive for additional credits.", "next_renewal", "2026-02-09T23:00:00Z")

	// P7, P15.
	ana := s.as(s.person(t, "ana", `"grant","read"`))
	grant := `{"pool":"extra","credits":"100","kind":"sold","reason":"renewal campaign","price":{"currency":"EUR","amount":"50.00"},"invoice_ref":"F-17"}`
	s.as(s.machine(t, "crm", `"grant"`)).post(t, "accounts/shop/grants", grant, "g1").refused(t, 403, "forbidden")
	s.as(s.person(t, "bea", `"usage","read","purchase","catalog"`)).post(t, "accounts/shop/grants", grant, "g1").refused(t, 403, "forbidden")
	ana.post(t, "accounts/shop/grants", `{"pool":"extra","credits":"100"}`, "g1").refused(t, 422, "invalid").want(t, "field", "reason")
	ana.post(t, "accounts/shop/grants", grant, "g1").is(t, 201).want(t, "replayed", "false")
	s.get(t, "accounts/shop/lots").is(t, 200).want(t, "lots.1.pool", "extra", "lots.1.paid", "true", "lots.1.kind", "sold", "lots.1.granted", "100",
		"lots.1.price.amount", "50.00", "lots.1.expires", "2027-01-10T10:00:00Z")
	s.get(t, "accounts/shop/history?type=grant&pool=extra").is(t, 200).want(t, "entries.0.actor", "ana", "entries.0.description", "renewal campaign", "entries.0.credits", "100")
	s.spend(t, "shop", "dynamic_video", 1, "v3").is(t, 200).want(t, "cost", "1", "draws.#", "2", "draws.0.pool", "allowance", "draws.0.amount", "0.48",
		"draws.1.pool", "extra", "draws.1.amount", "0.52", "remaining", "99.48")
	s.balance(t, "shop").want(t, "total", "2600", "used", "2500.52", "remaining", "99.48", "pools.extra.expires", "2027-01-10T10:00:00Z")

	// P4, P5, P6: the old allowance's last nanosecond and the new one's first; once, without rest.
	s.clock(t, "2026-02-09T22:59:59.999999999Z")
	s.balance(t, "shop").want(t, "remaining", "99.48", "pools.allowance.remaining", "0")
	s.clock(t, "2026-02-09T23:00:00Z")
	for range 3 {
		s.balance(t, "shop").want(t, "total", "2599.48", "used", "0", "expired", "0", "remaining", "2599.48", "cycle.to", "2026-03-09T23:00:00Z")
		s.clock(t, "2026-02-09T23:00:00Z")
	}
	s.spend(t, "shop", "dynamic_video", 100, "v4").is(t, 200).want(t, "draws.#", "1", "draws.0.pool", "allowance", "draws.0.cycle", "2")
	s.clock(t, "2026-03-09T22:59:59Z")
	s.balance(t, "shop").want(t, "total", "2599.48", "used", "100", "remaining", "2499.48")
	s.clock(t, "2026-03-09T23:00:00Z")
	s.balance(t, "shop").want(t, "total", "2599.48", "used", "0", "expired", "0", "cycle.to", "2026-04-09T22:00:00Z")
	s.get(t, "accounts/shop/history?type=expiry").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-2400", "entries.0.time", "2026-03-09T23:00:00Z")
	s.get(t, "accounts/shop/history?type=renewal").is(t, 200).want(t, "entries.#", "2", "entries.0.time", "2026-03-09T23:00:00Z", "entries.0.credits", "2500", "entries.1.time", "2026-02-09T23:00:00Z")
	s.get(t, "accounts/shop/usage?cycle=2").is(t, 200).want(t, "credits", "100")
	s.get(t, "accounts/shop/usage?cycle=1").is(t, 200).want(t, "credits", "2500.52")

	// A grant that names its end, and one that is taken back.
	ana.post(t, "accounts/shop/grants", `{"pool":"extra","credits":"10","kind":"goodwill","reason":"sorry","expires":"2026-03-20T00:00:00Z"}`, "g2").is(t, 201)
	lot := ana.post(t, "accounts/shop/grants", `{"pool":"extra","credits":"7","kind":"promotion","reason":"fair"}`, "g3").is(t, 201).text("lot")
	ana.post(t, "accounts/shop/lots/"+lot+"/revoke", `{}`, "rv").refused(t, 422, "invalid").want(t, "field", "reason")
	ana.post(t, "accounts/shop/lots/"+lot+"/revoke", `{"reason":"wrong account"}`, "rv").is(t, 200)
	s.balance(t, "shop").want(t, "total", "2616.48", "revoked", "7", "remaining", "2609.48", "pools.extra.expires", "2026-03-20T00:00:00Z")
	s.get(t, "accounts/shop/history?type=revocation").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-7", "entries.0.actor", "ana")
	s.clock(t, "2026-03-20T00:00:00Z")
	s.balance(t, "shop").want(t, "total", "2616.48", "revoked", "7", "expired", "10", "remaining", "2599.48")

	// Down to Standard at the next boundary: extra credits stay, frozen; up again, they are back (P2).
	s.put(t, "accounts/shop", `{"plan":"standard"}`).is(t, 200).want(t, "plan", "pro", "pending.plan", "standard")
	s.clock(t, "2026-04-09T22:00:00Z")
	s.balance(t, "shop").want(t, "total", "99.48", "frozen", "99.48", "remaining", "0")
	s.spend(t, "shop", "dynamic_video", 1, "v5").refused(t, 403, "meter_not_in_plan").want(t, "blocked_by", "plan", "contact", "Ask your account executive about the Pro plan.")
	ana.post(t, "accounts/shop/grants", grant, "g4").refused(t, 403, "plan_not_eligible")
	s.clock(t, "2026-04-15T10:00:00Z")
	s.put(t, "accounts/shop", `{"plan":"pro"}`).is(t, 200).want(t, "plan", "pro", "cycle.to", "2026-05-14T22:00:00Z")
	s.balance(t, "shop").want(t, "total", "2599.48", "frozen", "0", "remaining", "2599.48")
}

// P2: a Standard account gets none and buys none.
func TestAdTechStandard(t *testing.T) {
	s := open(t, "2026-01-10T10:00:00Z").of("adtech")
	s.put(t, "accounts/small", `{"plan":"standard"}`).is(t, 200)
	s.balance(t, "small").want(t, "total", "0", "remaining", "0")
	for _, meter := range []string{"dynamic_video", "custom_image", "feed_optimization"} {
		s.spend(t, "small", meter, 1, meter).refused(t, 403, "meter_not_in_plan")
		s.post(t, "accounts/small/check", `{"meter":"`+meter+`","quantity":1}`).is(t, 200).want(t, "allowed", "false", "code", "meter_not_in_plan", "remaining", "0", "remaining_units", "0")
	}
	s.as(s.person(t, "ana", `"grant"`)).post(t, "accounts/small/grants", `{"pool":"extra","credits":"1","reason":"x","kind":"goodwill"}`, "g").refused(t, 403, "plan_not_eligible")
	if got := s.lines(t, "small", "plan"); len(got) != 0 {
		t.Errorf("refusals left %v", got)
	}
}
