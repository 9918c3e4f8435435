package node_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/services/node"
)

// town is a node that takes no request without a key, and an operator's key for it.
func town(t *testing.T) site {
	t.Helper()
	t.Parallel()
	data := t.TempDir()
	begin := func(dev bool) (*node.Node, site) {
		n, err := node.Start(context.Background(), node.Config{Data: data, Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0",
			Catalogs: "../../deploy/catalogs", Dev: dev, AllowSandbox: true, TestClock: instant(t, "2026-01-15T12:00:00Z")})
		if err != nil {
			t.Fatal(err)
		}
		return n, site{http: n.HTTP(), nats: n.NATS()}
	}
	n, s := begin(true)
	key := s.post(t, "/v1/admin/keys", `{"actor":"root","person":true,"scopes":["admin","usage","read","purchase","grant","catalog"]}`).is(t, 201).text("key")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, s = begin(false)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.as(key)
}

func (s site) newKey(t *testing.T, body string) (key, id string) {
	t.Helper()
	a := s.post(t, "/v1/admin/keys", body).is(t, 201)
	return a.text("key"), a.text("id")
}

const allScopes = `["usage","read","purchase","grant","catalog","admin"]`

// A tenant's key, whatever it may do, reaches nothing of another tenant's over HTTP.
func TestAKeySeesItsTenantOnly(t *testing.T) {
	root := town(t).of("wanclouds")
	root.as("").get(t, "accounts").refused(t, 401, "unauthenticated")
	root.as("").get(t, "/v1/admin/keys").refused(t, 401, "unauthenticated")
	root.put(t, "accounts/secret-acme", `{"plan":"pro","metadata":{"note":"only-ours"}}`).is(t, 200)
	root.put(t, "accounts/secret-acme", card).is(t, 200)
	root.spend(t, "secret-acme", "assistant_token", 5, "k").is(t, 200)
	p := root.post(t, "accounts/secret-acme/purchases", `{"pack":"usd-100"}`, "p").is(t, 201).text("purchase")
	root.of("tecpet").put(t, "accounts/secret-acme", `{"plan":"base"}`).is(t, 200)

	key, _ := root.newKey(t, `{"tenant":"tecpet","actor":"eve","person":true,"scopes":`+allScopes+`}`)
	eve := root.as(key)
	event := charge("e", "secret-acme", "assistant_token", 1)
	requests := []struct{ method, path, body string }{
		{"GET", "accounts", ""}, {"GET", "accounts/secret-acme", ""}, {"PUT", "accounts/secret-acme", `{}`}, {"GET", "accounts/secret-acme/balance", ""}, {"GET", "accounts/secret-acme/history", ""},
		{"GET", "accounts/secret-acme/usage", ""}, {"GET", "accounts/secret-acme/lots", ""}, {"GET", "accounts/secret-acme/holds", ""}, {"GET", "accounts/secret-acme/purchases", ""},
		{"GET", "accounts/secret-acme/purchases/" + p, ""}, {"POST", "accounts/secret-acme/purchases/" + p + "/confirm", ""}, {"POST", "accounts/secret-acme/purchases/" + p + "/refund", `{"reason":"r"}`},
		{"POST", "payments/sandbox/" + p + "/succeed", ""}, {"POST", "payments/sandbox/" + p + "/fail", ""}, {"POST", "accounts/secret-acme/usage", `{"meter":"assistant_token","quantity":1}`},
		{"POST", "accounts/secret-acme/usage/k/reverse", `{"quantity":1,"reason":"r"}`}, {"POST", "accounts/secret-acme/check", `{"meter":"assistant_token","quantity":1}`},
		{"POST", "checks", `{"checks":[{"account":"secret-acme","meter":"assistant_token","quantity":1}]}`}, {"POST", "balances", `{"accounts":["secret-acme"]}`}, {"POST", "events", event},
		{"GET", "events", ""}, {"GET", "catalog", ""}, {"PUT", "catalog", `{}`}, {"GET", "packs", ""}, {"POST", "accounts/secret-acme/grants", `{"pool":"topup","credits":"1","reason":"r"}`},
		{"POST", "accounts/secret-acme/close", `{"reason":"r"}`}, {"POST", "accounts/secret-acme/tokens", `{}`}, {"POST", "accounts/batch", `{"account":"x"}`}, {"GET", "intake/refused", ""},
	}
	before := string(root.get(t, "events").is(t, 200).raw)
	for _, r := range requests {
		a := eve.send(t, r.method, r.path, r.body, http.Header{"Idempotency-Key": {"x"}})
		if a.status != 403 && a.status != 404 || strings.Contains(string(a.raw), "only-ours") || strings.Contains(string(a.raw), "10000000") {
			t.Errorf("%v\n  want forbidden", a)
		}
	}
	// The same identifiers at the tenant of the key are other things, or none.
	mine := eve.of("tecpet")
	mine.get(t, "accounts/secret-acme/purchases/"+p).refused(t, 404, "unknown_purchase")
	mine.post(t, "payments/sandbox/"+p+"/succeed", "").refused(t, 404, "unknown_purchase")
	mine.balance(t, "secret-acme").want(t, "total", "0")
	mine.spend(t, "secret-acme", "sticker", 1, "k").refused(t, 402, "insufficient_credits")
	if text := string(mine.get(t, "events").is(t, 200).raw); strings.Contains(text, "assistant_token") || strings.Contains(text, "only-ours") {
		t.Error("the journal of tecpet tells of wanclouds")
	}
	if after := string(root.get(t, "events").is(t, 200).raw); after != before {
		t.Errorf("another tenant's key has changed the journal: %s", strings.TrimPrefix(after, before))
	}
	// A tenant's administrator is no operator: keys, tenants and views of others stay out of sight.
	keys := mine.get(t, "/v1/admin/keys")
	if keys.status == 200 && (strings.Contains(string(keys.raw), "wanclouds") || strings.Contains(string(keys.raw), "root")) {
		t.Errorf("%v\n  shows another's keys", keys)
	}
	if a := mine.post(t, "/v1/admin/keys", `{"tenant":"wanclouds","actor":"eve","scopes":["read"]}`); a.status != 403 && a.status != 404 {
		t.Errorf("%v\n  makes a key for another tenant", a)
	}
	mine.post(t, "/v1/admin/keys", `{"actor":"eve","scopes":["admin"]}`).refused(t, 403, "forbidden")
	mine.post(t, "/v1/admin/tenants", `{"tenant":"eves"}`).refused(t, 403, "forbidden")
	mine.post(t, "/v1/admin/test-clock", `{"now":"2027-01-01T00:00:00Z"}`).refused(t, 403, "forbidden")
	if a := mine.get(t, "/v1/admin/views"); strings.Contains(string(a.raw), "wanclouds") {
		t.Errorf("%v\n  shows another tenant", a)
	}
	if a := mine.post(t, "/v1/admin/verify", ""); strings.Contains(string(a.raw), "wanclouds") {
		t.Errorf("%v\n  shows another tenant", a)
	}
}

// A key does what its scopes say and nothing else.
func TestScopes(t *testing.T) {
	root := town(t).of("wanclouds")
	root.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	root.put(t, "accounts/a", card).is(t, 200)
	root.spend(t, "a", "assistant_token", 5, "old").is(t, 200)
	p := root.post(t, "accounts/a/purchases", `{"pack":"usd-100"}`, "p").is(t, 201).text("purchase")
	lot := root.post(t, "accounts/a/grants", `{"pool":"topup","credits":"1","reason":"r","kind":"goodwill"}`, "g").is(t, 201).text("lot")
	catalog := root.get(t, "catalog").is(t, 200).text("catalog")

	requests := []struct{ scope, method, path, body string }{
		{"usage", "POST", "accounts/a/check", `{"meter":"assistant_token","quantity":1}`}, {"usage", "POST", "checks", `{"checks":[{"account":"a","meter":"assistant_token","quantity":1}]}`},
		{"usage", "POST", "accounts/a/usage", `{"meter":"assistant_token","quantity":1}`}, {"usage", "POST", "events", charge("e", "a", "assistant_token", 1)},
		{"usage", "POST", "accounts/a/holds", `{"meter":"assistant_token","quantity":1}`}, {"usage", "POST", "accounts/a/usage/old/reverse", `{"quantity":1,"reason":"r"}`},
		{"read", "GET", "accounts/a", ""}, {"read", "GET", "accounts", ""}, {"read", "GET", "accounts/a/balance", ""}, {"read", "GET", "accounts/a/history", ""}, {"read", "GET", "accounts/a/usage", ""},
		{"read", "GET", "accounts/a/lots", ""}, {"read", "GET", "events", ""}, {"read", "POST", "balances", `{"accounts":["a"]}`},
		{"purchase", "POST", "accounts/a/purchases", `{"pack":"usd-100"}`}, {"purchase", "POST", "accounts/a/purchases/" + p + "/confirm", ""},
		{"grant", "POST", "accounts/a/grants", `{"pool":"topup","credits":"1","reason":"r","kind":"goodwill"}`}, {"grant", "POST", "accounts/a/lots/" + lot + "/revoke", `{"reason":"r"}`},
		{"catalog", "PUT", "catalog", catalog}, {"admin", "POST", "payments/sandbox/" + p + "/succeed", ""},
	}
	for _, scope := range []string{"read", "usage", "purchase", "catalog", "grant", "admin"} {
		key, _ := root.newKey(t, `{"tenant":"wanclouds","actor":"x-`+scope+`","person":true,"scopes":["`+scope+`"]}`)
		for _, r := range requests {
			if scope == "admin" && r.scope != "admin" {
				continue // what else an administrator may do is not said
			}
			a := root.as(key).send(t, r.method, r.path, r.body, http.Header{"Idempotency-Key": {scope + r.path}})
			if allowed := a.status < 300; allowed != (scope == r.scope) || !allowed && a.status != 403 {
				t.Errorf("with %s, what needs %s: %v", scope, r.scope, a)
			}
		}
	}
	// Usage that is older than a day is taken back by a person with grant.
	root.post(t, "/v1/admin/test-clock", `{"now":"2026-01-16T12:00:01Z"}`).is(t, 200)
	user, _ := root.newKey(t, `{"tenant":"wanclouds","actor":"u","scopes":["usage"]}`)
	root.as(user).post(t, "accounts/a/usage/old/reverse", `{"quantity":1,"reason":"r"}`, "late").refused(t, 403, "forbidden")
	both, _ := root.newKey(t, `{"tenant":"wanclouds","actor":"u","person":true,"scopes":["usage","grant"]}`)
	root.as(both).post(t, "accounts/a/usage/old/reverse", `{"quantity":1,"reason":"r"}`, "late").is(t, 200)
}

// A key that was taken away opens nothing within a second; another of the same actor goes on.
func TestARevokedKeyAndItsSuccessor(t *testing.T) {
	root := town(t).of("wanclouds")
	root.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	old, id := root.newKey(t, `{"tenant":"wanclouds","actor":"app","scopes":["read","usage"]}`)
	fresh, _ := root.newKey(t, `{"tenant":"wanclouds","actor":"app","scopes":["read","usage"]}`)
	for _, key := range []string{old, fresh} {
		root.as(key).get(t, "accounts/a/balance").is(t, 200)
	}
	gone := make(chan struct{})
	nc, err := nats.Connect(root.nats, nats.Token(old), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask(t, nc, "credits.wanclouds.balance", `{"account":"a"}`).want(t, "account", "a")
	root.send(t, http.MethodDelete, "/v1/admin/keys/"+id, "", nil).is(t, 200)
	revoked := time.Now()
	for root.as(old).get(t, "accounts/a/balance").status != 401 {
		if time.Since(revoked) > time.Second {
			t.Fatal("a revoked key still reads after a second")
		}
	}
	root.as(fresh).get(t, "accounts/a/balance").is(t, 200)
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("a revoked key's connection to NATS stays open")
	}
	if nc, err := nats.Connect(root.nats, nats.Token(old), nats.NoReconnect()); err == nil {
		nc.Close()
		t.Error("a revoked key logs in to NATS")
	}
}

// Over NATS a tenant's key reaches its own subjects, and nobody without one comes in.
func TestATenantOverNATSReachesItsOwn(t *testing.T) {
	root := town(t).of("wanclouds")
	root.put(t, "accounts/a", `{"plan":"pro"}`).is(t, 200)
	root.of("tecpet").put(t, "accounts/a", `{"plan":"base"}`).is(t, 200)
	if nc, err := nats.Connect(root.nats); err == nil {
		nc.Close()
		t.Fatal("NATS lets in somebody without a key")
	}
	key, _ := root.newKey(t, `{"tenant":"tecpet","actor":"eve","scopes":["usage","read"]}`)
	nc := connect(t, root, nats.Token(key), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	ask(t, nc, "credits.tecpet.balance", `{"account":"a"}`).want(t, "account", "a", "total", "0")
	for _, subject := range []string{"credits.wanclouds.balance", "credits.wanclouds.usage", "credits.wanclouds.check", "journal.wanclouds.0", "journal.tecpet.0", "$JS.API.STREAM.LIST",
		"$JS.API.STREAM.MSG.GET.JOURNAL_wanclouds_0", "$JS.API.STREAM.INFO.JOURNAL_wanclouds_0", "$JS.API.STREAM.MSG.GET.CREDENTIALS", "$JS.API.CONSUMER.CREATE.JOURNAL_wanclouds_0"} {
		if m, err := nc.Request(subject, []byte(`{"account":"a","meter":"assistant_token","quantity":1,"seq":1}`), 150*time.Millisecond); err == nil {
			t.Errorf("%s answers %s", subject, m.Data)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	readsItsJournal(t, js, "JOURNAL_tecpet_0")
	for _, stream := range []string{"JOURNAL_wanclouds_0", "INTAKE", "INTAKE_REFUSED", "CREDENTIALS"} {
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Millisecond)
		if _, err := js.Stream(ctx, stream); err == nil {
			t.Errorf("tecpet looks into %s", stream)
		}
		stop()
	}
	if _, err := js.Publish(t.Context(), "intake.tecpet.usage", []byte(charge("bad", "a", "no-such-meter", 1))); err != nil {
		t.Fatal(err)
	}
	refused, err := js.Consumer(t.Context(), "INTAKE_REFUSED", "feed_tecpet")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := refused.Next(jetstream.FetchMaxWait(5 * time.Second)); err != nil || m.Subject() != "intake-refused.tecpet" {
		t.Errorf("what the intake refused: %v, %v", m, err)
	}
	for _, consumer := range [][2]string{{"JOURNAL_wanclouds_0", "feed"}, {"INTAKE_REFUSED", "feed_wanclouds"}} {
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Millisecond)
		if _, err := js.Consumer(ctx, consumer[0], consumer[1]); err == nil {
			t.Errorf("tecpet reads %v", consumer)
		}
		stop()
	}
	ctx, stop := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer stop()
	if ack, err := js.Publish(ctx, "intake.wanclouds.usage", []byte(charge("x", "a", "assistant_token", 1))); err == nil {
		t.Errorf("usage of another tenant was taken: %+v", ack)
	}
	// Answers that are to go into a journal, by the reply subject of a request.
	for _, subject := range []string{"journal.wanclouds.0", "journal.tecpet.0", "intake.wanclouds.usage"} {
		if err := nc.PublishRequest("credits.tecpet.balance", subject, []byte(`{"account":"a"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ask(t, nc, "credits.tecpet.balance", `{"account":"a"}`).want(t, "account", "a")
	root.spend(t, "a", "assistant_token", 1, "after").is(t, 200)
	root.balance(t, "a").want(t, "used", "1")
	root.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
}

// readsItsJournal reads commits as a tenant may: from the consumer that is there for it, and any of them by
// its sequence. It cannot write one, nor make a consumer.
func readsItsJournal(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.GetMsg(t.Context(), 2)
	if err != nil || !strings.Contains(string(first.Data), "creditstream.CatalogPublished.v1") {
		t.Fatalf("commit 2 is %+v, %v", first, err)
	}
	feed, err := stream.Consumer(t.Context(), "feed")
	if err != nil {
		t.Fatal(err)
	}
	commits, err := feed.Fetch(100, jetstream.FetchMaxWait(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for m := range commits.Messages() {
		if n++; m.Subject() != "journal.tecpet.0" {
			t.Errorf("a commit came on %s", m.Subject())
		}
		if n == stream.CachedInfo().State.LastSeq {
			break
		}
	}
	if n != stream.CachedInfo().State.LastSeq {
		t.Errorf("%d of %d commits came: %v", n, stream.CachedInfo().State.LastSeq, commits.Error())
	}
	ctx, stop := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer stop()
	if _, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Name: "mine"}); err == nil {
		t.Error("a tenant made a consumer")
	}
}
