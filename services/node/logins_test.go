package node

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/services/credentials"
)

// A client whose key is revoked is disconnected; the others stay.
func TestRevokedKeyIsDisconnected(t *testing.T) {
	n, err := Start(t.Context(), Config{Data: t.TempDir(), NATSListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := n.AddTenant(t.Context(), "shop", 1); err != nil {
		t.Fatal(err)
	}
	create := func(actor string, expires time.Time) (secret, id string) {
		secret, key, err := n.Credentials().Create(t.Context(), credentials.NewKey{Tenant: "shop", Actor: actor, Scopes: credentials.Scopes(credentials.Usage), Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return secret, key.ID
	}
	dial := func(secret string) (nc *nats.Conn, gone chan struct{}) {
		gone = make(chan struct{})
		nc, err := nats.Connect(n.NATS(), nats.Token(secret), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc, gone
	}
	keptSecret, _ := create("kept", time.Time{})
	revokedSecret, revokedID := create("revoked", time.Time{})
	shortSecret, _ := create("short", n.clock.Now().Add(2*time.Second))
	kept, _ := dial(keptSecret)
	_, revokedGone := dial(revokedSecret)
	_, shortGone := dial(shortSecret)

	if err := n.Credentials().Revoke(t.Context(), revokedID, "ops"); err != nil {
		t.Fatal(err)
	}
	for what, gone := range map[string]chan struct{}{"revoked": revokedGone, "expired": shortGone} {
		select {
		case <-gone:
		case <-time.After(30 * time.Second):
			t.Errorf("the client whose key is %s is still connected", what)
		}
	}
	if err := kept.Flush(); err != nil {
		t.Errorf("the client whose key is good: %v", err)
	}
	if _, err := nats.Connect(n.NATS(), nats.Token(revokedSecret)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("logging in with the revoked key: %v", err)
	}
}

// A client that comes back while the server starts is let in, not refused: its tenant is not open yet.
func TestClientsAreLetInOnceTheTenantIsThere(t *testing.T) {
	n := &Node{serving: make(chan struct{})}
	asked := make(chan bool)
	go func() {
		_, ok := n.authenticateNATS("", "a key")
		asked <- ok
	}()
	select {
	case <-asked:
		t.Error("a client was answered before the tenants were there")
	case <-time.After(20 * time.Millisecond):
	}
	close(n.serving)
	if <-asked {
		t.Error("a client was let in by a node that did not start")
	}
}
