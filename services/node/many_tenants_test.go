package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"creditstream/services/accounts"
)

// Tenants are opened several at a time: all are served, one whose anchor is gone keeps no other from it, and the
// clock goes on at the latest entry of all, whoever is opened first.
func TestManyTenantsAreOpened(t *testing.T) {
	const tenants = 3 * openedAtOnce
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	cfg := Config{Data: t.TempDir(), TestClock: noon, Views: []string{}}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	name := func(i int) string { return fmt.Sprintf("t%d", i) }
	for i := range tenants {
		if err := n.clock.(*accounts.TestClock).Set(noon.Add(time.Duration(i) * time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := n.AddTenant(t.Context(), name(i), 1); err != nil {
			t.Fatal(err)
		}
		tenant, err := n.Accounts().Tenant(name(i))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tenant.Publish(t.Context(), []byte(catalog), "ana"); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.Data, "anchors", name(5)+"_0.json")); err != nil {
		t.Fatal(err)
	}
	if n, err = Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if barred := n.Accounts().Barred(); len(barred) != 1 || barred[0].Tenant != name(5) {
		t.Errorf("barred are %+v", barred)
	}
	for i := range tenants {
		tenant, err := n.Accounts().Tenant(name(i))
		if i == 5 {
			continue
		}
		if err != nil || tenant.Books().Current() == nil {
			t.Errorf("tenant %d: %v", i, err)
		}
	}
	if now, want := n.clock.Now(), noon.Add((tenants-1)*time.Hour); now.Before(want) || now.After(want.Add(time.Minute)) {
		t.Errorf("the clock goes on at %s, the latest entry is of %s", now, want)
	}
}
