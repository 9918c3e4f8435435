package rules_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// mostInEntry is less than what the loop lets one entry have, in bytes.
const mostInEntry = 300 << 10

// However many lots end with a cycle, each entry that settling writes is small, the terms close after each
// of them, and settling at once or in steps of any length comes to the same.
func TestACycleEndsWithTwentyThousandLots(t *testing.T) {
	b := crowdedBook(t, "expiring_days: 4", "expiring_days: 0", "monthly: {priority: 10, expires: cycle_end, rollover: {up_to: 30,", "monthly: {priority: 10, expires: cycle_end, rollover: {up_to: 2999.5,")
	before := opened(t, b, "")
	for i := range 20_000 {
		pool := []string{"wide", "wide", "monthly", "quota"}[i%4]
		do(t, before, b, noon, rules.GrantCredits{Pool: pool, Credits: 100, Reason: "r"})
	}
	at, whole := before.Cycle().To, before.Clone()
	settled(t, whole, rules.Settle(before.Clone(), b, at), at)
	for _, limit := range []int{512} {
		a := before.Clone()
		var steps []rules.Due
		for {
			some := rules.SettleSome(a, b, at, limit)
			if len(some) > limit+1 {
				t.Fatalf("%d facts at once, not %d", len(some), limit)
			}
			steps = append(steps, some...)
			if len(some) < limit {
				break
			}
		}
		folded := before.Clone()
		settled(t, folded, steps, at)
		if state(folded) != state(whole) || state(a) != state(whole) {
			t.Errorf("in steps of %d it comes to something else", limit)
		}
	}
	for pool, want := range map[string]credit.Terms{
		"wide":    {Opening: 1_000_000, Remaining: 1_000_000}, // all of it, once
		"monthly": {Opening: 2999_50, Remaining: 2999_50},     // up to its limit, of one lot a half
		"quota":   {Opening: 20_00, Remaining: 20_00},
	} {
		if got := whole.Pool(pool).Terms; got != want {
			t.Errorf("%s: %+v, want %+v", pool, got, want)
		}
	}
	next := whole.Cycle().To
	settled(t, whole, rules.Settle(whole.Clone(), b, next), next)
	if got := whole.Pool("wide").Terms; got != (credit.Terms{}) {
		t.Errorf("wide rolled over twice: %+v", got)
	}
}

// settled folds what settling said, entry by entry.
func settled(t *testing.T, a *credit.Account, dues []rules.Due, now time.Time) {
	t.Helper()
	keys := make(map[string]bool, len(dues))
	for _, due := range dues {
		if keys[due.Key] {
			t.Fatalf("key %s was given twice", due.Key)
		}
		keys[due.Key] = true
		body, err := credit.EncodeCommit("/s", []credit.Entry{{Account: a.ID(), Key: due.Key, Recorded: now, Facts: due.Facts}})
		if err != nil {
			t.Fatal(err)
		}
		if len(body) > mostInEntry {
			t.Fatalf("the entry of %s takes %d bytes", due.Key, len(body))
		}
		for _, f := range due.Facts {
			a.Evolve(f.Event, f.At)
			for _, p := range a.Pools() {
				if !p.Terms.Close() {
					t.Fatalf("after %s the terms of %s do not close: %+v", due.Key, p.Name, p.Terms)
				}
			}
		}
	}
}

// state is all records of an account.
func state(a *credit.Account) string {
	var all []byte
	a = a.Clone()
	a.Drain(nil, func(part credit.Part, id string, value []byte) {
		all = append(append(append(all, byte(part)), id...), value...)
	}, func(part credit.Part, id string) { all = append(append(all, '-', byte(part)), id...) })
	return string(all)
}

// Debt that thousands of lots repay is repaid in parts, none of them too large for an entry.
func TestThousandsOfLotsRepayInParts(t *testing.T) {
	b := crowdedBook(t, "debt: {limit: 25}", "debt: {limit: 9000}")
	a := opened(t, b, "basic")
	do(t, a, b, noon, rules.Use{Meter: "video", Quantity: 8 + 50, Intake: true})
	do(t, a, b, noon, rules.Use{Meter: "video", Quantity: 1500, Intake: true})
	do(t, a, b, noon, rules.PutAccount{Plan: rules.Set("empty"), Effective: rules.EffectiveNow}) // may not spend what pays video only
	for range 1500 {
		do(t, a, b, noon, rules.GrantCredits{Pool: "right", Credits: 100, Reason: "r"})
	}
	if a.Debt("video") != 1500_00 {
		t.Fatalf("frozen lots repaid: %d are owed", a.Debt("video"))
	}
	for n := 0; a.Debt("video") > 0; n++ {
		if n > 6 {
			t.Fatalf("%d are still owed", a.Debt("video"))
		}
		facts := do(t, a, b, noon, rules.PutAccount{Plan: rules.Set("grand"), Effective: rules.EffectiveNow, Metadata: notes("n", strconv.Itoa(n))})
		body, err := credit.EncodeCommit("/s", []credit.Entry{{Account: "a", Recorded: noon, Facts: facts}})
		if err != nil || len(body) > mostInEntry/10 { // a tenth of the lots, a tenth of the room
			t.Fatalf("%d bytes, %v", len(body), err)
		}
	}
}

// A hold is refused when it would take more lots than its lapse could name.
func TestAHoldOfTooManyLotsIsRefused(t *testing.T) {
	b := crowdedBook(t)
	a := opened(t, b, "")
	for range 1001 {
		do(t, a, b, noon, rules.GrantCredits{Pool: "always", Credits: 50, Reason: "r"})
	}
	rules.Settle(a, b, noon)
	_, err := rules.PlaceHold{Meter: "ping", Quantity: 1001}.Decide(a, b, noon)
	if refusal := (*rules.Refusal)(nil); !errors.As(err, &refusal) || refusal.Code != rules.CodeInvalid {
		t.Errorf("a hold of 1,001 lots: %v", err)
	}
	do(t, a, b, noon, rules.PlaceHold{Meter: "ping", Quantity: 1000})
	settled(t, a.Clone(), rules.Settle(a, b, noon.Add(time.Hour)), noon.Add(time.Hour))
}
