package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"creditstream/services/credentials"
	"creditstream/services/node/damage"
	"creditstream/services/personal"
)

// A key of personal texts that the disk lost looks like one that was destroyed, one that was destroyed and is
// back opens what was erased, and without its latest record a revoked API key is in force again. No record says so by
// itself: the mark does.
func TestRecordsThatAreLostOrBackAreNoticed(t *testing.T) {
	t.Parallel()
	sound, earlier := t.TempDir(), t.TempDir()
	cfg := Config{Data: sound, TestClock: damageClock}
	phase := func(do func(n *Node)) {
		t.Helper()
		n, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		do(n)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var id string
	phase(func(n *Node) {
		for _, account := range []string{"a", "b"} {
			if _, err := n.personal.Ensure(t.Context(), "shop", account); err != nil {
				t.Fatal(err)
			}
		}
		_, key, err := n.credentials.Create(t.Context(), credentials.NewKey{Actor: "feature", Scopes: credentials.Scopes(credentials.Read)})
		if err != nil {
			t.Fatal(err)
		}
		id = key.ID
	})
	copyTree(t, sound, earlier)
	phase(func(n *Node) {
		if err := n.personal.Erase(t.Context(), "shop", "a"); err != nil {
			t.Fatal(err)
		}
		if err := n.credentials.Revoke(t.Context(), id, "ana"); err != nil {
			t.Fatal(err)
		}
	})
	phase(func(*Node) {}) // nothing is wrong with it

	blocks := func(stream string) string { return filepath.Join(stream, "msgs") }
	for what, do := range map[string]func(dir string) error{
		"PERSONAL is gone":         func(dir string) error { return os.RemoveAll(damage.StreamDir(dir, personal.StreamName)) },
		"CREDENTIALS is gone":      func(dir string) error { return os.RemoveAll(damage.StreamDir(dir, credentials.StreamName)) },
		"PERSONAL is an older one": func(dir string) error { return putBack(dir, earlier, personal.StreamName) },
		"PERSONAL has an older block": func(dir string) error {
			return putBack(dir, earlier, blocks(personal.StreamName))
		},
		"CREDENTIALS is an older one": func(dir string) error { return putBack(dir, earlier, credentials.StreamName) },
		"PERSONAL lost its last record": func(dir string) error {
			at := damage.StreamDir(dir, blocks(personal.StreamName))
			return errors.Join(os.Remove(filepath.Join(at, "index.db")), damage.Rewrite(filepath.Join(at, "1.blk"), damage.Flip(700)))
		},
		"PERSONAL has a record that cannot be read": func(dir string) error {
			return damage.Rewrite(filepath.Join(damage.StreamDir(dir, blocks(personal.StreamName)), "1.blk"), damage.Flip(700))
		},
		"a record of CREDENTIALS cannot be read": func(dir string) error {
			return damage.Rewrite(filepath.Join(damage.StreamDir(dir, blocks(credentials.StreamName)), "1.blk"), damage.Flip(100))
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			copyTree(t, sound, dir)
			if err := do(dir); err != nil {
				t.Fatal(err)
			}
			stream, _, _ := strings.Cut(what, " ")
			if stream == "a" {
				stream = credentials.StreamName
			}
			n, err := Start(t.Context(), Config{Data: dir, TestClock: damageClock})
			if err == nil {
				err = n.Close()
				t.Fatalf("it is served (%v)", err)
			}
			if !strings.Contains(err.Error(), stream) {
				t.Errorf("the stream is not named: %v", err)
			}
			report, err := VerifyData(t.Context(), dir, nil, Verifying{})
			if err != nil || report.OK || len(report.Faults) == 0 || !strings.Contains(report.Faults[0], stream) {
				t.Errorf("verify: %+v, %v", report, err)
			}
		})
	}
}

// putBack puts a directory of streams back that was there before.
func putBack(dir, earlier, what string) error {
	at := damage.StreamDir(dir, what)
	return errors.Join(os.RemoveAll(at), os.CopyFS(at, os.DirFS(damage.StreamDir(earlier, what))))
}
