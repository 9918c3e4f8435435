package accounts_test

import (
	"fmt"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// An account whose cycle ends with twenty thousand lots renews in many small entries, whoever comes first,
// a request or the sweep; and what they wrote folds to the same again.
func TestTwentyThousandLotsEndWithACycle(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of the short tests: it takes 20,000 lots to be more than an entry holds")
	}
	n, tenant := open(t, t.TempDir())
	for account, lots := range map[string]int{"asked": 20_000, "swept": 1_000} {
		if answer := tenant.Do(t.Context(), accounts.Request{Account: account, Command: &rules.PutAccount{Plan: rules.Set("pro")}}); answer.Err != nil {
			t.Fatal(answer.Err)
		}
		requests := make([]accounts.Request, lots)
		for i := range requests {
			requests[i] = accounts.Request{Account: account, Key: fmt.Sprint("g", i), Hash: credit.Hash{1}, Command: &rules.GrantCredits{Pool: "allowance", Credits: 1_00, Reason: "r"}}
		}
		for _, answer := range tenant.DoAll(t.Context(), requests) {
			if answer.Err != nil {
				t.Fatal(answer.Err)
			}
		}
	}
	if r := remaining(t, tenant, "asked"); r != 20_100_00 {
		t.Fatalf("%d remain before the boundary", r)
	}
	if err := n.Accounts().Clock().(*accounts.TestClock).Set(start.AddDate(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if r := remaining(t, tenant, "asked"); r != 100_00 {
		t.Errorf("%d remain to a reader before anything is booked", r)
	}
	if answer := tenant.Do(t.Context(), use("asked", "u", 1)); answer.Err != nil {
		t.Fatal(answer.Err)
	}
	if _, err := tenant.Sweep(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	for account, want := range map[string]credit.Amount{"asked": 99_00, "swept": 100_00} {
		if r := remaining(t, tenant, account); r != want {
			t.Errorf("%d remain to %s, want %d", r, account, want)
		}
		a, err := tenant.Shards()[0].View().Load(account)
		if err != nil || a.Cycle().Number != 2 {
			t.Errorf("%s is booked in cycle %d, %v", account, a.Cycle().Number, err)
		}
	}
	if report, err := n.Verify(t.Context(), "", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v, %v", report, err)
	}
}
