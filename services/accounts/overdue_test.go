package accounts_test

import (
	"fmt"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// More falls due for one account at one instant than one entry may have: it is booked bit by bit, and the
// account goes on.
func TestMoreIsDueThanOneEntryMayHave(t *testing.T) {
	const lots = 1500
	for _, first := range []string{"the sweep", "a request", "a refused request"} {
		t.Run(first, func(t *testing.T) {
			n, tenant := open(t, t.TempDir())
			opening(t, tenant, "a", 5_00)
			opening(t, tenant, "b", 5_00)
			end := start.Add(time.Hour)
			requests := make([]accounts.Request, lots)
			for i := range requests {
				requests[i] = accounts.Request{Account: "a", Command: rules.GrantCredits{Pool: "bought", Credits: 1_00, Reason: "r", Ends: rules.Set(end)}}
			}
			for i, answer := range tenant.DoAll(t.Context(), requests) {
				if answer.Err != nil {
					t.Fatal(i, answer.Err)
				}
			}
			if r := remaining(t, tenant, "a"); r != (lots+5)*1_00 {
				t.Fatalf("%d remain before the end", r)
			}
			if err := n.Accounts().Clock().(*accounts.TestClock).Set(end); err != nil {
				t.Fatal(err)
			}
			switch first {
			case "the sweep":
				if _, err := tenant.Sweep(t.Context(), 10); err != nil {
					t.Fatal(err)
				}
			case "a refused request":
				if answer := tenant.Do(t.Context(), use("a", "too much", 6)); answer.Err == nil {
					t.Error("spent what had ended")
				}
			}
			answers := tenant.DoAll(t.Context(), []accounts.Request{use("a", "k", 2), use("b", "k", 1), use("a", "k", 2)})
			for i, answer := range answers {
				if answer.Err != nil || answer.Replayed != (i == 2) {
					t.Errorf("request %d: %+v", i, answer)
				}
			}
			if r := remaining(t, tenant, "a"); r != 3_00 {
				t.Errorf("%d remain", r)
			}
			expired := make(map[string]int)
			for commit, err := range n.Journal("shop", 0).Read(t.Context(), 1) {
				if err != nil {
					t.Fatal(err)
				}
				entries, err := credit.DecodeCommit(commit.Body)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if ended, ok := e.Facts[0].Event.(*credit.CreditExpired); ok {
						expired[fmt.Sprint(e.Account, " ", ended.Lot)]++
					}
				}
			}
			for lot, times := range expired {
				if times != 1 {
					t.Errorf("%s expired %d times", lot, times)
				}
			}
			if len(expired) != lots {
				t.Errorf("%d lots expired", len(expired))
			}
		})
	}
}
