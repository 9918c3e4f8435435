package node

import (
	"errors"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

const catalog = `
name: Shop
timezone: UTC
currency: USD
scale: 2
without_plan: {grants: all}
plans:
  pro: {rank: 1, paid: true, meters: [call], allowances: {bought: "100"}}
pools:
  bought: {priority: 2, expires: never}
meters:
  call: {price: "1", needs_plan: false}
`

// openShop starts a node with one tenant, whose catalog is in force. It is closed with the test.
func openShop(t *testing.T, cfg Config) (*Node, *accounts.Tenant) {
	t.Helper()
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := n.AddTenant(t.Context(), "shop", 1); err != nil {
		t.Fatal(err)
	}
	tenant, err := n.Accounts().Tenant("shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tenant.Publish(t.Context(), []byte(catalog), "ana"); err != nil {
		t.Fatal(err)
	}
	return n, tenant
}

// The log is the only lock: once another writer has appended, this one answers nobody any more.
func TestAFencedWriterStops(t *testing.T) {
	n, tenant := openShop(t, Config{Data: t.TempDir(), TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)})
	opened := tenant.Do(t.Context(), accounts.Request{Account: "a", Command: &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: 10_00}}}})
	if opened.Err != nil {
		t.Fatal(opened.Err)
	}
	rival, err := journal.Open(t.Context(), n.writer, journal.Config{Name: journal.Name{Tenant: "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	defer rival.Close()
	if _, err := rival.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		answer := tenant.Do(t.Context(), accounts.Request{Account: "a", Key: "k", Hash: credit.Hash{1}, Command: &rules.Use{Meter: "call", Quantity: 1}})
		if !errors.Is(answer.Err, accounts.ErrUnavailable) {
			t.Errorf("a stale writer answered %+v", answer)
		}
	}
	if tenant.Shards()[0].Failed() == nil {
		t.Error("the shard does not say that it stopped")
	}
	a, now, _, err := tenant.Account("a")
	if err != nil {
		t.Fatal(err)
	}
	if r := rules.BalanceOf(a, tenant.Books(), now).Remaining; r != 10_00 {
		t.Errorf("a charge that was not acknowledged is shown: %d remain", r)
	}
}
