package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"creditstream/events/bus"
)

// An embedded server that is restarted in its place is to a journal like one elsewhere that came back: what was
// on its way gets its outcome, and the connection and the address stay.
func TestAJournalGoesOnOverARestartOfTheBus(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := startBus(t, bus.Config{StoreDir: dir, Listen: "127.0.0.1:0", DevTenantless: true})
	if err := s.AddTenant("acme"); err != nil {
		t.Fatal(err)
	}
	cfg := impatient
	cfg.SyncNames = s.SyncNames(acme.Stream())
	j := open(t, connect(t, s), cfg)
	fill(t, j, 3)
	addr := s.Addr()
	for round := range 2 {
		before := time.Now().Add(-time.Minute)
		restarted := make(chan error, 1)
		go func() { restarted <- s.Restart(t.Context(), before) }()
		outcomes := appendTo(t, j, "[4]")
		if err := <-restarted; err != nil {
			t.Fatal(err)
		}
		if o := await(t, outcomes); o.err != nil || o.head.Sequence != uint64(4+round) {
			t.Fatalf("restart %d: what was on its way came to %+v", round, o)
		}
	}
	if s.Addr() != addr || s.Healthy() != nil || s.Fault() != nil {
		t.Errorf("after the restarts: %s, was %s; healthy: %v; fault: %v", s.Addr(), addr, s.Healthy(), s.Fault())
	}
	if commits, err := readAll(t.Context(), j, 1); err != nil || len(commits) != 5 {
		t.Errorf("%d commits: %v", len(commits), err)
	}
}

// A restart that fails can be repeated, and meanwhile the bus says what is wrong.
func TestARestartThatFailsIsRepeated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := startBus(t, bus.Config{StoreDir: dir})
	j := open(t, connect(t, s), impatient)
	fill(t, j, 1)
	streams := filepath.Join(dir, "jetstream")
	if err := os.Rename(streams, streams+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(streams, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), time.Now()); err == nil || s.Fault() == nil {
		t.Fatalf("the server started without its streams: %v, fault %v", err, s.Fault())
	}
	if err := os.Remove(streams); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(streams+".away", streams); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), time.Now()); err != nil || s.Fault() != nil {
		t.Fatalf("the second restart: %v, fault %v", err, s.Fault())
	}
	if o := await(t, appendTo(t, j, "[2]")); o.err != nil || o.head.Sequence != 2 {
		t.Errorf("after the second restart: %+v", o)
	}
}
