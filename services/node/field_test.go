package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"creditstream/services/node"
)

// What users of other credit systems complain about, one test each. The names say the complaint.

func TestComplaint01TwoRequestsSpendOneCredit(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/a", `{"plan":"base"}`).is(t, 200)
	s.post(t, "accounts/a/grants", `{"pool":"purchased","credits":"10","reason":"r","kind":"goodwill"}`, "g").is(t, 201)
	var wait sync.WaitGroup
	var paid, refused atomic.Int64
	for i := range 40 {
		wait.Go(func() {
			a := s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":1}`, fmt.Sprint("k", i))
			switch a.status {
			case 200:
				paid.Add(1)
			case 402:
				refused.Add(1)
			}
		})
	}
	wait.Wait()
	if paid.Load() != 10 || refused.Load() != 30 {
		t.Errorf("of 40 requests with 10 credits %d were paid and %d refused", paid.Load(), refused.Load())
	}
	s.balance(t, "a").want(t, "used", "10", "remaining", "0")
}

func TestComplaint02AFinalCostAboveTheBalanceMakesWorkFree(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	h := s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":900000}`, "h").is(t, 201).text("hold")
	s.post(t, "accounts/a/holds/"+h+"/capture", `{"quantity":1500000}`, "c").is(t, 200).want(t, "cost", "1500000", "unpaid", "500000", "remaining", "0")
	s.balance(t, "a").want(t, "used", "1000000", "held", "0", "remaining", "0", "debt", "0")
	s.get(t, "accounts/a/history?type=unpaid").is(t, 200).want(t, "entries.#", "1", "entries.0.unpaid", "500000")
}

func TestComplaint03ACacheLosesDeductions(t *testing.T) {
	small := func(c *node.Config) { c.CachedAccounts = 2 }
	s := open(t, "2026-01-15T12:00:00Z", small).of("wanclouds")
	const accounts = 12
	for i := range accounts {
		s.put(t, fmt.Sprint("accounts/a", i), `{"plan":"free"}`).is(t, 200)
	}
	for round := range 5 {
		for i := range accounts {
			s.spend(t, fmt.Sprint("a", i), "assistant_token", i+1, fmt.Sprint("k", round)).is(t, 200)
		}
	}
	for i := range accounts {
		s.balance(t, fmt.Sprint("a", i)).want(t, "used", fmt.Sprint(5*(i+1)))
	}
}

func TestComplaint04TheBalanceDependsOnWhereOneStarts(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	start := func(now string) (site, func()) {
		cfg := node.Config{Data: data, Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0", Catalogs: "../../deploy/catalogs", Dev: true, TestClock: instant(t, now)}
		n, err := node.Start(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return site{http: n.HTTP(), nats: n.NATS(), tenant: "wanclouds"}, func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	s, stop := start("2026-01-15T12:00:00Z")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	s.spend(t, "a", "assistant_token", 3, "k1").is(t, 200)
	s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":5,"ttl":"1h"}`, "h").is(t, 201)
	want := s.balance(t, "a").text("pools")
	stop()
	s, stop = start("2026-01-15T12:00:00Z")
	s.balance(t, "a").want(t, "pools", want)
	for _, view := range []string{"accounts", "statement", "usage"} {
		s.post(t, "/v1/admin/views/"+view+"/rebuild", "").is(t, 200)
	}
	s.balance(t, "a").want(t, "pools", want)
	s.clock(t, "2026-01-20T12:00:00Z")
	s.balance(t, "a", "at=2026-01-15T12:00:00Z").want(t, "pools", want)
	// One definition: the list, the account's and the check say the same.
	s.post(t, "balances", `{"accounts":["a"]}`).is(t, 200).want(t, "balances.0.remaining", "999997")
	s.balance(t, "a").want(t, "remaining", "999997")
	s.post(t, "accounts/a/check", `{"meter":"assistant_token","quantity":1}`).is(t, 200).want(t, "remaining", "999997")
	stop()
}

func TestComplaint05PurchasedCreditsAreDrainedWhileAllowanceRemains(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/a", card).is(t, 200)
	s.buy(t, "a", `{"pack":"usd-100"}`, "b")
	for i := range 4 {
		s.spend(t, "a", "assistant_token", 2_500_000, fmt.Sprint("k", i)).is(t, 200).want(t, "draws.#", "1", "draws.0.pool", "allowance")
	}
	s.balance(t, "a").want(t, "pools.topup.remaining", "8000000", "pools.allowance.remaining", "0")
	s.spend(t, "a", "assistant_token", 1, "k9").is(t, 200).want(t, "draws.0.pool", "topup")
	// No change without a line: the signed credits of the history add up to what remains.
	sums(t, s, "a")
}

// sums demands that the lines of an account's history add up to what remains, each to the next.
func sums(t *testing.T, s site, account string) {
	t.Helper()
	h := s.get(t, "accounts/"+account+"/history?limit=1000").is(t, 200)
	total, entries := number(t, h, "0"), h.value("entries").([]any)
	for _, e := range slices.Backward(entries) {
		line := e.(map[string]any)
		total = total.Add(total, number(t, h, line["credits"]))
		if total.Cmp(number(t, h, line["remaining"])) != 0 {
			t.Errorf("the lines up to %v add up to %s", line, total.RatString())
		}
	}
	if b := s.balance(t, account); total.Cmp(number(t, b, b.value("remaining"))) != 0 {
		t.Errorf("%v\n  the history adds up to %s", b, total.RatString())
	}
}

func TestComplaint06CreditsAreWipedAtRenewalOrAfterALapse(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/a", `{"plan":"ai","approval":{"pin":"482913"}}`).is(t, 200)
	s.buy(t, "a", `{"pack":"pack-50"`+code, "b")
	s.clock(t, "2026-02-15T12:00:00Z")
	s.balance(t, "a").want(t, "remaining", "50")
	s.put(t, "accounts/a", `{"plan":null}`).is(t, 200)
	s.clock(t, "2026-03-15T12:00:00Z")
	s.balance(t, "a").want(t, "remaining", "50", "frozen", "0") // a sticker needs no plan
	s.put(t, "accounts/a", `{"plan":"ai"}`).is(t, 200)
	s.balance(t, "a").want(t, "remaining", "50", "pools.ai_quota.remaining", "300")
	sums(t, s, "a")
}

func TestComplaint07EarlierFreeUsageIsChargedToAPackBoughtLater(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/a", `{"plan":"base","approval":{"pin":"482913"}}`).is(t, 200)
	s.clock(t, "2026-01-16T12:00:00Z")
	s.buy(t, "a", `{"pack":"pack-50"`+code, "b")
	s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":1,"time":"2026-01-16T11:59:59Z"}`, "early").refused(t, 402, "insufficient_credits")
	s.balance(t, "a").want(t, "used", "0", "remaining", "50")
	s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":1,"time":"2026-01-16T12:00:00Z"}`, "early").is(t, 200)
}

func TestComplaint08AGrantCannotStandBesideAnAllowance(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("adtech")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.post(t, "accounts/a/grants", `{"pool":"extra","credits":"5","kind":"goodwill","reason":"r"}`, "g").is(t, 201)
	s.balance(t, "a").want(t, "total", "2505", "remaining", "2505", "pools.allowance.remaining", "2500", "pools.extra.remaining", "5")
}

func TestComplaint09ExpiryDependsOnAJobOrAWebhook(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("adtech")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.post(t, "accounts/a/grants", `{"pool":"extra","credits":"100","kind":"goodwill","reason":"r","expires":"2026-01-16T09:30:00.000000001Z"}`, "g").is(t, 201)
	s.clock(t, "2026-01-16T09:30:00Z")
	s.balance(t, "a").want(t, "remaining", "2600")
	s.clock(t, "2026-01-16T09:30:00.000000001Z")
	s.balance(t, "a").want(t, "remaining", "2500", "expired", "100")
	s.get(t, "accounts/a/history?type=expiry").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-100", "entries.0.time", "2026-01-16T09:30:00.000000001Z")
	// No window gives two allowances, whatever hour the account began at.
	s.get(t, "accounts/a").is(t, 200).want(t, "cycle.from", "2026-01-14T23:00:00Z", "cycle.to", "2026-02-14T23:00:00Z")
	s.clock(t, "2026-02-14T22:59:59Z")
	s.balance(t, "a").want(t, "total", "2600")
	s.clock(t, "2026-02-15T12:00:00Z")
	s.balance(t, "a").want(t, "total", "2500")
	s.get(t, "accounts/a/history?type=renewal").is(t, 200).want(t, "entries.#", "1")
	sums(t, s, "a")
}

func TestComplaint10NobodyKnowsWhenItResets(t *testing.T) {
	s := open(t, "2026-01-31T22:30:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro","timezone":"America/New_York"}`).is(t, 200).want(t, "cycle.to", "2026-02-28T22:30:00Z")
	s.clock(t, "2026-02-28T22:30:00Z") // 31 January 17:30 in New York, from the anchor, over the clocks' change
	s.balance(t, "a").want(t, "cycle.from", "2026-02-28T22:30:00Z", "cycle.to", "2026-03-31T21:30:00Z", "pools.allowance.expires", "2026-03-31T21:30:00Z")
	s.spend(t, "a", "assistant_token", 10_000_001, "k").refused(t, 402, "insufficient_credits").want(t, "next_renewal", "2026-03-31T21:30:00Z")
	madrid := s.of("adtech")
	madrid.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200).want(t, "cycle.from", "2026-02-27T23:00:00Z", "cycle.to", "2026-03-27T23:00:00Z")
}

func TestComplaint11TheSameTopUpTwice(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/a", card).is(t, 200)
	purchases := make([]string, 8)
	var wait sync.WaitGroup
	for i := range purchases {
		wait.Go(func() {
			purchases[i] = s.post(t, "accounts/a/purchases", `{"pack":"usd-100"}`, "b").text("purchase")
		})
	}
	wait.Wait()
	if slices.Sort(purchases); purchases[0] == "" || purchases[0] != purchases[7] {
		t.Fatalf("one request made the purchases %v", purchases)
	}
	for range 8 {
		wait.Go(func() { s.post(t, "payments/sandbox/"+purchases[0]+"/succeed", "") })
	}
	wait.Wait()
	s.get(t, "accounts/a/purchases").is(t, 200).want(t, "purchases.#", "1", "purchases.0.status", "completed")
	s.balance(t, "a").want(t, "total", "18000000")
	s.get(t, "accounts/a/history?type=purchase").is(t, 200).want(t, "entries.#", "1")
}

func TestComplaint12ATopUpInFlightIsAPlainRefusal(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/a", card).is(t, 200)
	s.spend(t, "a", "assistant_token", 10_000_000, "all").is(t, 200)
	p := s.post(t, "accounts/a/purchases", `{"pack":"usd-100"}`, "b").is(t, 201).text("purchase")
	for range 3 {
		s.post(t, "accounts/a/purchases/"+p+"/confirm", "").is(t, 200).want(t, "status", "processing")
	}
	s.spend(t, "a", "assistant_token", 1, "k").refused(t, 402, "insufficient_credits").want(t, "pending_purchase", p)
	s.post(t, "accounts/a/check", `{"meter":"assistant_token","quantity":1}`).is(t, 200).want(t, "allowed", "false", "pending_purchase", p)
	s.post(t, "payments/sandbox/"+p+"/succeed", "").is(t, 200)
	s.spend(t, "a", "assistant_token", 1, "k").is(t, 200).want(t, "remaining", "7999999")
}

func TestComplaint13WhereDidMyCreditsGo(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("adtech")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.post(t, "accounts/a/usage", `{"meter":"dynamic_video","quantity":2,"description":"spring","attributes":{"user":"u7","model":"m2"}}`, "k1").is(t, 200)
	s.tick(t, 24*time.Hour)
	s.spend(t, "a", "custom_image", 3, "k2").is(t, 200)
	s.get(t, "accounts/a/history?type=usage").is(t, 200).want(t, "entries.#", "2", "entries.1.description", "spring", "entries.1.attributes.user", "u7", "entries.1.attributes.model", "m2",
		"entries.1.draws.0.pool", "allowance", "entries.1.draws.0.amount", "2")
	s.get(t, "accounts/a/usage?by=day").is(t, 200).want(t, "credits", "3.5", "groups.#", "2")
	s.get(t, "accounts/a/usage?by=meter").is(t, 200).want(t, "groups.dynamic_video.credits", "2", "groups.custom_image.credits", "1.5")
	s.balance(t, "a").want(t, "used", "3.5")
	sums(t, s, "a")
}

func TestComplaint14FailedWorkIsChargedAndTheRefundIsNotSeen(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/a", `{"plan":"ai","approval":{"pin":"482913"}}`).is(t, 200)
	s.buy(t, "a", `{"pack":"pack-50"`+code, "b")
	s.spend(t, "a", "ai_service", 303, "k").is(t, 200).want(t, "cost", "3")
	// The last draw first: 3 credits, then quota.
	s.post(t, "accounts/a/usage/k/reverse", `{"quantity":5,"reason":"the bot was down"}`, "r").is(t, 200)
	s.balance(t, "a").want(t, "remaining", "50", "used", "0", "pools.ai_quota.remaining", "2", "pools.ai_quota.used", "298")
	s.get(t, "accounts/a/history?type=reversal").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "3", "entries.0.description", "the bot was down")
	sums(t, s, "a")
}

func TestComplaint15BalancesAreSlow(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	var lines, names []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf(`{"account":"a%d","plan":"free"}`, i))
		names = append(names, fmt.Sprintf(`"a%d"`, i))
	}
	s.post(t, "accounts/batch", strings.Join(lines, "\n"), "import").is(t, 200)
	// A thousand balances and ten thousand checks are one request each, not a thousand.
	s.post(t, "balances", `{"accounts":[`+strings.Join(names, ",")+`]}`).is(t, 200).want(t, "balances.#", "1000", "balances.999.remaining", "1000000")
	var pairs []string
	for i := range 10_000 {
		pairs = append(pairs, fmt.Sprintf(`{"account":"a%d","meter":"assistant_token","quantity":%d}`, i%1000, 999_995+i/1000))
	}
	a := s.post(t, "checks", `{"checks":[`+strings.Join(pairs, ",")+`]}`).is(t, 200).want(t, "results.#", "10000")
	if allowed := strings.Count(string(a.raw), `"allowed":true`); allowed != 6000 {
		t.Errorf("%d of 10,000 are allowed, want 6,000", allowed)
	}
}

func TestComplaint16NothingInThePastCanBeCorrected(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	s.spend(t, "a", "assistant_token", 100, "k").is(t, 200)
	s.clock(t, "2026-02-20T12:00:00Z")
	s.post(t, "accounts/a/usage/k/reverse", `{"quantity":100,"reason":"counted twice"}`, "r").is(t, 200)
	s.post(t, "accounts/a/usage", `{"meter":"assistant_token","quantity":40,"time":"2026-01-20T00:00:00Z"}`, "late").is(t, 200).want(t, "draws.0.cycle", "1")
	s.get(t, "accounts/a/usage?cycle=1").is(t, 200).want(t, "credits", "40")
	s.balance(t, "a").want(t, "used", "0", "remaining", "1000000", "total", "1000000")
	s.balance(t, "a", "at=2026-02-15T11:59:59Z", "known_at=2026-02-15T11:59:59Z").want(t, "used", "100")
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
	sums(t, s, "a")
}

func TestComplaint17ARefusalNamesNoLevel(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/ai", `{"plan":"ai"}`).is(t, 200)
	s.put(t, "accounts/base", `{"plan":"base"}`).is(t, 200)
	s.spend(t, "base", "ai_service", 1, "k").refused(t, 403, "meter_not_in_plan").want(t, "blocked_by", "plan")
	s.spend(t, "base", "sticker", 3, "k").refused(t, 402, "insufficient_credits").want(t, "blocked_by", "credits", "short", "3")
	s.spend(t, "ai", "sticker", 1, "k").refused(t, 402, "insufficient_credits").want(t, "blocked_by", "pool_restricted")
	s.spend(t, "ai", "ai_service", 301, "k").refused(t, 402, "insufficient_credits").want(t, "short", "1", "next_renewal", "2026-02-15T12:00:00Z")
}

func TestComplaint18AReplayAppliesTwice(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	var events []string
	for i := range 200 {
		events = append(events, charge(fmt.Sprint("e", i), "a", "assistant_token", i+1))
	}
	batch := "[" + strings.Join(events, ",") + "]"
	s.post(t, "events", batch).is(t, 200)
	s.clock(t, "2026-02-25T12:00:00Z") // 41 days and a renewal later
	s.post(t, "/v1/admin/views/accounts/rebuild", "").is(t, 200)
	a := s.post(t, "events", batch).is(t, 200)
	if n := strings.Count(string(a.raw), `"replayed":true`); n != 200 {
		t.Errorf("%d of 200 are recognised", n)
	}
	s.balance(t, "a").want(t, "used", "0")
	s.get(t, "accounts/a/usage?cycle=1").is(t, 200).want(t, "credits", "20100")
}
