package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/intake"
	"creditstream/services/internal/trial"
	"creditstream/services/purchases"
	"creditstream/services/rules"
)

// shop is a server with an HTTP door and a payment provider.
type shop struct {
	*trial.Server
	t         testing.TB
	url       string
	handler   atomic.Pointer[http.Handler]
	sandbox   *purchases.Sandbox
	purchases *purchases.Service
	intake    *intake.Intake
	api       *api.API
	refuse    atomic.Bool // answers notifications with 503, as if the server were not there
	heard     atomic.Int64
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{Server: trial.Start(t), t: t}
	front := httptest.NewServer(http.HandlerFunc(s.front))
	t.Cleanup(front.Close)
	s.url = front.URL
	s.openDoor()
	t.Cleanup(s.closeDoor)
	return s
}

func (s *shop) front(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Webhook-Id") != "" {
		s.heard.Add(1)
		if s.refuse.Load() {
			http.Error(w, "gone", http.StatusServiceUnavailable)
			return
		}
	}
	(*s.handler.Load()).ServeHTTP(w, r)
}

func (s *shop) openDoor() { s.openDoorWith() }

// openDoorWith puts other providers in front of the sandbox.
func (s *shop) openDoorWith(others ...purchases.Provider) {
	s.sandbox = purchases.StartSandbox(purchases.SandboxConfig{URL: s.url, SettleAfter: 20 * time.Millisecond, Clock: s.Clock.Now})
	s.purchases = purchases.New(purchases.Config{Accounts: s.Accounts, Codes: s.Credentials, Providers: append(others, s.sandbox)})
	s.serve(true)
}

// reopenWithoutSandboxRights is a server outside development that was not told to allow the sandbox.
func (s *shop) reopenWithoutSandboxRights() { s.serve(false) }

func (s *shop) serve(dev bool) {
	s.api = api.New(api.Config{
		Accounts: s.Accounts, Credentials: s.Credentials, Dev: dev, TestClock: s.Clock, Purchases: s.purchases, Sandbox: s.sandbox, Intake: s.intake,
	})
	handler := s.api.Handler()
	s.handler.Store(&handler)
}

func (s *shop) closeDoor() {
	s.purchases.Close()
	s.sandbox.Close()
}

// reply is an answer as a client reads it.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   map[string]any
	raw    string
}

// send makes a request; a body that is no []byte is encoded as JSON. headers are names and values in turn.
func (s *shop) send(method, path string, body any, headers ...string) reply {
	s.t.Helper()
	text, isText := body.([]byte)
	if !isText && body != nil {
		text = trial.Must(json.Marshal(body))(s.t)
	}
	request := trial.Must(http.NewRequest(method, s.url+path, bytes.NewReader(text)))(s.t)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response := trial.Must(http.DefaultClient.Do(request))(s.t)
	defer response.Body.Close()
	r := reply{t: s.t, status: response.StatusCode, header: response.Header, raw: string(trial.Must(io.ReadAll(response.Body))(s.t))}
	if response.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		if err := json.Unmarshal([]byte(r.raw), &r.body); err != nil {
			s.t.Fatalf("%s %s: %d %q: %v", method, path, r.status, r.raw, err)
		}
	}
	return r
}

// want stops the test unless the answer has the status and, of a problem, the code.
func (r reply) want(status int, code string) reply {
	r.t.Helper()
	if r.status != status || code != "" && r.body["code"] != code {
		r.t.Fatalf("got %d %s, want %d %s", r.status, r.raw, status, code)
	}
	return r
}

func (r reply) text(field string) string {
	s, _ := r.body[field].(string)
	return s
}

type fields = map[string]any

// tec is a tecpet shop with an account whose code is 482913.
func tec(t testing.TB) (*shop, *accounts.Tenant) {
	s := newShop(t)
	tenant := s.Tenant("tecpet", "tecpet")
	s.Do(tenant, "clinic", &rules.PutAccount{Plan: rules.Set("base"), Approval: rules.Set("pin")})
	if err := s.Credentials.SetPIN(t.Context(), "tecpet", "clinic", "482913", "test", s.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	return s, tenant
}

const clinic = "/v1/tenants/tecpet/accounts/clinic/purchases"

func (s *shop) buy(key, code string) reply {
	s.t.Helper()
	return s.send("POST", clinic, fields{"pack": "pack-50", "approval_code": code}, "Idempotency-Key", key)
}

// saved is the purchases of a wanclouds account that has a saved method.
func saved(s *shop) (path string) {
	s.t.Helper()
	s.Do(s.Tenant("wanclouds", "wanclouds"), "acme", &rules.PutAccount{
		Plan: rules.Set("pro"), PaymentMethod: rules.Set(credit.PaymentMethod{Provider: "sandbox", Reference: "pm_good", Label: "Visa •••• 4242"}),
	})
	return "/v1/tenants/wanclouds/accounts/acme/purchases"
}
