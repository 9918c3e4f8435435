package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// A tenant whose journal cannot be trusted is not served and is named; the others go on as before.
func TestOneTenantsDamageIsNotTheOthers(t *testing.T) {
	cfg := Config{Data: t.TempDir(), TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	for _, name := range []string{"hurt", "well"} {
		if err := n.AddTenant(t.Context(), name, 1); err != nil {
			t.Fatal(err)
		}
		tenant, err := n.Accounts().Tenant(name)
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
	if err := os.Remove(filepath.Join(cfg.Data, "anchors", "hurt_0.json")); err != nil {
		t.Fatal(err)
	}
	if n, err = Start(t.Context(), cfg); err != nil {
		t.Fatalf("one lost anchor stopped the server: %v", err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if _, err := n.Accounts().Tenant("hurt"); !errors.Is(err, accounts.ErrUnavailable) {
		t.Errorf("the damaged tenant answers %v", err)
	}
	if barred := n.Accounts().Barred(); len(barred) != 1 || barred[0].Tenant != "hurt" || !errors.Is(barred[0].Reason, journal.ErrAnchorLost) || barred[0].Advice == "" {
		t.Errorf("barred are %+v", barred)
	}
	well, err := n.Accounts().Tenant("well")
	if err != nil {
		t.Fatal(err)
	}
	if answer := well.Do(t.Context(), accounts.Request{Account: "a", Command: &rules.PutAccount{}}); answer.Err != nil {
		t.Errorf("the other tenant: %v", answer.Err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.AcceptLostAnchors = true
	if n, err = Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if _, err := n.Accounts().Tenant("hurt"); err != nil {
		t.Errorf("its anchor was accepted as lost, and it is not served: %v", err)
	}
}
