package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// spoil changes one byte of a text in the stream's only block.
func spoil(t *testing.T, dir, text string) {
	t.Helper()
	path := filepath.Join(msgsDir(dir), "1.blk")
	block, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(block, []byte(text))
	if at < 0 {
		t.Fatalf("%q is not in %s", text, path)
	}
	block[at] ^= 0x01
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
}

func msgsDir(dir string) string {
	return filepath.Join(dir, "jetstream", bus.InternalAccount, "streams", acme.Stream(), "msgs")
}

func TestChangedByteIsNamedByItsCommit(t *testing.T) {
	dir := t.TempDir()
	s := startBus(t, bus.Config{StoreDir: dir})
	heads := fill(t, open(t, connect(t, s), journal.Config{}), 10)
	s.Shutdown()
	spoil(t, dir, `"n":5`)

	j := open(t, connect(t, startBus(t, bus.Config{StoreDir: dir})), journal.Config{Name: acme})
	commits, err := readAll(t.Context(), j, 1)
	if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "commit 6:") || len(commits) != 5 {
		t.Errorf("read %d commits, then %v", len(commits), err)
	}
	if _, err := j.Get(t.Context(), 6); err == nil {
		t.Error("Get gave the changed commit")
	}
	if err := j.Check(t.Context(), heads[6]); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a checkpoint at the changed commit: %v", err)
	}
	if _, err := readAll(t.Context(), j, 7); err == nil {
		t.Error("what follows the changed commit was read as if it followed something")
	}
}

func TestChangedLastCommitIsNoticedAtOpenAndByRead(t *testing.T) {
	dir := t.TempDir()
	s := startBus(t, bus.Config{StoreDir: dir})
	reader := open(t, connect(t, s), journal.Config{})
	fill(t, reader, 10)
	s.Shutdown()
	spoil(t, dir, `"n":9`)
	_, err := tryOpen(t, connect(t, startBus(t, bus.Config{StoreDir: dir})), journal.Config{Name: acme})
	if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "10") {
		t.Errorf("opened a journal whose end is unreadable: %v", err)
	}
}

// After a hard crash there is no index, and the server cuts the block off at what
// it cannot read, without a word.
func TestSilentTruncationIsNoticed(t *testing.T) {
	dir, anchor := t.TempDir(), filepath.Join(t.TempDir(), "acme-0.anchor")
	s := startBus(t, bus.Config{StoreDir: dir})
	j := open(t, connect(t, s), journal.Config{Name: acme, Create: true, Anchor: anchor})
	heads := fill(t, j, 10)
	j.Close()
	s.Shutdown()
	spoil(t, dir, `"n":5`)
	if err := os.Remove(filepath.Join(msgsDir(dir), "index.db")); err != nil {
		t.Fatal(err)
	}

	nc := connect(t, startBus(t, bus.Config{StoreDir: dir}))
	_, err := tryOpen(t, nc, journal.Config{Name: acme, Anchor: anchor})
	if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "acme/0") || !strings.Contains(err.Error(), "commit 10") {
		t.Fatalf("opened a truncated journal: %v", err)
	}
	cut := open(t, nc, journal.Config{Name: acme})
	if err := cut.Check(t.Context(), heads[10]); !errors.Is(err, journal.ErrAhead) {
		t.Errorf("a checkpoint beyond the new end: %v", err)
	}
	// The sequences are used again, for something else.
	for range 6 {
		if o := await(t, appendTo(t, cut, `["new"]`)); o.err != nil {
			t.Fatal(o.err)
		}
	}
	if err := cut.Check(t.Context(), heads[10]); !errors.Is(err, journal.ErrDiverged) {
		t.Errorf("a checkpoint at a sequence that is used again: %v", err)
	}
	_, err = tryOpen(t, nc, journal.Config{Name: acme, Anchor: anchor})
	if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "commit 10") {
		t.Errorf("opened a journal with another commit at the anchor: %v", err)
	}
}

func TestForeignMessagesBreakTheChain(t *testing.T) {
	s := startBus(t, bus.Config{})
	nc := connect(t, s)
	other := open(t, nc, journal.Config{Name: journal.Name{Tenant: "umbra"}, Create: true})
	fill(t, other, 4)
	body := []byte(`[{"n":3}]`)
	header := func(hash, prev string) nats.Header {
		return nats.Header{"Creditstream-Hash": {hash}, "Creditstream-Prev": {prev}}
	}
	foreign, err := other.Get(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		what   string
		header nats.Header
	}{
		{"another tenant's commit", header(foreign.Hash.String(), foreign.Prev.String())},
		{"no headers", nil},
		{"a short hash", header("abc", foreign.Prev.String())},
		{"a hash of something else", header(foreign.Prev.String(), foreign.Prev.String())},
		{"a prev that is not hexadecimal", header(foreign.Hash.String(), strings.Repeat("g", 64))},
	} {
		name := journal.Name{Tenant: fmt.Sprintf("t%d", i)}
		j := open(t, nc, journal.Config{Name: name, Create: true})
		fill(t, j, 3)
		if err := nc.PublishMsg(&nats.Msg{Subject: name.Subject(), Header: test.header, Data: body}); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is stored", func() bool {
			_, err := j.Get(t.Context(), 4)
			return !errors.Is(err, journal.ErrNotFound)
		})
		commits, err := readAll(t.Context(), j, 1)
		if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "commit 4:") || len(commits) != 3 {
			t.Errorf("%s: read %d commits, then %v", test.what, len(commits), err)
		}
	}
}
