package personal_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/services/personal"
)

func start(t *testing.T, dir string) (*bus.Server, *nats.Conn) {
	t.Helper()
	server, err := bus.Start(t.Context(), bus.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return server, nc
}

func open(t *testing.T, nc *nats.Conn) *personal.Store {
	t.Helper()
	s, err := personal.Open(t.Context(), nc, personal.Config{Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ensure(t *testing.T, s *personal.Store, account string) *personal.Key {
	t.Helper()
	key, err := s.Ensure(t.Context(), "shop", account)
	if err != nil || key == nil {
		t.Fatal(key, err)
	}
	return key
}

func TestSealedTexts(t *testing.T) {
	_, nc := start(t, t.TempDir())
	s := open(t, nc)
	a, b := ensure(t, s, "a"), ensure(t, s, "b")
	for _, text := range []string{"a dog, ", strings.Repeat("long ", 200), "sealed:1:0011223344556677:AAAA", "é\x00\"\\"} {
		sealed := a.Seal(text)
		if !credit.IsSealed(sealed) || strings.Contains(sealed, text) || sealed != a.Seal(text) || sealed == b.Seal(text) {
			t.Errorf("%q is sealed as %q", text, sealed)
		}
		if got, err := a.Open(sealed); err != nil || got != text {
			t.Errorf("%q opens as %q, %v", text, got, err)
		}
		if got, err := b.Open(sealed); !errors.Is(err, personal.ErrErased) {
			t.Errorf("another account's key opens %q: %v", got, err)
		}
		for _, altered := range []string{sealed[:len(sealed)-2], sealed + "AA", sealed[:40] + "A" + sealed[41:], sealed[:30] + "!" + sealed[31:]} {
			if got, err := a.Open(altered); altered != sealed && !errors.Is(err, personal.ErrAltered) {
				t.Errorf("altered %q opens as %q, %v", altered, got, err)
			}
		}
	}
	if got, err := a.Open("a plain text of an old journal"); err != nil || got != "a plain text of an old journal" {
		t.Error(got, err)
	}
	if a.Seal("same") == a.Seal("sane") {
		t.Error("two texts are sealed alike")
	}
	h := s.Hash("shop", "a", credit.Hash{1})
	if h == (credit.Hash{1}) || h == s.Hash("shop", "b", credit.Hash{1}) || h == s.Hash("sho", "pa", credit.Hash{1}) || h != s.Hash("shop", "a", credit.Hash{1}) {
		t.Error("the content hash is not bound to tenant, account and secret")
	}
}

// Many who write the first text of an account at once, in two processes, get one key; it is there after a restart,
// and only for who has the pepper.
func TestOneKeyForAnAccount(t *testing.T) {
	dir := t.TempDir()
	server, nc := start(t, dir)
	stores := []*personal.Store{open(t, nc), open(t, nc)}
	if key, err := stores[0].Key(t.Context(), "shop", "a"); key != nil || err != nil {
		t.Fatal("an account has a key before anybody wrote about it", err)
	}
	var wait sync.WaitGroup
	sealed := make([]string, 32)
	for i := range sealed {
		wait.Go(func() {
			if key, err := stores[i%2].Ensure(t.Context(), "shop", "a"); err == nil {
				sealed[i] = key.Seal("x")
			}
		})
	}
	wait.Wait()
	for _, s := range sealed {
		if s == "" || s != sealed[0] {
			t.Fatalf("two keys: %q and %q", s, sealed[0])
		}
	}
	nc.Close()
	server.Shutdown()
	_, nc = start(t, dir)
	if got := ensure(t, open(t, nc), "a").Seal("x"); got != sealed[0] {
		t.Error("another key after a restart")
	}
	other, err := personal.Open(t.Context(), nc, personal.Config{Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if key, err := other.Key(t.Context(), "shop", "a"); key != nil {
		t.Error("another pepper finds the key", err)
	}
}

// A destroyed key is in no message and in no file any more, and what it sealed stays shut.
// A key that somebody else made is used only once its file is found under its name: he may not have come to that.
func TestAKeyThatIsFoundIsDurableBeforeItIsUsed(t *testing.T) {
	_, nc := start(t, t.TempDir())
	ensure(t, open(t, nc), "a")
	fault := errors.New("the disk is away")
	other, err := personal.Open(t.Context(), nc, personal.Config{Secret: bytes.Repeat([]byte{7}, 32), SyncNames: func() error { return fault }})
	if err != nil {
		t.Fatal(err)
	}
	if key, err := other.Ensure(t.Context(), "shop", "a"); !errors.Is(err, fault) {
		t.Errorf("a key whose name is not on the disk is used: %v, %v", key, err)
	}
	if fault = nil; ensure(t, other, "a") == nil {
		t.Error("and never again")
	}
}

func TestErase(t *testing.T) {
	dir := t.TempDir()
	server, nc := start(t, dir)
	s := open(t, nc)
	first := ensure(t, s, "a").Seal("x")
	kept := ensure(t, s, "b").Seal("x")
	stored := messages(t, nc)
	if len(stored) != 2 || len(filesWith(t, dir, stored[0])) == 0 {
		t.Fatal("the keys are not in the files: this test looks in the wrong place")
	}
	for range 2 {
		if err := s.Erase(t.Context(), "shop", "a"); err != nil {
			t.Fatal(err)
		}
	}
	if key, err := s.Key(t.Context(), "shop", "a"); key != nil || err != nil {
		t.Error("the key is still there", err)
	}
	if left := messages(t, nc); len(left) != 1 || !bytes.Equal(left[0], stored[1]) {
		t.Errorf("%d messages are left", len(left))
	}
	second := ensure(t, s, "a")
	if _, err := second.Open(first); !errors.Is(err, personal.ErrErased) {
		t.Error("the text of a destroyed key:", err)
	}
	if _, err := ensure(t, s, "b").Open(kept); err != nil {
		t.Error("another account's text:", err)
	}
	nc.Close()
	server.Shutdown()
	if found := filesWith(t, dir, stored[0]); len(found) > 0 {
		t.Errorf("the destroyed key stands in %v", found)
	}
	if len(filesWith(t, dir, stored[1])) == 0 {
		t.Error("the other key is gone")
	}
}

// messages are the bodies of the stream, in order.
func messages(t *testing.T, nc *nats.Conn) (bodies [][]byte) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), personal.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= stream.CachedInfo().State.LastSeq; n++ {
		if msg, err := stream.GetMsg(t.Context(), n); err == nil {
			bodies = append(bodies, msg.Data)
		}
	}
	return bodies
}

func filesWith(t *testing.T, dir string, text []byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
