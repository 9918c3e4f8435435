package node_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const code = `,"approval_code":"482913"}`

// A pet shop with AI buys, spends quota and credits, runs out, and is renewed (seeds, T1–T18).
func TestTecPet(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/loja", `{"plan":"ai","approval":{"pin":"482913"}}`).is(t, 200).
		want(t, "plan", "ai", "status", "open", "timezone", "America/Sao_Paulo", "cycle.from", "2026-01-15T12:00:00Z", "cycle.to", "2026-02-15T12:00:00Z")
	quota := func(left string) { t.Helper(); s.balance(t, "loja").want(t, "pools.ai_quota.remaining", left) }
	credits := func(left string) {
		t.Helper()
		s.balance(t, "loja").want(t, "remaining", left, "pools.purchased.remaining", left)
	}

	// T4, T6: the quota is counted in services and pays no sticker.
	s.balance(t, "loja").want(t, "total", "0", "remaining", "0", "pools.ai_quota.total", "300", "pools.ai_quota.unit", "ai_service", "pools.ai_quota.meters", `["ai_service"]`)
	s.spend(t, "loja", "sticker", 1, "too-early").refused(t, 402, "insufficient_credits").want(t, "blocked_by", "pool_restricted", "short", "1", "next_renewal", "")

	// T13, T14: a pack from the list, with the code.
	s.get(t, "packs?account=loja").is(t, 200).want(t, "packs.#", "3", "packs.pack-50.credits", "50", "packs.pack-50.price.amount", "49.00",
		"packs.pack-200.price.amount", "179.00", "packs.pack-500.price.amount", "399.00", "packs.pack-500.price.currency", "BRL")
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"}`, "buy").refused(t, 403, "approval_required")
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50","approval_code":"111111"}`, "buy").refused(t, 403, "approval_invalid")
	s.get(t, "accounts/loja/purchases").is(t, 200).want(t, "purchases.#", "0")
	p := s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"`+code, "buy").is(t, 201).
		want(t, "status", "awaiting_payment", "credits", "50", "price.currency", "BRL", "price.amount", "49.00", "pays_until", "2026-01-16T12:00:00Z")
	purchase := p.text("purchase")

	// T15: nothing before the payment; at once after it; once, however often it is told.
	credits("0")
	s.spend(t, "loja", "sticker", 1, "too-early").refused(t, 402, "insufficient_credits").want(t, "pending_purchase", purchase)
	s.clock(t, "2026-01-15T12:10:00Z")
	for range 3 {
		s.post(t, "payments/sandbox/"+purchase+"/succeed", "").is(t, 200).want(t, "status", "completed", "paid_at", "2026-01-15T12:10:00Z")
		credits("50")
	}
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"}`, "buy").is(t, 201).want(t, "purchase", purchase, "replayed", "true", "status", "awaiting_payment")
	if got := s.lines(t, "loja", "plan", "grant"); !slices.Equal(got, []string{"purchase"}) {
		t.Errorf("history is %v", got)
	}

	// T2, T7, T18: quota first, the purchased balance untouched; then one request over both.
	s.spend(t, "loja", "sticker", 1, "s1").is(t, 200).want(t, "cost", "1", "remaining", "49")
	s.spend(t, "loja", "ai_service", 298, "a1").is(t, 200).want(t, "cost", "0", "draws.#", "1", "draws.0.pool", "ai_quota", "draws.0.amount", "298", "draws.0.unit", "ai_service", "remaining", "49")
	s.spend(t, "loja", "ai_service", 5, "a2").is(t, 200).want(t, "cost", "3", "draws.#", "2", "draws.0.pool", "ai_quota", "draws.0.amount", "2",
		"draws.1.pool", "purchased", "draws.1.amount", "3", "draws.1.unit", "credit", "remaining", "46")
	s.spend(t, "loja", "ai_service", 47, "a3").refused(t, 402, "insufficient_credits").want(t, "short", "1", "blocked_by", "credits", "next_renewal", "2026-02-15T12:00:00Z")
	credits("46")

	// T11, T12.
	h := s.get(t, "accounts/loja/history?meter=ai_service").is(t, 200)
	h.want(t, "entries.#", "2", "entries.0.credits", "-3", "entries.0.draws.ai_quota.amount", "2", "entries.0.draws.purchased.amount", "3",
		"entries.1.credits", "0", "entries.1.draws.#", "1", "entries.1.draws.ai_quota.amount", "298", "entries.1.quantity", "298", "entries.1.time", "2026-01-15T12:10:00Z")

	// T8, T16: at 0 it pauses, to the nanosecond of the renewal, and resumes by itself (T5).
	s.spend(t, "loja", "sticker", 46, "s2").is(t, 200).want(t, "remaining", "0")
	s.spend(t, "loja", "sticker", 1, "s3").refused(t, 402, "insufficient_credits")
	s.clock(t, "2026-02-15T11:59:59.999999999Z")
	s.spend(t, "loja", "ai_service", 1, "a4").refused(t, 402, "insufficient_credits").want(t, "next_renewal", "2026-02-15T12:00:00Z")
	s.clock(t, "2026-02-15T12:00:00Z")
	quota("300")
	s.spend(t, "loja", "ai_service", 1, "a4").is(t, 200).want(t, "cost", "0", "replayed", "false")
	s.spend(t, "loja", "sticker", 1, "s3").refused(t, 402, "insufficient_credits")
	s.clock(t, "2026-03-15T12:00:00Z")
	s.balance(t, "loja").want(t, "pools.ai_quota.total", "300", "pools.ai_quota.used", "0", "pools.ai_quota.remaining", "300", "pools.ai_quota.expired", "0")
	s.balance(t, "loja", "at=2026-03-15T11:59:59Z").want(t, "pools.ai_quota.used", "1", "pools.ai_quota.remaining", "299")

	// T3, T9: a new meter with another cost spends what was bought before it.
	s.clock(t, "2026-03-15T12:30:00Z")
	s.buy(t, "loja", `{"pack":"pack-200"`+code, "buy-2").want(t, "credits", "200")
	republish(t, s, "\nmeters:\n", "\nmeters:\n  grooming: {price: 3}\n", "meters: [ai_service, sticker]", "meters: [ai_service, sticker, grooming]")
	s.spend(t, "loja", "grooming", 2, "g1").is(t, 200).want(t, "cost", "6", "draws.#", "1", "draws.0.pool", "purchased", "remaining", "194")

	// T1: twelve months from the payment, to the nanosecond, and then gone with a line that says so.
	s.clock(t, "2027-03-15T12:29:59.999999999Z")
	credits("194")
	s.spend(t, "loja", "sticker", 1, "last").is(t, 200).want(t, "remaining", "193")
	s.clock(t, "2027-03-15T12:30:00Z")
	s.balance(t, "loja").want(t, "total", "194", "used", "1", "expired", "193", "remaining", "0", "pools.purchased.expires", "")
	s.spend(t, "loja", "sticker", 1, "gone").refused(t, 402, "insufficient_credits")
	s.get(t, "accounts/loja/history?type=expiry&pool=purchased").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-193", "entries.0.time", "2027-03-15T12:30:00Z")
	s.get(t, "accounts/loja/history?type=renewal&limit=1000").is(t, 200).want(t, "entries.#", "14", "entries.0.time", "2027-03-15T12:00:00Z", "entries.13.time", "2026-02-15T12:00:00Z")

	// Taken back after its lot has ended: a lot of 30 days instead.
	s.post(t, "accounts/loja/usage/last/reverse", `{"quantity":1,"reason":"the sticker failed"}`, "back").is(t, 200)
	s.balance(t, "loja").want(t, "remaining", "1", "used", "0", "pools.purchased.expires", "2027-04-14T12:30:00Z")
}

// T10: credits need no AI and no plan.
func TestTecPetWithoutAI(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	for account, body := range map[string]string{"base": `{"plan":"base","approval":{"pin":"482913"}}`, "none": `{"approval":{"pin":"482913"}}`} {
		s.put(t, "accounts/"+account, body).is(t, 200)
		s.buy(t, account, `{"pack":"pack-50"`+code, "b")
		s.spend(t, account, "sticker", 10, "s").is(t, 200).want(t, "remaining", "40")
		s.spend(t, account, "ai_service", 1, "a").refused(t, 403, "meter_not_in_plan").want(t, "blocked_by", "plan")
		s.balance(t, account).want(t, "total", "50", "used", "10", "remaining", "40", "frozen", "0")
	}
	// Moving up to AI gives the quota at once and keeps what was bought; moving down waits.
	s.clock(t, "2026-01-20T09:00:00Z")
	s.put(t, "accounts/base", `{"plan":"ai"}`).is(t, 200).want(t, "plan", "ai", "cycle.from", "2026-01-20T09:00:00Z", "cycle.to", "2026-02-20T09:00:00Z")
	s.balance(t, "base").want(t, "remaining", "40", "pools.ai_quota.remaining", "300", "total", "40", "used", "0")
	s.put(t, "accounts/base", `{"plan":"base"}`).is(t, 200).want(t, "plan", "ai", "pending.plan", "base", "pending.due", "2026-02-20T09:00:00Z")
	s.spend(t, "base", "ai_service", 1, "a").is(t, 200).want(t, "cost", "0")
	s.clock(t, "2026-02-20T09:00:00Z")
	s.get(t, "accounts/base").is(t, 200).want(t, "plan", "base", "pending", "")
	s.spend(t, "base", "ai_service", 1, "b2").refused(t, 403, "meter_not_in_plan")
	s.balance(t, "base").want(t, "remaining", "40", "pools.ai_quota.remaining", "0")
}

// T13: the code is a lock, too.
func TestTecPetLocksTheCode(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/loja", `{"plan":"ai","approval":{"pin":"482913"}}`).is(t, 200)
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"`+code, "right").is(t, 201)
	for range 4 {
		s.post(t, "accounts/loja/purchases", `{"pack":"pack-50","approval_code":"000000"}`, "x").refused(t, 403, "approval_invalid")
	}
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50","approval_code":"000000"}`, "x").is(t, 403)
	s.put(t, "accounts/loja", `{"approval":{"pin":"482913"}}`).is(t, 200) // a new code does not reset the count
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"`+code, "x").refused(t, 403, "approval_locked")
	// A replay is recognised before any code is looked at, and unknown things before the lock.
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"}`, "right").is(t, 201).want(t, "replayed", "true")
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-9"`+code, "x").refused(t, 404, "unknown_pack")
	s.clock(t, "2026-01-15T12:14:59Z")
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"`+code, "x").refused(t, 403, "approval_locked")
	s.clock(t, "2026-01-15T12:15:00Z")
	s.post(t, "accounts/loja/purchases", `{"pack":"pack-50"`+code, "x").is(t, 201).want(t, "replayed", "false")
}

// republish publishes the catalog in force with some of its text replaced.
func republish(t *testing.T, s site, replace ...string) answer {
	t.Helper()
	source := s.get(t, "catalog").is(t, 200).text("source")
	changed := strings.NewReplacer(replace...).Replace(source)
	if changed == source {
		t.Fatalf("nothing to replace in %s", source)
	}
	return s.send(t, http.MethodPut, "catalog", changed, http.Header{"Content-Type": {"application/yaml"}}).is(t, 200)
}
