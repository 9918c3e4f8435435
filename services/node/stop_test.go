package node

import (
	"context"
	"testing"
	"time"

	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// A node stops though its journals acknowledge nothing any more.
func TestAStopDoesNotWaitForAcksThatNeverCome(t *testing.T) {
	t.Parallel()
	n, err := Start(t.Context(), Config{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := n.AddTenant(t.Context(), "shop", 0); err != nil {
		t.Fatal(err)
	}
	tenant, err := n.Accounts().Tenant("shop")
	if err != nil {
		t.Fatal(err)
	}
	n.bus.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer := tenant.Do(ctx, accounts.Request{Account: "a", Command: rules.PutAccount{}}); answer.Err == nil {
		t.Error("acknowledged by a server that is down")
	}
	stopped := make(chan struct{})
	go func() {
		n.stopShards(100 * time.Millisecond)
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
}
