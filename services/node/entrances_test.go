package node

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/services/credentials"
)

// A tenant's entrance is made by the first of its clients that logs in, once, however many come at the same
// time; who is let in is answered. It comes back with a bus that was restarted.
func TestATenantsEntranceIsThereBeforeItsClients(t *testing.T) {
	n, err := Start(t.Context(), Config{Data: t.TempDir(), NATSListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	var keys []string
	for _, tenant := range []string{"shop", "other"} {
		if err := n.AddTenant(t.Context(), tenant, 1); err != nil {
			t.Fatal(err)
		}
		secret, _, err := n.Credentials().Create(t.Context(), credentials.NewKey{Tenant: tenant, Actor: "app", Scopes: credentials.Scopes(credentials.Usage)})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, secret)
	}
	if open := n.entrances.tenants(); len(open) != 0 {
		t.Fatalf("before anybody logged in there are entrances: %v", open)
	}
	asked := func(nc *nats.Conn, within time.Duration) bool {
		m, err := nc.Request("credits.shop.balance", []byte(`{"account":"nobody"}`), within)
		return err == nil && strings.Contains(string(m.Data), "unknown_account")
	}
	var logins sync.WaitGroup
	clients := make([]*nats.Conn, 8)
	for i := range clients {
		logins.Go(func() {
			nc, err := nats.Connect(n.NATS(), nats.Token(keys[0]), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.IgnoreAuthErrorAbort())
			if err != nil {
				t.Error(err)
				return
			}
			if !asked(nc, 10*time.Second) {
				t.Error("a client that was let in is not answered")
			}
			clients[i] = nc
		})
	}
	logins.Wait()
	if t.Failed() {
		return
	}
	for _, nc := range clients {
		defer nc.Close()
	}
	if open := n.entrances.tenants(); len(open) != 1 || open[0] != "shop" {
		t.Errorf("the entrances are %v, only shop has clients", open)
	}
	if err := n.bus.Restart(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, nc := range clients {
		eventually(t, "a client is answered after a restart of the bus", func() bool { return asked(nc, time.Second) })
	}
}

// tenants are those that have an entrance.
func (e *entrances) tenants() (tenants []string) {
	e.of.Range(func(tenant, _ any) bool {
		tenants = append(tenants, tenant.(string))
		return true
	})
	return tenants
}
