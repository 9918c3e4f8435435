package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
)

// keys is an Authenticate of tests: the key is "key-of-<tenant>".
func keys(_, token string) (string, bool) { return strings.CutPrefix(token, "key-of-") }

// town is a server with two tenants, their journals, the intake, and a service
// that answers requests.
type town struct {
	*bus.Server
	nc *nats.Conn // the writer's
	js jetstream.JetStream
}

func newTown(t *testing.T, cfg bus.Config) town {
	t.Helper()
	cfg.Listen, cfg.Authenticate = "127.0.0.1:0", keys
	s := start(t, cfg)
	nc := must(s.ConnectWriter("writer"))(t)
	t.Cleanup(nc.Close)
	js := must(jetstream.New(nc))(t)
	for _, tenant := range []string{"acme", "umbra"} {
		for range 2 {
			if err := s.AddTenant(tenant); err != nil {
				t.Fatal(err)
			}
		}
		must(js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "JOURNAL_" + tenant + "_0", Subjects: []string{"journal." + tenant + ".0"},
		}))(t)
		for n := range 5 {
			must(js.Publish(t.Context(), "journal."+tenant+".0", fmt.Appendf(nil, "%s %d", tenant, n+1)))(t)
		}
	}
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "INTAKE", Subjects: []string{"intake.*.usage"}}))(t)
	w := town{s, nc, js}
	for _, tenant := range []string{"acme", "umbra"} {
		w.serve(t, tenant, "credits."+tenant+".*")
	}
	if cfg.DevTenantless {
		w.serve(t, "", "credits.*.*")
	}
	return w
}

// serve answers the requests of a tenant, or of the operator, on whatever subject they want it.
func (w town) serve(t *testing.T, tenant, subject string) {
	t.Helper()
	service := must(w.ConnectRequests(tenant))(t)
	t.Cleanup(service.Close)
	must(service.Subscribe(subject, func(m *nats.Msg) {
		if m.Reply == "" {
			return
		}
		if err := m.Respond([]byte("answer to " + m.Subject)); err != nil {
			t.Error(err)
		}
	}))(t)
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
}

// login connects as a client from outside.
func (w town) login(t *testing.T, options ...nats.Option) *nats.Conn {
	t.Helper()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc := must(nats.Connect(w.Addr(), append(options, quiet)...))(t)
	t.Cleanup(nc.Close)
	return nc
}

// last is the last sequence of a tenant's journal.
func (w town) last(t *testing.T, tenant string) uint64 {
	t.Helper()
	stream := must(w.js.Stream(t.Context(), "JOURNAL_"+tenant+"_0"))(t)
	return stream.CachedInfo().State.LastSeq
}

// request asks for an answer that is to come.
func request(t *testing.T, nc *nats.Conn, subject, body string) (*nats.Msg, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return nc.RequestWithContext(ctx, subject, []byte(body))
}

// silent asks for an answer that must not come. A second request, which is
// answered, shows that the first one was read.
func silent(t *testing.T, nc *nats.Conn, who, subject, body string) {
	t.Helper()
	inbox := nc.NewInbox()
	sub := must(nc.SubscribeSync(inbox))(t)
	defer sub.Unsubscribe()
	if err := nc.PublishRequest(subject, inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	must(request(t, nc, "credits.acme.check", "{}"))(t)
	for {
		msg, err := sub.NextMsg(20 * time.Millisecond)
		if err != nil {
			return
		}
		if msg.Header.Get("Status") == "" {
			t.Errorf("%s asked %s and got %q", who, subject, msg.Data)
		}
	}
}

func TestTenantUsesItsOwnServicesOnly(t *testing.T) {
	w := newTown(t, bus.Config{})
	for _, option := range []nats.Option{nats.Token("key-of-acme"), nats.UserInfo("anything", "key-of-acme")} {
		nc := w.login(t, option)
		answer, err := request(t, nc, "credits.acme.check", "{}")
		if err != nil || string(answer.Data) != "answer to credits.acme.check" {
			t.Errorf("its own service: %v", err)
		}
		for _, subject := range []string{"credits.umbra.check", "intake.umbra.usage", "journal.acme.0", "$JS.API.INFO"} {
			silent(t, nc, "acme", subject, "{}")
		}
	}
	for _, token := range []string{"key-of-nobody", "wrong", "key-of-"} {
		if _, err := nats.Connect(w.Addr(), nats.Token(token)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("logged in with %q: %v", token, err)
		}
	}
	for _, tenant := range []string{"", "Acme", "a.b", ">", strings.Repeat("a", 33)} {
		if err := w.AddTenant(tenant); err == nil {
			t.Errorf("tenant %q was added", tenant)
		}
	}
}

func TestTenantFeedsItsIntakeWithAnAck(t *testing.T) {
	w := newTown(t, bus.Config{})
	answer, err := request(t, w.login(t, nats.Token("key-of-acme")), "intake.acme.usage", "usage")
	if err != nil {
		t.Fatal(err)
	}
	var ack jetstream.PubAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Stream != "INTAKE" || ack.Sequence != 1 {
		t.Fatalf("ack %q: %v", answer.Data, err)
	}
	stream := must(w.js.Stream(t.Context(), "INTAKE"))(t)
	msg := must(stream.GetMsg(t.Context(), 1))(t)
	if msg.Subject != "intake.acme.usage" || string(msg.Data) != "usage" {
		t.Errorf("stored %q on %s", msg.Data, msg.Subject)
	}
}

func TestTenantPullsFromItsFeedsOnly(t *testing.T) {
	w := newTown(t, bus.Config{})
	nc := w.login(t, nats.Token("key-of-acme"))
	feed := bus.Feed{Stream: "JOURNAL_acme_0", Consumer: "feed", From: 2}
	for range 2 {
		if err := w.AddFeed(t.Context(), w.nc, "acme", feed); err != nil {
			t.Fatal(err)
		}
	}
	foreign := bus.Feed{Stream: "JOURNAL_umbra_0", Consumer: "feed"}
	if err := w.AddFeed(t.Context(), w.nc, "umbra", foreign); err != nil {
		t.Fatal(err)
	}
	if err := w.AddFeed(t.Context(), w.nc, "nobody", feed); err == nil {
		t.Error("a tenant that is not there got a feed")
	}
	// The client was there before its feed.
	got := pull(t, nc, "JOURNAL_acme_0", "feed", 10)
	if strings.Join(got, ",") != "acme 2,acme 3,acme 4,acme 5" {
		t.Errorf("pulled %q", got)
	}
	if got := pull(t, nc, "JOURNAL_umbra_0", "feed", 10); len(got) != 0 {
		t.Errorf("pulled %q from another tenant", got)
	}
	must(w.js.CreateConsumer(t.Context(), "JOURNAL_acme_0", jetstream.ConsumerConfig{Name: "internal"}))(t)
	if got := pull(t, nc, "JOURNAL_acme_0", "internal", 10); len(got) != 0 {
		t.Errorf("pulled %q from a consumer of someone else", got)
	}
	config := `{"stream_name":"JOURNAL_acme_0","config":{"name":"mine","ack_policy":"none"}}`
	silent(t, nc, "acme", "$JS.API.CONSUMER.CREATE.JOURNAL_acme_0.mine", config)
}

// pull asks for up to n messages that are there, until the server says that
// there are no more, or nothing.
func pull(t *testing.T, nc *nats.Conn, stream, consumer string, n int) (bodies []string) {
	t.Helper()
	inbox := nc.NewInbox()
	sub := must(nc.SubscribeSync(inbox))(t)
	body := fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, n)
	if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+stream+"."+consumer, inbox, body); err != nil {
		t.Fatal(err)
	}
	for {
		// Nobody tells a client that it may not ask: that is silence.
		msg, err := sub.NextMsg(500 * time.Millisecond)
		if err != nil || msg.Header.Get("Status") != "" {
			return bodies
		}
		if msg.Subject != "journal.acme.0" {
			t.Errorf("delivered on %s", msg.Subject)
		}
		bodies = append(bodies, string(msg.Data))
	}
}

// attacks make someone else publish into another tenant's journal. They come from
// a client that may talk to acme, and are aimed at umbra.
var attacks = map[string]func(t *testing.T, nc *nats.Conn){
	"plain publish": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "journal.umbra.0", "", "forged")
	},
	"reply subject of a service": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "credits.acme.check", "journal.umbra.0", "{}")
	},
	"reply subject of the intake": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "intake.acme.usage", "journal.umbra.0", "{}")
	},
	"reply subject of the stream's info": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "$JS.API.STREAM.INFO.JOURNAL_acme_0", "journal.umbra.0", "")
	},
	"reply subject of a pull": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "$JS.API.CONSUMER.MSG.NEXT.JOURNAL_acme_0.feed", "journal.umbra.0", `{"batch":5,"no_wait":true}`)
	},
	"deliver subject of a consumer": func(t *testing.T, nc *nats.Conn) {
		for _, subject := range []string{
			"$JS.API.CONSUMER.CREATE.JOURNAL_acme_0", "$JS.API.CONSUMER.CREATE.JOURNAL_acme_0.push",
			"$JS.API.CONSUMER.CREATE.JOURNAL_acme_0.push.journal.acme.0", "$JS.API.CONSUMER.DURABLE.CREATE.JOURNAL_acme_0.push",
		} {
			for _, name := range []string{`"name":"push",`, `"durable_name":"push",`, ""} {
				send(t, nc, subject, "_INBOX.x", `{"stream_name":"JOURNAL_acme_0","config":{`+name+
					`"deliver_subject":"journal.umbra.0","deliver_policy":"all","ack_policy":"none","filter_subject":"journal.acme.0"}}`)
			}
		}
	},
	"deliver subject, spelt in capitals and twice": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "$JS.API.CONSUMER.CREATE.JOURNAL_acme_0.push", "_INBOX.x", `{"stream_name":"JOURNAL_acme_0","config":{"name":"push",`+
			`"deliver_subject":"","DELIVER_SUBJECT":"journal.umbra.0","deliver_policy":"all","ack_policy":"none"}}`)
	},
	"republishing stream": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "$JS.API.STREAM.CREATE.TRAP", "_INBOX.x", `{"name":"TRAP","subjects":["trap"],"retention":"limits","storage":"memory",`+
			`"num_replicas":1,"republish":{"src":"trap","dest":"journal.umbra.0"}}`)
		send(t, nc, "trap", "", "forged")
	},
	"snapshot's deliver subject": func(t *testing.T, nc *nats.Conn) {
		send(t, nc, "$JS.API.STREAM.SNAPSHOT.JOURNAL_acme_0", "_INBOX.x", `{"deliver_subject":"journal.umbra.0"}`)
	},
}

func send(t *testing.T, nc *nats.Conn, subject, reply, body string) {
	t.Helper()
	msg := &nats.Msg{Subject: subject, Reply: reply, Data: []byte(body), Header: nats.Header{
		"Nats-Expected-Last-Sequence": {"5"},
	}}
	if err := nc.PublishMsg(msg); err != nil {
		t.Fatal(err)
	}
}

func testAttacks(t *testing.T, w town, nc *nats.Conn) {
	if err := w.AddFeed(t.Context(), w.nc, "acme", bus.Feed{Stream: "JOURNAL_acme_0", Consumer: "feed"}); err != nil {
		t.Fatal(err)
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			attack(t, nc)
			settle(t, w, nc)
			for _, tenant := range []string{"umbra", "acme"} {
				if last := w.last(t, tenant); last != 5 {
					t.Errorf("the journal of %s ends at %d instead of 5", tenant, last)
				}
			}
		})
	}
}

// settle waits until what was sent before has had its effects: the server has
// read it, the service has answered, and the consequences are stored.
func settle(t *testing.T, w town, nc *nats.Conn) {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	must(request(t, nc, "credits.acme.check", "{}"))(t)
	must(request(t, nc, "intake.acme.usage", "{}"))(t)
	time.Sleep(50 * time.Millisecond)
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestTenantCannotMakeOthersWriteIntoAJournal(t *testing.T) {
	w := newTown(t, bus.Config{})
	testAttacks(t, w, w.login(t, nats.Token("key-of-acme")))
}

// The attacks work where there is no border. Without this, a typing error in one
// of them would pass for safety.
func TestAttacksWorkInsideTheInternalAccount(t *testing.T) {
	for _, name := range []string{"reply subject of the stream's info", "deliver subject of a consumer", "reply subject of a pull"} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, bus.Config{})
			if err := w.AddFeed(t.Context(), w.nc, "acme", bus.Feed{Stream: "JOURNAL_acme_0", Consumer: "feed"}); err != nil {
				t.Fatal(err)
			}
			insider := must(w.Connect("insider"))(t)
			defer insider.Close()
			attacks[name](t, insider)
			for deadline := time.Now().Add(30 * time.Second); w.last(t, "umbra") == 5; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("nothing was written into the journal")
				}
			}
		})
	}
}

func TestOnlyTheWriterPublishesToJournals(t *testing.T) {
	w := newTown(t, bus.Config{})
	service := must(w.Connect("service"))(t)
	defer service.Close()
	must(service.Subscribe("credits.acme.check", func(m *nats.Msg) {
		if err := m.Respond(nil); err != nil {
			t.Error(err)
		}
	}))(t)
	silent(t, service, "a service", "journal.umbra.0", "forged")
	if last := w.last(t, "umbra"); last != 5 {
		t.Errorf("the journal ends at %d", last)
	}
	if _, err := request(t, w.nc, "journal.umbra.0", "commit"); err != nil {
		t.Errorf("the writer: %v", err)
	}
}

// What answers requests inside an account can do that and no more: whatever reply subject a request has, no
// answer crosses the account's border.
func TestWhatAnswersRequestsCanDoNothingElse(t *testing.T) {
	w := newTown(t, bus.Config{DevTenantless: true})
	for tenant, theirs := range map[string]string{"acme": "credits.acme.check", "": "credits.umbra.check"} {
		entrance := must(w.ConnectRequests(tenant))(t)
		t.Cleanup(entrance.Close)
		for _, subject := range []string{
			"journal.acme.0", "journal.umbra.0", "intake.acme.usage", "intake.umbra.usage", "$JS.API.INFO", "$JS.API.STREAM.INFO.INTAKE",
			"$JS.API.CONSUMER.CREATE.JOURNAL_acme_0", "$JS.API.CONSUMER.DURABLE.CREATE.JOURNAL_acme_0.x", "$JS.API.CONSUMER.MSG.NEXT.JOURNAL_acme_0.feed",
		} {
			if err := entrance.PublishRequest(subject, "_INBOX.x", []byte("{}")); err != nil {
				t.Fatal(err)
			}
			if err := entrance.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := entrance.LastError(); tenant != "" && !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(fmt.Sprint(err), strconv.Quote(subject)) && !strings.HasPrefix(subject, "journal.") {
				t.Errorf("%q publishes to %s: %v", tenant, subject, err)
			}
		}
		for _, subject := range []string{">", "_INBOX.>", "intake.>"} {
			must(entrance.SubscribeSync(subject))(t)
			if err := entrance.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := entrance.LastError(); !strings.Contains(fmt.Sprint(err), strconv.Quote(subject)) {
				t.Errorf("%q subscribes to %s: %v", tenant, subject, err)
			}
		}
		token := nats.Token("key-of-" + tenant)
		if tenant == "" {
			token = nats.Name("operator")
		}
		must(request(t, w.login(t, token), theirs, "{}"))(t)
	}
	if info := must(must(w.js.Stream(t.Context(), "INTAKE"))(t).Info(t.Context()))(t); info.State.Msgs != 0 {
		t.Errorf("the intake got %d answers", info.State.Msgs)
	}
	for _, tenant := range []string{"acme", "umbra"} {
		if last := w.last(t, tenant); last != 5 {
			t.Errorf("the journal of %s ends at %d instead of 5", tenant, last)
		}
	}
	for _, user := range []string{"creditstream-requests.acme", "creditstream-requests."} {
		if _, err := nats.Connect(w.Addr(), nats.UserInfo(user, "key-of-acme")); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("somebody logged in as %s: %v", user, err)
		}
	}
}

func TestRevokedLoginIsDisconnected(t *testing.T) {
	var revoked atomic.Bool
	s := start(t, bus.Config{Listen: "127.0.0.1:0", Authenticate: func(_, token string) (string, bool) {
		return "acme", token == "kept" || token == "revoked" && !revoked.Load()
	}})
	if err := s.AddTenant("acme"); err != nil {
		t.Fatal(err)
	}
	dial := func(token string) (*nats.Conn, chan struct{}) {
		gone := make(chan struct{})
		nc := must(nats.Connect(s.Addr(), nats.Token(token), nats.NoReconnect(),
			nats.ClosedHandler(func(*nats.Conn) { close(gone) })))(t)
		t.Cleanup(nc.Close)
		return nc, gone
	}
	kept, _ := dial("kept")
	_, gone := dial("revoked")
	if n := s.RecheckLogins(); n != 0 {
		t.Errorf("%d clients were disconnected before anything was revoked", n)
	}
	revoked.Store(true)
	if n := s.RecheckLogins(); n != 1 {
		t.Errorf("%d clients were disconnected, one key was revoked", n)
	}
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("the client is still connected")
	}
	if err := kept.Flush(); err != nil {
		t.Errorf("the other client: %v", err)
	}
	kept.Close()
	if n := s.RecheckLogins(); n != 0 {
		t.Errorf("%d clients were disconnected that had left", n)
	}
}
