package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// A wall clock that jumps ahead takes no lot's life: nothing is decided and nothing looks expired, until an
// operator says that the clock is right.
func TestNoLotDiesOfAClockThatJumps(t *testing.T) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	var wall, elapsed atomic.Int64
	wall.Store(noon.UnixNano())
	clock := accounts.NewClock(func() time.Time { return time.Unix(0, wall.Load()) }, func() time.Duration { return time.Duration(elapsed.Load()) })
	n, tenant := openShop(t, Config{Data: t.TempDir(), Dev: true, Clock: clock})
	ends := noon.Add(24 * time.Hour)
	opened := tenant.Do(t.Context(), accounts.Request{Account: "a", Key: "open", Hash: credit.Hash{1}, Command: &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: 500, Ends: ends}}}})
	if opened.Err != nil {
		t.Fatal(opened.Err)
	}
	remaining := func() credit.Amount {
		t.Helper()
		a, _, _, err := tenant.Account("a")
		if err != nil {
			t.Fatal(err)
		}
		return a.Pool("bought").Terms.Remaining
	}
	use := func() error {
		return tenant.Do(t.Context(), accounts.Request{Account: "a", Command: &rules.Use{Meter: "call", Quantity: 1}}).Err
	}

	wall.Store(noon.Add(48 * time.Hour).UnixNano())
	elapsed.Store(int64(time.Minute))
	if _, err := tenant.Sweep(t.Context(), 10); err != nil && !errors.Is(err, accounts.ErrClock) {
		t.Error(err)
	}
	if got := remaining(); got != 500 {
		t.Errorf("the clock jumped two days in a minute, and %d of 500 remain", got)
	}
	if err := use(); !errors.Is(err, accounts.ErrUnavailable) || !errors.Is(err, accounts.ErrClock) {
		t.Errorf("a decision by that clock: %v", err)
	}
	if answer := askTime(t, n, http.MethodGet, "/v1/admin/clock"); answer.Trusted || len(answer.Problems) == 0 || !answer.Now.Equal(noon.Add(time.Minute)) {
		t.Errorf("the operator is told %+v", answer)
	}

	wall.Store(noon.Add(2 * time.Minute).UnixNano())
	elapsed.Store(int64(2 * time.Minute))
	if err := use(); err != nil || remaining() != 400 {
		t.Errorf("after the clock was set right: %v, %d remain", err, remaining())
	}

	wall.Store(noon.Add(48 * time.Hour).UnixNano())
	if answer := askTime(t, n, http.MethodPost, "/v1/admin/clock/confirm"); !answer.Trusted || !answer.Now.Equal(noon.Add(48*time.Hour)) {
		t.Errorf("confirmed: %+v", answer)
	}
	if err := use(); err == nil || errors.Is(err, accounts.ErrClock) {
		t.Errorf("the clock is right, and the lot is over: %v", err)
	}
}

type timeAnswer struct {
	Now      time.Time
	Trusted  bool
	Problems []string
}

func askTime(t *testing.T, n *Node, method, path string) (answer timeAnswer) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s, %v", method, path, w.Code, w.Body, err)
	}
	return answer
}
