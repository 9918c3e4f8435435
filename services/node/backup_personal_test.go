package node

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"creditstream/services/backup"
)

// A backup has the keys of the texts that its journals hold, and none that was destroyed before it was made.
func TestABackupHasTheKeysOfItsTexts(t *testing.T) {
	t.Parallel()
	cfg := Config{Data: t.TempDir(), TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Views: []string{}}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	sealed := make(map[string]string)
	for _, account := range []string{"kept", "erased"} {
		key, err := n.personal.Ensure(t.Context(), "shop", account)
		if err != nil {
			t.Fatal(err)
		}
		sealed[account] = key.Seal("a text")
	}
	if err := n.personal.Erase(t.Context(), "shop", "erased"); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := n.Backup(t.Context(), &text, true); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "data")
	if _, err := backup.Receive(t.Context(), &text, from); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), RestoreConfig{From: from, Data: to, Pepper: filepath.Join(cfg.Data, "pepper")}); err != nil {
		t.Fatal(err)
	}
	again, err := Start(t.Context(), Config{Data: to, TestClock: cfg.TestClock, Views: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	for account, want := range map[string]string{"kept": "a text", "erased": ""} {
		key, err := again.personal.Key(t.Context(), "shop", account)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := key.Open(sealed[account]); got != want {
			t.Errorf("after the restore the text of %s is %q", account, got)
		}
	}
}
