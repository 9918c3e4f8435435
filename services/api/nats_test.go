package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/credit"
	"creditstream/services/api"
	"creditstream/services/internal/trial"
	"creditstream/services/rules"
)

// natsShop is a shop with the NATS door open and an account "a" of 100 credits in tenants shop and other.
func natsShop(t testing.TB) (*shop, *api.NATSDoor) {
	s := newShop(t)
	for _, name := range []string{"shop", "other"} {
		s.Do(s.Tenant(name, "tecpet"), "a", &rules.ImportAccount{
			PutAccount: rules.PutAccount{Plan: rules.Set("base")}, Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 100_000_000}},
		})
	}
	return s, s.serveNATS(s.api, "shop", "other")
}

// serveNATS opens a NATS door with an entrance for each tenant, and one inside for all.
func (s *shop) serveNATS(a *api.API, tenants ...string) *api.NATSDoor {
	s.t.Helper()
	door := a.OpenNATS()
	for _, tenant := range tenants {
		conn := trial.Must(s.Bus.ConnectRequests(tenant))(s.t)
		s.t.Cleanup(conn.Close)
		if err := door.Listen(conn, tenant); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := door.Listen(s.NATS, ""); err != nil {
		s.t.Fatal(err)
	}
	return door
}

func (s *shop) client(tenant string) *nats.Conn {
	s.t.Helper()
	nc := trial.Must(nats.Connect(s.Bus.Addr(), nats.Token(tenant)))(s.t)
	s.t.Cleanup(nc.Close)
	return nc
}

func ask(t testing.TB, nc *nats.Conn, subject, body string) (answer fields, header nats.Header) {
	t.Helper()
	m := trial.Must(nc.Request(subject, []byte(body), 10*time.Second))(t)
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		t.Fatalf("%s: %q: %v", subject, m.Data, err)
	}
	return answer, m.Header
}

func use(id string, quantity int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/test","type":"creditstream.usage","subject":"a","data":{"meter":"sticker","quantity":%d}}`, id, quantity)
}

func TestUsageOverNATS(t *testing.T) {
	s, _ := natsShop(t)
	nc := s.client("shop")
	one, _ := ask(t, nc, "credits.shop.usage", use("e1", 2))
	result := one["results"].([]any)[0].(fields)
	if result["status"] != "recorded" || result["cost"] != "2" || result["remaining"] != "98" || result["replayed"] != false {
		t.Errorf("one event: %v", one)
	}
	batch, _ := ask(t, nc, "credits.shop.usage", "["+use("e1", 2)+","+use("e2", 3)+`,{"id":"x"},`+use("e3", 900)+","+use("e2", 4)+"]")
	var got []string
	for _, r := range batch["results"].([]any) {
		got = append(got, fmt.Sprintf("%v/%v/%v", r.(fields)["status"], r.(fields)["replayed"], r.(fields)["code"]))
	}
	want := "[recorded/true/<nil> recorded/false/<nil> refused/<nil>/invalid refused/<nil>/insufficient_credits refused/<nil>/idempotency_conflict]"
	if fmt.Sprint(got) != want {
		t.Errorf("a batch: %v, want %s", got, want)
	}
	// The same event over HTTP is the same event.
	again := s.send("POST", "/v1/tenants/shop/events", []byte(use("e1", 2)), "Content-Type", "application/cloudevents+json").want(200, "")
	if r := again.body["results"].([]any)[0].(fields); r["replayed"] != true || r["position"] != result["position"] {
		t.Errorf("over HTTP: %s, over NATS it was %v", again.raw, result)
	}
}

func TestQuestionsOverNATS(t *testing.T) {
	s, _ := natsShop(t)
	nc := s.client("shop")
	checked, _ := ask(t, nc, "credits.shop.check", `{"account":"a","meter":"sticker","quantity":7}`)
	http := s.send("POST", "/v1/tenants/shop/accounts/a/check", fields{"meter": "sticker", "quantity": 7}).want(200, "")
	if fmt.Sprint(checked) != fmt.Sprint(http.body) || checked["allowed"] != true {
		t.Errorf("a check is answered with %v, over HTTP with %v", checked, http.body)
	}
	balance, _ := ask(t, nc, "credits.shop.balance", `{"account":"a"}`)
	http = s.send("GET", "/v1/tenants/shop/accounts/a/balance", nil).want(200, "")
	if fmt.Sprint(balance) != fmt.Sprint(http.body) || balance["remaining"] != "100" {
		t.Errorf("a balance is answered with %v, over HTTP with %v", balance, http.body)
	}
	position := balance["position"].(string)
	ask(t, nc, "credits.shop.balance", fmt.Sprintf(`{"account":"a","min_position":%q}`, position))
	for subject, body := range map[string]struct{ body, code string }{
		"credits.shop.usage":   {"no JSON", "invalid"},
		"credits.shop.check":   {`{"account":"a","meter":"sticker","quantity":1.5}`, "invalid"},
		"credits.shop.balance": {`{"account":"nobody"}`, "unknown_account"},
		"credits.shop.refund":  {`{}`, "not_found"},
	} {
		problem, header := ask(t, nc, subject, body.body)
		if problem["code"] != body.code || header.Get("Nats-Service-Error") != body.code || header.Get("Nats-Service-Error-Code") != fmt.Sprint(problem["status"]) {
			t.Errorf("%s: %v %v, want %s", subject, problem, header, body.code)
		}
	}
	problem, _ := ask(t, nc, "credits.shop.balance", `{"account":"a","min_position":"999999.0"}`)
	if problem["code"] != "unavailable" {
		t.Errorf("a position that never comes: %v", problem)
	}
}

func TestATenantAsksOnlyForItself(t *testing.T) {
	s, _ := natsShop(t)
	nc := s.client("shop")
	if m, err := nc.Request("credits.other.balance", []byte(`{"account":"a"}`), 300*time.Millisecond); err == nil {
		t.Errorf("another tenant's balance was answered: %s", m.Data)
	}
	// The service itself, asked from within for a tenant that is not there.
	problem, _ := ask(t, s.NATS, "credits.nobody.balance", `{"account":"a"}`)
	if problem["code"] != "unknown_tenant" {
		t.Errorf("a tenant that is not there: %v", problem)
	}
}

// A reply subject that nobody of the tenant may listen to gets no answer, and does not fill the log with refusals.
func TestAnAnswerThatCannotArriveIsNotSent(t *testing.T) {
	s, first := natsShop(t)
	door := s.api.OpenNATS()
	entrance := trial.Must(s.Bus.ConnectRequests("shop"))(t)
	t.Cleanup(entrance.Close)
	if err := door.Listen(entrance, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	nc := s.client("shop")
	for _, reply := range []string{"intake.shop.usage", "journal.shop.0", "_INBOX"} {
		for _, body := range []string{use("e1", 1), "{"} {
			if err := nc.PublishRequest("credits.shop.usage", reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	trial.Eventually(t, "the usage is recorded", func() bool { return s.Remaining(s.Find("shop"), "a") == "99" })
	ask(t, nc, "credits.shop.balance", `{"account":"a"}`)
	if err := errors.Join(entrance.Flush(), entrance.LastError()); err != nil {
		t.Error(err)
	}
	if err := door.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A door that closed has no more entrances.
func TestADoorThatClosedOpensNoEntrance(t *testing.T) {
	s, door := natsShop(t)
	if err := door.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := door.Listen(s.NATS, ""); err == nil {
		t.Error("an entrance was opened")
	}
}

// Single requests that arrive together share commits, and each gets its own answer.
func TestRequestsTogetherShareCommits(t *testing.T) {
	s, _ := natsShop(t)
	nc := s.client("shop")
	const clients, each = 40, 20
	var wait sync.WaitGroup
	for c := range clients {
		wait.Go(func() {
			for i := range each {
				id := fmt.Sprintf("c%d-%d", c, i)
				m, err := nc.Request("credits.shop.usage", []byte(strings.Replace(use(id, 1), `"quantity":1`, `"quantity":1,"description":"`+id+`"`, 1)), 10*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				if !strings.Contains(string(m.Data), `"status":"recorded"`) && !strings.Contains(string(m.Data), `"code":"insufficient_credits"`) {
					t.Errorf("%s: %s", id, m.Data)
				}
			}
		})
	}
	wait.Wait()
	if left := s.Remaining(s.Find("shop"), "a"); left != "0" {
		t.Errorf("%s credits remain of 100 after %d requests for one each", left, clients*each)
	}
	recorded := 0
	for _, e := range s.Entries("shop") {
		if _, is := e.Facts[0].Event.(*credit.UsageRecorded); is {
			recorded++
		}
	}
	if commits := s.Find("shop").Shards()[0].Head(); recorded != 100 || commits > 100 {
		t.Errorf("%d uses recorded in fewer than %d commits, want 100 in far fewer", recorded, commits)
	}
}

// Close answers what has come.
func TestCloseAnswersWhatHasCome(t *testing.T) {
	s, door := natsShop(t)
	nc := s.client("shop")
	inbox := nc.NewRespInbox()
	answers := trial.Must(nc.SubscribeSync(inbox))(t)
	for i := range 50 {
		if err := nc.PublishRequest("credits.shop.usage", inbox, []byte(use(fmt.Sprint("e", i), 1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	trial.Must(s.NATS.Request("credits.other.balance", []byte(`{"account":"a"}`), 10*time.Second))(t)
	if err := door.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := answers.NextMsg(5 * time.Second); err != nil {
			t.Fatalf("request %d was not answered: %v", i, err)
		}
	}
}

// BenchmarkUsageOverNATS is single-event requests over TCP, from four connections with 256 under way on
// each; ns/op is per request.
func BenchmarkUsageOverNATS(b *testing.B) {
	s, _ := natsShop(b)
	tenant := s.Find("shop")
	const connections, window, accounts = 4, 256, 1000
	for i := range accounts {
		s.Do(tenant, fmt.Sprint("a", i), &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 1 << 50}}})
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wait sync.WaitGroup
	var last atomic.Int64
	for range connections {
		nc := s.client("shop")
		wait.Go(func() { flood(b, nc, &last, b.N/connections+1, window, accounts) })
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/float64(tenant.Shards()[0].Head()), "events/commit")
}

// flood asks with ids that are ordered by time, as those of a UUIDv7 are.
func flood(b *testing.B, nc *nats.Conn, last *atomic.Int64, requests, window, accounts int) {
	inbox := nc.NewRespInbox()
	free := make(chan struct{}, window)
	for range window {
		free <- struct{}{}
	}
	sub, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		if !strings.Contains(string(m.Data), `"status":"recorded"`) {
			b.Errorf("answered with %s", m.Data)
		}
		free <- struct{}{}
	})
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	for i := range requests {
		<-free
		body := fmt.Appendf(nil, `{"specversion":"1.0","id":"019a-%012d","source":"/bench","type":"creditstream.usage","subject":"a%d","data":{"meter":"sticker","quantity":1}}`, last.Add(1), i%accounts)
		if err := nc.PublishRequest("credits.shop.usage", inbox, body); err != nil {
			b.Error(err)
			return
		}
	}
	for range window {
		<-free
	}
}

// What gave up waiting is still decided, as it was asked for.
func TestUsageThatGaveUpIsDecidedAsItWasSent(t *testing.T) {
	s := newShop(t)
	tenant := s.Tenant("shop", "tecpet")
	s.Do(tenant, "a", &rules.ImportAccount{
		PutAccount: rules.PutAccount{Plan: rules.Set("base")}, Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 100_000_000}},
	})
	door := s.serveNATS(api.New(api.Config{Accounts: s.Accounts, Dev: true, AnswerWithin: 50 * time.Millisecond}), "shop")
	held, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = tenant.Shards()[0].Between(context.Background(), func() error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	answer, header := ask(t, s.client("shop"), "credits.shop.usage", use("e1", 2))
	if header.Get("Nats-Service-Error") != "unavailable" {
		t.Errorf("answered %v", answer)
	}
	if err := door.Close(t.Context()); err != nil { // the batch is through
		t.Error(err)
	}
	close(release)
	trial.Eventually(t, "the usage is recorded", func() bool { return s.Remaining(tenant, "a") == "98" })
}
