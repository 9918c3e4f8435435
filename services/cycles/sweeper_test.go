package cycles_test

import (
	"fmt"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/cycles"
	"creditstream/services/internal/trial"
	"creditstream/services/rules"
)

// due is how many accounts have something in the view that fell due and is not booked.
func due(t *testing.T, s *trial.Server, tenant *accounts.Tenant) int {
	t.Helper()
	n := 0
	for _, shard := range tenant.Shards() {
		n += len(trial.Must(shard.View().Due(s.Clock.Now(), 10_000))(t))
	}
	return n
}

func openAll(t *testing.T, tenant *accounts.Tenant, n int) {
	t.Helper()
	requests := make([]accounts.Request, n)
	for i := range requests {
		requests[i] = accounts.Request{
			Account: fmt.Sprint("a", i), Command: &rules.PutAccount{Plan: rules.Set("pro"), Anchor: rules.Set(trial.Noon)},
		}
	}
	for _, answer := range tenant.DoAll(t.Context(), requests) {
		if answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
}

// After the clock was set, everything that fell due on the way has happened, each renewal at its own
// instant, in every tenant; and once.
func TestAdvanceBooksEveryRenewalInOrder(t *testing.T) {
	s := trial.Start(t)
	tenants := []*accounts.Tenant{s.Tenant("adtech", "adtech"), s.Tenant("wanclouds", "wanclouds")}
	const accountsDue = 2100 // more than are settled at once
	for _, tenant := range tenants {
		openAll(t, tenant, accountsDue)
	}
	if err := s.Clock.Set(trial.Noon.AddDate(0, 3, 1)); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		if n := due(t, s, tenant); n != accountsDue {
			t.Fatalf("%s: %d accounts are due before the sweep, want %d: the test shows nothing", tenant.Name(), n, accountsDue)
		}
	}
	if err := cycles.Advance(t.Context(), s.Accounts); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		if n := due(t, s, tenant); n != 0 {
			t.Errorf("%s: %d accounts are still due", tenant.Name(), n)
		}
		a := trial.Must(tenant.Shards()[0].View().Load("a7"))(t)
		if c := a.Cycle(); c.Number != 4 || !c.From.Before(s.Clock.Now()) || !c.To.After(s.Clock.Now()) {
			t.Errorf("%s: after three renewals the booked cycle is %+v", tenant.Name(), c)
		}
		if got := renewals(s, tenant, "a7"); got != "cycle/2 cycle/3 cycle/4 " {
			t.Errorf("%s: booked %s", tenant.Name(), got)
		}
	}
	head := tenants[0].Shards()[0].Head()
	if err := cycles.Advance(t.Context(), s.Accounts); err != nil || tenants[0].Shards()[0].Head() != head {
		t.Errorf("with nothing due, something is written: %v", err)
	}
}

// renewals are the keys of an account's renewals in the journal, in order.
func renewals(s *trial.Server, tenant *accounts.Tenant, account string) string {
	var keys string
	for _, e := range s.Entries(tenant.Name()) {
		if _, ok := e.Facts[0].Event.(*credit.CycleRenewed); ok && e.Account == account {
			keys += e.Key + " "
		}
	}
	return keys
}

// The sweeper books what nobody touches, in more batches than one, also for a tenant that is added later.
func TestSweeperBooksWhatNobodyTouches(t *testing.T) {
	s := trial.Start(t)
	sweeper := cycles.Start(s.Accounts, cycles.Config{Every: 5 * time.Millisecond, Batch: 7})
	defer sweeper.Stop()
	tenant := s.Tenant("wanclouds", "wanclouds")
	openAll(t, tenant, 40)
	if err := s.Clock.Set(trial.Noon.AddDate(0, 1, 0)); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "everything due is booked", func() bool { return due(t, s, tenant) == 0 })
	a := trial.Must(tenant.Shards()[0].View().Load("a39"))(t)
	if a.Cycle().Number != 2 {
		t.Errorf("the last account is in cycle %d", a.Cycle().Number)
	}
	sweeper.Stop()
	if err := s.Clock.Set(trial.Noon.AddDate(0, 2, 0)); err != nil {
		t.Fatal(err)
	}
	if n := due(t, s, tenant); n != 40 {
		t.Errorf("a stopped sweeper has booked: %d are due, want 40", n)
	}
}
