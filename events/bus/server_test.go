package bus_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
)

func start(t testing.TB, cfg bus.Config) *bus.Server {
	t.Helper()
	if cfg.StoreDir == "" {
		cfg.StoreDir = filepath.Join(t.TempDir(), "nats")
	}
	s, err := bus.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestStreamsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, bus.Config{StoreDir: dir, Listen: "127.0.0.1:0"})
	if u, err := url.Parse(s.Addr()); err != nil || u.Scheme != "nats" || u.Hostname() != "127.0.0.1" || u.Port() == "0" {
		t.Errorf("address %q: %v", s.Addr(), err)
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	publish(t, s, true)
	s.Shutdown()
	s.Shutdown()

	s = start(t, bus.Config{StoreDir: dir})
	if s.Addr() != "" {
		t.Errorf("listens on %q without being told to", s.Addr())
	}
	if info := publish(t, s, false); info.State.Msgs != 2 {
		t.Errorf("%d messages after two publishes and a restart", info.State.Msgs)
	}
}

// publish appends one message to a stream, creating it when told to.
func publish(t *testing.T, s *bus.Server, create bool) *jetstream.StreamInfo {
	t.Helper()
	nc := must(s.Connect(t.Name()))(t)
	defer nc.Close()
	js := must(jetstream.New(nc))(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if create {
		must(js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))(t)
	}
	must(js.Publish(ctx, "s", []byte("x")))(t)
	stream := must(js.Stream(ctx, "S"))(t)
	return stream.CachedInfo()
}

func TestOneDirectoryHasOneServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, bus.Config{StoreDir: dir})
	_, err := bus.Start(t.Context(), bus.Config{StoreDir: dir})
	if !errors.Is(err, bus.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("a second server on one directory: %v", err)
	}
	s.Shutdown()
	start(t, bus.Config{StoreDir: dir})
}

func TestLockIsExclusiveUntilReleased(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	release := must(bus.LockDir(dir))(t)
	if _, err := bus.LockDir(dir); !errors.Is(err, bus.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	for range 2 {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	must(bus.LockDir(dir))(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.LockDir(filepath.Join(dir, "file")); err == nil || errors.Is(err, bus.ErrLocked) {
		t.Errorf("locking a file: %v", err)
	}
}

func TestSyncDirNeedsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a", "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := bus.SyncDir(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if err := bus.SyncDir(t.Context(), filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent directory was synced")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bus.SyncDir(ended, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestStartRefusesWhatItCannotDo(t *testing.T) {
	for _, cfg := range []bus.Config{
		{},
		{StoreDir: t.TempDir(), Listen: "nowhere"},
		{StoreDir: t.TempDir(), Listen: "127.0.0.1:port"},
		{StoreDir: t.TempDir(), Listen: "0.0.0.0:0", DevTenantless: true},
		{StoreDir: t.TempDir(), Listen: ":0", DevTenantless: true},
	} {
		if s, err := bus.Start(t.Context(), cfg); err == nil {
			s.Shutdown()
			t.Errorf("started with %+v", cfg)
		}
	}
}

func TestNobodyGetsInWithoutACredential(t *testing.T) {
	s := start(t, bus.Config{Listen: "127.0.0.1:0"})
	for name, option := range map[string]nats.Option{
		"nothing":                nats.Name("x"),
		"a token":                nats.Token("guess"),
		"our user, no password":  nats.UserInfo("creditstream-writer", ""),
		"our user, another one":  nats.UserInfo("creditstream-writer", "guess"),
		"our service, a guess":   nats.UserInfo("creditstream-service", "guess"),
		"the name of an account": nats.UserInfo(bus.InternalAccount, "guess"),
	} {
		if nc, err := nats.Connect(s.Addr(), option); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				nc.Close()
			}
		}
	}
}
