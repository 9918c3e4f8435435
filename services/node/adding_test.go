package node_test

import (
	"context"
	"testing"

	"creditstream/services/node"
)

// A tenant keeps the number of its shards whatever the server's default is.
func TestATenantKeepsItsShardsOverARestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for round := range 2 {
		n, err := node.Start(t.Context(), node.Config{Data: data})
		if err != nil {
			t.Fatalf("start %d: %v", round+1, err)
		}
		if round == 0 {
			if err := n.AddTenant(t.Context(), "wide", 3); err != nil {
				t.Error(err)
			}
		}
		tenant, err := n.Accounts().Tenant("wide")
		if err != nil || len(tenant.Shards()) != 3 {
			t.Errorf("start %d: %v", round+1, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A tenant whose making was broken off can be made again.
func TestATenantIsMadeAgain(t *testing.T) {
	t.Parallel()
	n, err := node.Start(t.Context(), node.Config{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	for made := 0; ; made++ {
		// The making is broken off as soon as so many of its journals are there.
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.AddTenant(ctx, "wide", 8) }()
		for made < 7 && n.Journal("wide", made) == nil && len(ended) == 0 {
		}
		if made < 7 {
			cancel()
		}
		err := <-ended
		cancel()
		if err == nil {
			break
		}
		if made >= 7 {
			t.Fatalf("the last time, not broken off: %v", err)
		}
	}
	if tenant, err := n.Accounts().Tenant("wide"); err != nil || len(tenant.Shards()) != 8 {
		t.Errorf("%v", err)
	}
}
