package accounts_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/node"
	"creditstream/services/rules"
)

const catalog = `
name: Shop
timezone: UTC
currency: USD
scale: 2
without_plan: {grants: all}
plans:
  pro: {rank: 1, paid: true, meters: [call], allowances: {allowance: "100"}}
pools:
  allowance: {priority: 1, meters: [call], expires: cycle_end}
  bought: {priority: 2, expires: never}
meters:
  call: {price: "1", needs_plan: false}
`

var start = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// open starts a node on dir with a test clock and the tenant "shop".
func open(t *testing.T, dir string) (*node.Node, *accounts.Tenant) {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{Data: dir, TestClock: start})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	tenant, err := n.Accounts().Tenant("shop")
	if errors.Is(err, accounts.ErrUnknownTenant) {
		if err := n.AddTenant(t.Context(), "shop", 1); err != nil {
			t.Fatal(err)
		}
		tenant, err = n.Accounts().Tenant("shop")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tenant.Publish(t.Context(), []byte(catalog), "ana"); err != nil {
		t.Fatal(err)
	}
	return n, tenant
}

func opening(t *testing.T, tenant *accounts.Tenant, account string, credits credit.Amount) {
	t.Helper()
	command := &rules.ImportAccount{}
	if credits > 0 {
		command.Lots = []rules.OpeningLot{{Pool: "bought", Credits: credits}}
	}
	if answer := tenant.Do(t.Context(), accounts.Request{Account: account, Command: command}); answer.Err != nil {
		t.Fatal(answer.Err)
	}
}

func use(account, key string, quantity int64) accounts.Request {
	return accounts.Request{Account: account, Key: key, Hash: credit.Hash{byte(quantity), 1}, Actor: "svc", Command: &rules.Use{Meter: "call", Quantity: quantity}}
}

func remaining(t *testing.T, tenant *accounts.Tenant, account string) credit.Amount {
	t.Helper()
	a, now, _, err := tenant.Account(account)
	if err != nil {
		t.Fatal(err)
	}
	return rules.BalanceOf(a, tenant.Books(), now).Remaining
}

// FIELD.md 1: two requests at once with one credit; here 64 of them, each with a key of its own.
func TestOneCreditPaysOneOfManyAtOnce(t *testing.T) {
	_, tenant := open(t, t.TempDir())
	opening(t, tenant, "a", 1_00)
	var granted, refused atomic.Int32
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			answer := tenant.Do(t.Context(), use("a", fmt.Sprint("k", i), 1))
			var refusal *rules.Refusal
			switch {
			case answer.Err == nil:
				granted.Add(1)
			case errors.As(answer.Err, &refusal) && refusal.Code == rules.CodeInsufficientCredits:
				refused.Add(1)
			default:
				t.Error(answer.Err)
			}
		})
	}
	wait.Wait()
	if granted.Load() != 1 || refused.Load() != 63 {
		t.Errorf("%d were granted and %d refused", granted.Load(), refused.Load())
	}
	if r := remaining(t, tenant, "a"); r != 0 {
		t.Errorf("%d remain", r)
	}
}

// Invariant 2: however often a request is repeated, at once, later, after a restart: one effect, and
// each time the original answer. Another request under the same key is told so.
func TestARepeatedRequestTakesEffectOnce(t *testing.T) {
	dir := t.TempDir()
	n, tenant := open(t, dir)
	opening(t, tenant, "a", 50_00)
	var first, replayed atomic.Int32
	var positions sync.Map
	repeat := func(tenant *accounts.Tenant, times int) {
		var wait sync.WaitGroup
		for range times {
			wait.Go(func() {
				answer := tenant.Do(t.Context(), use("a", "once", 3))
				if answer.Err != nil {
					t.Error(answer.Err)
					return
				}
				if answer.Replayed {
					replayed.Add(1)
				} else {
					first.Add(1)
				}
				u := answer.Facts[0].Event.(*credit.UsageRecorded)
				positions.Store(fmt.Sprint(answer.Position, u.Cost, u.Remaining, u.Draws[0].Lot), true)
			})
		}
		wait.Wait()
	}
	repeat(tenant, 40)
	repeat(tenant, 1)
	conflict := tenant.Do(t.Context(), use("a", "once", 4))
	var other *accounts.Conflict
	if !errors.As(conflict.Err, &other) {
		t.Errorf("another request with the key got %v", conflict.Err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n, tenant = open(t, dir)
	repeat(tenant, 3)
	if first.Load() != 1 || replayed.Load() != 43 {
		t.Errorf("%d took effect and %d were replayed", first.Load(), replayed.Load())
	}
	answers := 0
	positions.Range(func(any, any) bool { answers++; return true })
	if answers != 1 {
		t.Errorf("%d different answers", answers)
	}
	if r := remaining(t, tenant, "a"); r != 47_00 {
		t.Errorf("%d remain", r)
	}
	_ = n
}

// The same key belongs to each account on its own.
func TestKeysAreScopedToTheirAccount(t *testing.T) {
	_, tenant := open(t, t.TempDir())
	opening(t, tenant, "a", 10_00)
	opening(t, tenant, "b", 10_00)
	for _, account := range []string{"a", "b"} {
		if answer := tenant.Do(t.Context(), use(account, "k", 1)); answer.Err != nil || answer.Replayed {
			t.Errorf("%s: %v, replayed %v", account, answer.Err, answer.Replayed)
		}
	}
}

// Invariant 7: a refused command leaves nothing behind, not even its key.
func TestARefusalWritesNothing(t *testing.T) {
	n, tenant := open(t, t.TempDir())
	opening(t, tenant, "a", 1_00)
	before := n.Journal("shop", 0).Head()
	for _, r := range []accounts.Request{
		use("a", "k", 2), use("nobody", "k", 1), {Account: "a", Key: "k", Hash: credit.Hash{1}, Command: &rules.Use{Meter: "none", Quantity: 1}},
		{Account: "a", Key: "k", Hash: credit.Hash{1}, Command: &rules.Use{Meter: "call", Quantity: 0}},
		{Account: "a", Key: "k", Hash: credit.Hash{1}, Command: &rules.Use{Meter: "call", Quantity: 1 << 62}},
	} {
		var refusal *rules.Refusal
		if answer := tenant.Do(t.Context(), r); !errors.As(answer.Err, &refusal) {
			t.Errorf("%+v got %v", r.Command, answer.Err)
		}
	}
	if after := n.Journal("shop", 0).Head(); after != before {
		t.Errorf("the journal went from %d to %d", before.Sequence, after.Sequence)
	}
	if answer := tenant.Do(t.Context(), use("a", "k", 1)); answer.Err != nil || answer.Replayed {
		t.Errorf("the key of a refusal was used up: %v", answer.Err)
	}
}

// In a batch each request stands for itself, and those of one account are decided in order.
func TestABatchAnswersEachRequest(t *testing.T) {
	_, tenant := open(t, t.TempDir())
	opening(t, tenant, "a", 3_00)
	answers := tenant.DoAll(t.Context(), []accounts.Request{use("a", "1", 2), use("a", "2", 2), use("x", "3", 1), use("a", "4", 1), use("a", "1", 2)})
	var codes []string
	for _, a := range answers {
		var refusal *rules.Refusal
		switch {
		case errors.As(a.Err, &refusal):
			codes = append(codes, string(refusal.Code))
		case a.Err != nil:
			codes = append(codes, a.Err.Error())
		case a.Replayed:
			codes = append(codes, "replayed")
		default:
			codes = append(codes, "ok")
		}
	}
	if got := fmt.Sprint(codes); got != "[ok insufficient_credits unknown_account ok replayed]" {
		t.Error(got)
	}
}

// What falls due is booked by whoever comes first, a request or the sweep, at its own instant and once.
func TestDueThingsAreBookedOnceByWhoeverComesFirst(t *testing.T) {
	n, tenant := open(t, t.TempDir())
	for _, account := range []string{"swept", "asked"} {
		answer := tenant.Do(t.Context(), accounts.Request{Account: account, Command: &rules.PutAccount{Plan: rules.Set("pro")}})
		if answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	clock := n.Accounts().Clock().(*accounts.TestClock)
	if err := clock.Set(start.AddDate(0, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if answer := tenant.Do(t.Context(), use("asked", "k", 1)); answer.Err != nil {
		t.Fatal(answer.Err)
	}
	for swept := 1; swept > 0; {
		var err error
		if swept, err = tenant.Sweep(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
	}
	renewals := map[string][]string{}
	for commit, err := range n.Journal("shop", 0).Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		entries, err := credit.DecodeCommit(commit.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			for _, f := range e.Facts {
				if renewed, ok := f.Event.(*credit.CycleRenewed); ok {
					renewals[e.Account] = append(renewals[e.Account], fmt.Sprint(e.Key, " ", f.At.Format("01-02"), " ", renewed.Granted[0].Amount))
				}
			}
		}
	}
	for _, account := range []string{"swept", "asked"} {
		if got := fmt.Sprint(renewals[account]); got != "[cycle/2 02-15 10000 cycle/3 03-15 10000]" {
			t.Errorf("%s was renewed %s", account, got)
		}
	}
}
