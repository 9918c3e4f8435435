package node_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/services/node"
)

// lab uses the settings that the three shipped catalogs do not.
const lab = `
name: Lab
timezone: America/Santiago
currency: JPY
meters:
  full: {price: 1, per: 2, rounding: accumulate}
  begun: {price: 1, per: 50, rounding: ceil}
  one: {price: 1}
pools:
  allow: {priority: 10, expires: cycle_end, rollover: {up_to: 30, cycles: 1}}
  bought: {priority: 20, expires: 12 months}
without_plan: {purchase: true, grants: all}
plans:
  small: {rank: 1, meters: all, allowances: {allow: 100}}
  large: {rank: 2, meters: all, allowances: {allow: 500}}
packs:
  pack: {price: 500, credits: 10, pool: bought}
debt: {limit: 50}
record_denials: true
approval: {buy: totp}
`

// openLab is a node with a tenant of that catalog.
func openLab(t *testing.T) site {
	t.Helper()
	return publishLab(t, open(t, "2026-01-31T12:00:00Z"))
}

func publishLab(t *testing.T, s site) site {
	t.Helper()
	s = s.of("lab")
	s.post(t, "/v1/admin/tenants", `{"tenant":"lab"}`).is(t, 201)
	s.send(t, http.MethodPut, "catalog", lab, http.Header{"Content-Type": {"application/yaml"}}).is(t, 200)
	return s
}

func TestRoundings(t *testing.T) {
	s := openLab(t)
	s.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
	for i, cost := range []string{"0", "1", "0", "1"} {
		s.spend(t, "a", "full", 1, fmt.Sprint("f", i)).is(t, 200).want(t, "cost", cost)
	}
	s.spend(t, "a", "full", 3, "f").is(t, 200).want(t, "cost", "1")
	s.spend(t, "a", "begun", 101, "b").is(t, 200).want(t, "cost", "3", "remaining", "94")
	s.clock(t, "2026-02-28T12:00:00Z") // the half block is forgotten
	s.spend(t, "a", "full", 1, "g").is(t, 200).want(t, "cost", "0")
	s.spend(t, "a", "full", 1, "h").is(t, 200).want(t, "cost", "1")
}

func TestRolloverAndReplacedAllowances(t *testing.T) {
	s := openLab(t)
	s.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
	s.spend(t, "a", "one", 10, "k1").is(t, 200)
	s.clock(t, "2026-02-28T12:00:00Z")
	s.balance(t, "a").want(t, "total", "130", "remaining", "130", "expired", "0")
	s.get(t, "accounts/a/history?type=expiry").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-60")
	s.spend(t, "a", "one", 35, "k2").is(t, 200).want(t, "draws.0.amount", "30", "draws.1.amount", "5")
	s.put(t, "accounts/a", `{"plan":"large"}`).is(t, 200).want(t, "plan", "large", "cycle.to", "2026-03-31T12:00:00Z")
	s.balance(t, "a").want(t, "total", "630", "used", "35", "expired", "95", "remaining", "500")
	s.put(t, "accounts/a", `{"plan":"small","effective":"now"}`).is(t, 200).want(t, "plan", "small", "pending", "")
	s.balance(t, "a").want(t, "total", "730", "used", "35", "expired", "595", "remaining", "100")
	s.put(t, "accounts/a", `{"plan":"large","effective":"next_cycle"}`).is(t, 200).want(t, "plan", "small", "pending.plan", "large")
	s.put(t, "accounts/a", `{"metadata":{"x":1,"y":"z"}}`).is(t, 200)
	s.put(t, "accounts/a", `{"metadata":{"x":null}}`).is(t, 200).want(t, "metadata", `{"y":"z"}`, "pending.plan", "large")
	s.clock(t, "2026-03-31T12:00:00Z")
	s.balance(t, "a").want(t, "total", "530", "remaining", "530")
	s.clock(t, "2026-04-30T13:00:00Z") // 9:00 in Santiago is an hour later in winter; what rolled over once is gone
	s.balance(t, "a").want(t, "cycle.from", "2026-04-30T13:00:00Z", "total", "530")
	sums(t, s, "a")
}

func TestDebtIsRepaidByTheNextCredits(t *testing.T) {
	s := openLab(t)
	s.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
	js, err := jetstream.New(connect(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for i, debt := range []string{"20", "50"} { // 100 are there, 50 may be owed
		if _, err := js.Publish(t.Context(), "intake.lab.usage", []byte(charge(fmt.Sprint("i", i), "a", "one", 120))); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the intake is recorded", func() bool { return s.balance(t, "a").text("debt") == debt })
	}
	s.spend(t, "a", "one", 1, "k").refused(t, 402, "insufficient_credits")
	s.get(t, "accounts/a/history?type=denied").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "0", "entries.0.quantity", "1")
	s.get(t, "accounts/a/history?type=unpaid").is(t, 200).want(t, "entries.#", "1", "entries.0.unpaid", "90")
	s.post(t, "accounts/a/grants", `{"pool":"bought","credits":"80","kind":"goodwill","reason":"r"}`, "g").is(t, 201)
	s.balance(t, "a").want(t, "debt", "0", "total", "180", "used", "150", "remaining", "30")
	s.get(t, "accounts/a/history?type=repayment").is(t, 200).want(t, "entries.#", "1", "entries.0.credits", "-50")
	s.get(t, "accounts/a/usage?cycle=1").is(t, 200).want(t, "credits", "150")
	sums(t, s, "a")
}

// On a closed account only confirmations and refunds still write; opened again it is what it was.
func TestAClosedAccount(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	s.put(t, "accounts/a", card).is(t, 200)
	p := s.post(t, "accounts/a/purchases", `{"pack":"usd-100"}`, "p").is(t, 201).text("purchase")
	h := s.post(t, "accounts/a/holds", `{"meter":"assistant_token","quantity":10}`, "h").is(t, 201).text("hold")
	s.post(t, "accounts/a/close", `{"reason":"bye"}`).is(t, 200)
	s.balance(t, "a").want(t, "remaining", "0", "frozen", "9999990", "held", "10")
	s.put(t, "accounts/a", `{"plan":"free"}`).refused(t, 409, "account_closed")
	for path, body := range map[string]string{"usage": `{"meter":"assistant_token","quantity":1}`, "holds": `{"meter":"assistant_token","quantity":1}`, "purchases": `{"pack":"usd-100"}`,
		"grants": `{"pool":"topup","credits":"1","reason":"r","kind":"goodwill"}`, "holds/" + h + "/capture": `{"quantity":1}`} {
		s.post(t, "accounts/a/"+path, body, "x").refused(t, 409, "account_closed")
	}
	s.post(t, "events", charge("x", "a", "assistant_token", 1)).is(t, 200).want(t, "results.0.code", "account_closed")
	s.post(t, "accounts/a/check", `{"meter":"assistant_token","quantity":1}`).is(t, 200).want(t, "allowed", "false", "code", "account_closed")
	s.post(t, "payments/sandbox/"+p+"/succeed", "").is(t, 200).want(t, "status", "completed")
	s.balance(t, "a").want(t, "remaining", "0", "frozen", "17999990")
	s.post(t, "accounts/a/purchases/"+p+"/refund", `{"reason":"r"}`, "rf").is(t, 200).want(t, "money.amount", "100.00")
	s.post(t, "accounts/a/reopen", `{"reason":"back"}`).is(t, 200)
	s.balance(t, "a").want(t, "remaining", "9999990", "frozen", "0", "revoked", "8000000", "held", "10")
	s.get(t, "accounts?status=closed").is(t, 200).want(t, "accounts.#", "0")
}

// totp is the code of RFC 6238 for the secret of a provisioning URI.
func totp(t *testing.T, uri string, at time.Time) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil || u.Scheme != "otpauth" {
		t.Fatalf("%q: %v", uri, err)
	}
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// One step of drift, and no step twice.
func TestOneTimeCodes(t *testing.T) {
	s := openLab(t)
	uri := s.put(t, "accounts/a", `{"plan":"small","approval":{"totp":true}}`).is(t, 200).text("provisioning_uri")
	now := instant(t, "2026-01-31T12:00:00Z")
	buy := func(at time.Time, key string) answer {
		t.Helper()
		return s.post(t, "accounts/a/purchases", `{"pack":"pack","approval_code":"`+totp(t, uri, at)+`"}`, key)
	}
	buy(now.Add(-60*time.Second), "old").refused(t, 403, "approval_invalid")
	buy(now.Add(60*time.Second), "soon").refused(t, 403, "approval_invalid")
	buy(now, "b1").is(t, 201)
	buy(now, "b1").is(t, 201).want(t, "replayed", "true")
	buy(now, "b2").refused(t, 403, "approval_invalid")
	buy(now.Add(-30*time.Second), "b2").refused(t, 403, "approval_invalid") // older than one that was used
	buy(now.Add(30*time.Second), "b2").is(t, 201)
	s.tick(t, 90*time.Second)
	buy(now.Add(60*time.Second), "b3").is(t, 201)
}

// The tries of a code are counted over a restart.
func TestTheLockSurvivesARestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for round := range 2 {
		n, err := node.Start(context.Background(), node.Config{Data: data, Listen: "127.0.0.1:0", Catalogs: "../../deploy/catalogs", Dev: true, TestClock: instant(t, "2026-01-15T12:00:00Z")})
		if err != nil {
			t.Fatal(err)
		}
		s := site{http: n.HTTP(), tenant: "tecpet"}
		if round == 0 {
			s.put(t, "accounts/a", `{"approval":{"pin":"482913"}}`).is(t, 200)
			for range 5 {
				s.post(t, "accounts/a/purchases", `{"pack":"pack-50","approval_code":"000000"}`, "x").is(t, 403)
			}
		}
		s.post(t, "accounts/a/purchases", `{"pack":"pack-50"`+code, "x").refused(t, 403, "approval_locked")
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A token opens one account, for a while, and cannot spend.
func TestATokenOpensOneAccount(t *testing.T) {
	root := town(t).of("wanclouds")
	for _, account := range []string{"a", "b"} {
		root.put(t, "accounts/"+account, `{"plan":"pro"}`).is(t, 200)
	}
	s := root.as(root.post(t, "accounts/a/tokens", `{}`).is(t, 201).text("token"))
	s.balance(t, "a").want(t, "account", "a")
	for _, path := range []string{"accounts/b/balance", "accounts/b", "accounts", "events", "catalog", "/v1/admin/keys"} {
		s.get(t, path).refused(t, 403, "forbidden")
	}
	s.spend(t, "a", "assistant_token", 1, "k").refused(t, 403, "forbidden")
	s.post(t, "accounts/a/grants", `{"pool":"topup","credits":"1","reason":"r","kind":"goodwill"}`, "g").refused(t, 403, "forbidden")
	s.of("tecpet").get(t, "accounts/a/balance").refused(t, 403, "forbidden")
	root.post(t, "/v1/admin/test-clock", `{"now":"2026-01-15T13:00:01Z"}`).is(t, 200)
	s.get(t, "accounts/a/balance").refused(t, 401, "unauthenticated")
}

// One event through three doors at once is one charge.
func TestOneKeyThroughEveryDoorAtOnce(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	nc := connect(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	const events = 50
	var wait sync.WaitGroup
	for i := range events {
		e := charge(fmt.Sprint("e", i), "a", "assistant_token", 1)
		wait.Go(func() { s.post(t, "events", e) })
		wait.Go(func() { ask(t, nc, "credits.wanclouds.usage", e) })
		wait.Go(func() {
			if _, err := js.Publish(t.Context(), "intake.wanclouds.usage", []byte(e)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if _, err := js.Publish(t.Context(), "intake.wanclouds.usage", []byte(charge("last", "a", "assistant_token", 1000))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the intake has come to its end", func() bool { return s.get(t, "accounts/a/history?limit=1").text("entries.0.key") == "last" })
	s.balance(t, "a").want(t, "used", "1050")
	s.get(t, "accounts/a/history?type=usage&limit=1000").is(t, 200).want(t, "entries.#", fmt.Sprint(events+1))
	s.get(t, "intake/refused").is(t, 200).want(t, "refused.#", "0")
}
