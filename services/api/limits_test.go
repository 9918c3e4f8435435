package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"creditstream/services/api"
	"creditstream/services/internal/trial"
	"creditstream/services/node"
)

// askFrom is a request without a key from an address.
func askFrom(door *api.API, address, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	door.Handler().ServeHTTP(w, r)
	return w
}

// Who asks too often from one address is told to slow down before anything else is found out about him; others,
// and this machine, are not held back, whoever they are.
func TestTooManyFromOneAddress(t *testing.T) {
	s := newShop(t)
	door := api.New(api.Config{Accounts: s.Accounts, Credentials: s.Credentials, Limits: api.Limits{PerAddress: 1}})
	count := func(addresses ...string) (refused int) {
		for i := range 20 {
			w := askFrom(door, addresses[i%len(addresses)], "/v1/tenants/shop/accounts")
			if w.Code == http.StatusTooManyRequests {
				refused++
				if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "too_many_requests") {
					t.Errorf("refused with %v %s", w.Header(), w.Body)
				}
			} else if w.Code != http.StatusUnauthorized {
				t.Errorf("answered %d", w.Code)
			}
		}
		return refused
	}
	if count("10.0.0.1:1000", "10.0.0.1:2000") < 10 {
		t.Error("20 requests at once were let through at 1 a second")
	}
	if count("[2001:db8::1]:1", "[2001:db8::2]:1") < 10 {
		t.Error("one network's IPv6 addresses are as many clients")
	}
	if n := count("127.0.0.1:1000", "[::1]:1"); n > 0 {
		t.Errorf("%d requests from this machine were refused", n)
	}
	if w := askFrom(door, "10.0.0.2:1", "/v1/tenants/shop/accounts"); w.Code != http.StatusUnauthorized {
		t.Errorf("another address was answered %d", w.Code)
	}
}

// A URL asks for so much and no more.
func TestQueriesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.get("/v1/tenants/tecpet/accounts?"+strings.Repeat("x=1&", 64)).refused(422, "invalid")
	w.get("/v1/tenants/tecpet/accounts?q="+strings.Repeat("x", 9000)).refused(422, "invalid")
	w.get("/v1/tenants/tecpet/accounts?" + strings.Repeat("x=1&", 60)).is(200)
}

// Followers of one tenant's journal are so many and no more; another tenant's are let in.
func TestTooManyFollowers(t *testing.T) {
	w := newWorld(t, func(c *node.Config) { c.Limits.Followers = 2 })
	follow := func(tenant string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/v1/tenants/"+tenant+"/events?follow=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	first := follow("tecpet")
	if second, third, other := follow("tecpet").StatusCode, follow("tecpet").StatusCode, follow("adtech").StatusCode; second != 200 || third != 429 || other != 200 {
		t.Errorf("the second was answered %d, the third %d, another tenant's %d", second, third, other)
	}
	_ = first.Body.Close()
	trial.Eventually(t, "a place is free again", func() bool { return follow("tecpet").StatusCode == 200 })
}
