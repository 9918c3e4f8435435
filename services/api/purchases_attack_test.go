package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/credentials"
	"creditstream/services/internal/trial"
	"creditstream/services/purchases"
)

// bank is a second provider whose secret the test knows, so that the test can sign whatever it likes.
type bank struct {
	name    string
	secret  []byte
	charges int
	status  purchases.State
}

func (b *bank) Name() string { return b.name }

func (b *bank) Checkout(_ context.Context, o purchases.Order) (string, error) {
	return "https://bank.example/" + o.Purchase, nil
}

func (b *bank) Charge(context.Context, purchases.Order) error {
	b.charges++
	return nil
}

func (b *bank) Status(_ context.Context, o purchases.Order) (purchases.Notice, error) {
	return purchases.Notice{Purchase: o.Purchase, State: b.status, Paid: o.Price}, nil
}

func (b *bank) Refund(context.Context, purchases.Order, credit.Money) error { return nil }

func (b *bank) Notice(header http.Header, body []byte, now time.Time) (n purchases.Notice, err error) {
	if err := purchases.CheckSignature(header, b.secret, body, now); err != nil {
		return n, err
	}
	return n, json.Unmarshal(body, &n)
}

// notify sends a notification to a tenant's path, signed with a secret at a time.
func (s *shop) notify(tenant, provider string, secret []byte, at time.Time, n purchases.Notice) reply {
	s.t.Helper()
	body := trial.Must(json.Marshal(n))(s.t)
	header := http.Header{}
	purchases.Sign(header, secret, "msg_1", body, at)
	return s.post(tenant, provider, header, body)
}

func (s *shop) post(tenant, provider string, header http.Header, body []byte) reply {
	s.t.Helper()
	return s.send("POST", "/v1/tenants/"+tenant+"/payments/"+provider, body, "Webhook-Id", header.Get("Webhook-Id"),
		"Webhook-Timestamp", header.Get("Webhook-Timestamp"), "Webhook-Signature", header.Get("Webhook-Signature"))
}

// banked is a tecpet shop whose provider is the bank, with a purchase of pack-50.
func banked(t *testing.T) (s *shop, b *bank, purchase string) {
	s, _ = tec(t)
	b = &bank{name: "bank", secret: []byte("the bank's secret")}
	s.closeDoor()
	s.openDoorWith(b, &bank{name: "rival", secret: []byte("the rival's secret")})
	return s, b, s.buy("k", "482913").want(201, "").text("purchase")
}

var right = credit.Money{Currency: "BRL", Minor: 49_00}

func TestNotificationsThatNobodyOfOursSigned(t *testing.T) {
	s, b, id := banked(t)
	s.Tenant("other", "tecpet")
	now := time.Now()
	paid := purchases.Notice{Purchase: id, State: purchases.Succeeded, Paid: right}
	s.notify("tecpet", "bank", []byte("a guess"), now, paid).want(401, "unauthenticated")
	s.notify("tecpet", "bank", nil, now, paid).want(401, "unauthenticated")
	s.notify("tecpet", "bank", b.secret, now.Add(-6*time.Minute), paid).want(401, "unauthenticated")
	s.notify("tecpet", "bank", b.secret, now.Add(6*time.Minute), paid).want(401, "unauthenticated")
	s.notify("tecpet", "nobody", b.secret, now, paid).want(404, "not_found")
	s.notify("other", "bank", b.secret, now, paid).want(404, "unknown_purchase")
	s.notify("tecpet", "rival", []byte("the rival's secret"), now, paid).want(404, "unknown_purchase")
	elsewhere := paid
	elsewhere.Tenant = "other"
	s.notify("tecpet", "bank", b.secret, now, elsewhere).want(401, "unauthenticated")
	s.notify("tecpet", "sandbox", b.secret, now, paid).want(401, "unauthenticated")

	body := trial.Must(json.Marshal(paid))(t)
	header := http.Header{}
	purchases.Sign(header, b.secret, "msg_1", body, now)
	s.post("tecpet", "bank", header, []byte(strings.Replace(string(body), "4900", "4901", 1))).want(401, "unauthenticated")
	s.post("tecpet", "bank", header, append(body, ' ')).want(401, "unauthenticated")
	s.post("tecpet", "bank", http.Header{}, body).want(401, "unauthenticated")
	s.post("tecpet", "bank", header, make([]byte, 65<<10)).want(413, "too_large")
	if left := s.Remaining(s.Find("tecpet"), "clinic"); left != "0" {
		t.Fatalf("forged notifications gave %s credits", left)
	}
	two := header.Clone()
	two.Set("Webhook-Signature", "v1a,xyz v1,AAAA "+header.Get("Webhook-Signature"))
	for range 3 { // a replay of what is genuine
		s.post("tecpet", "bank", two, body).want(200, "")
	}
	if left := s.Remaining(s.Find("tecpet"), "clinic"); left != "50" {
		t.Errorf("one payment, delivered three times, gave %s credits", left)
	}
}

func TestPaymentOfAnotherAmount(t *testing.T) {
	s, b, id := banked(t)
	for _, paid := range []credit.Money{{Currency: "BRL", Minor: 48_99}, {Currency: "BRL", Minor: 49_01}, {Currency: "USD", Minor: 49_00}, {}} {
		for range 2 {
			s.notify("tecpet", "bank", b.secret, time.Now(), purchases.Notice{Purchase: id, State: purchases.Succeeded, Paid: paid}).want(409, "payment_mismatch")
		}
	}
	mismatches := 0
	for _, e := range s.Entries("tecpet") {
		if _, is := e.Facts[0].Event.(*credit.PaymentMismatched); is {
			mismatches++
		}
	}
	if mismatches != 4 {
		t.Errorf("4 wrong payments, each delivered twice, stand %d times in the journal", mismatches)
	}
	s.notify("tecpet", "bank", b.secret, time.Now(), purchases.Notice{Purchase: id, State: purchases.Succeeded, Paid: right}).want(200, "")
	if left := s.Remaining(s.Find("tecpet"), "clinic"); left != "50" {
		t.Errorf("%s credits, want those of the right payment only", left)
	}
}

// A client that uses the key under which a payment is recorded harms nobody, itself included.
func TestClientTakesTheKeyOfAPayment(t *testing.T) {
	s, b, id := banked(t)
	s.buy("payment/"+id, "482913").want(201, "")
	s.notify("tecpet", "bank", b.secret, time.Now(), purchases.Notice{Purchase: id, State: purchases.Succeeded, Paid: right}).want(200, "")
	if left := s.Remaining(s.Find("tecpet"), "clinic"); left != "50" {
		t.Errorf("%s credits, want 50", left)
	}
}

func TestSandboxIsSettledByAdminsOnly(t *testing.T) {
	s, _ := tec(t)
	id := s.buy("k", "482913").text("purchase")
	key := func(tenant string, scopes ...credentials.Scope) string {
		secret, _, err := s.Credentials.Create(t.Context(), credentials.NewKey{Tenant: tenant, Actor: "x" + credentials.ScopesOf(scopes...).String() + tenant, Scopes: credentials.ScopesOf(scopes...)})
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + secret
	}
	s.Tenant("other", "tecpet")
	for _, bearer := range []string{
		key("tecpet", credentials.Usage, credentials.Read, credentials.Purchase, credentials.Grant, credentials.Catalog),
		key("other", credentials.Admin),
	} {
		s.send("POST", sandboxPath+id+"/succeed", nil, "Authorization", bearer).want(403, "forbidden")
		s.send("POST", "/pay/sandbox/tecpet/"+id+"/pay", nil, "Authorization", bearer).want(403, "forbidden")
	}
	s.send("POST", sandboxPath+id+"/succeed", nil, "Authorization", key("tecpet", credentials.Admin)).want(200, "")

	id = s.buy("k2", "482913").text("purchase")
	s.reopenWithoutSandboxRights()
	s.send("POST", sandboxPath+id+"/succeed", nil, "Authorization", key("tecpet", credentials.Admin)).want(403, "forbidden")
}

// What was being processed when the server stopped is asked about when it starts again.
func TestPurchaseUnderWayAtARestart(t *testing.T) {
	s, b, id := banked(t)
	tenant := s.Find("tecpet")
	s.notify("tecpet", "bank", b.secret, time.Now(), purchases.Notice{Purchase: id, State: purchases.Processing}).want(200, "")
	b.status = purchases.Succeeded
	restart := func() {
		s.closeDoor()
		s.Stop()
		s.Open()
		s.openDoorWith(b)
		s.purchases.Resume()
		tenant = s.Find("tecpet")
	}
	restart()
	trial.Eventually(t, "the payment is found out", func() bool { return s.Remaining(tenant, "clinic") == "50" })
	restart()
	if left := s.Remaining(tenant, "clinic"); left != "50" {
		t.Errorf("%s credits after one more restart", left)
	}
}

// The sandbox does not lose a charge because the server is away, nor because it is started anew.
func TestSandboxChargeSurvivesARestart(t *testing.T) {
	s := newShop(t)
	base := saved(s)
	id := s.send("POST", base, fields{"pack": "usd-100"}, "Idempotency-Key", "k").text("purchase")
	s.refuse.Store(true)
	s.send("POST", base+"/"+id+"/confirm", nil).want(200, "")
	trial.Eventually(t, "the sandbox tries", func() bool { return s.heard.Load() > 1 })
	s.closeDoor()
	s.Stop()
	s.Open()
	s.openDoor()
	s.refuse.Store(false)
	if got := s.send("GET", base+"/"+id, nil).text("status"); got != "processing" {
		t.Fatalf("after the restart the purchase is %q", got)
	}
	s.purchases.Resume()
	trial.Eventually(t, "the charge is paid", func() bool { return s.send("GET", base+"/"+id, nil).text("status") == "completed" })
	if left := s.Remaining(s.Find("wanclouds"), "acme"); left != "18000000" {
		t.Errorf("%s credits", left)
	}
}
