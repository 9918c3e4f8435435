package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"creditstream/services/backup"
)

// A server is backed up while it runs, and restored to another directory: the next use gets the next commit,
// an old request its old answer, and the books are closed.
func TestABackupGoesOnWhereItWas(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	dir := t.TempDir()
	stop := p.serve(filepath.Join(dir, "data"), "--dev", "--catalogs", "../../deploy/catalogs", "--test-clock", "2026-01-31T12:00:00Z")
	p.must("account", "set", "clinic-7", "--plan", "ai")
	var first usageAnswer
	p.decoded(&first, "usage", "clinic-7", "ai_service", "2", "--idempotency-key", "k1")
	var said struct {
		Journals []backup.Journal `json:"journals"`
		Views    []backup.View    `json:"views"`
	}
	p.decoded(&said, "backup", filepath.Join(dir, "whole"))
	if len(said.Journals) != 3 || len(said.Views) != 9 {
		t.Errorf("backed up %+v", said)
	}
	p.must("backup", filepath.Join(dir, "journals.tar"), "--journal-only")
	if r := p.run("backup", filepath.Join(dir, "whole")); r.code != exitFailed || !strings.Contains(r.stderr, "never overwritten") {
		t.Errorf("a second backup to the same place: %+v", r)
	}
	piped := p.must("backup", "-")
	if code := stop(); code != exitOK {
		t.Fatalf("the server stopped with %d", code)
	}
	p.must("backup", filepath.Join(dir, "stopped.tar"), "--data", filepath.Join(dir, "data"))
	if err := os.WriteFile(filepath.Join(dir, "piped.tar"), []byte(piped), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"whole", "journals.tar", "stopped.tar", "piped.tar"} {
		onlyOwner(t, filepath.Join(dir, name))
		restored := filepath.Join(dir, "from-"+name)
		p.must("restore", filepath.Join(dir, name), "--data", restored, "--pepper", filepath.Join(dir, "data", "pepper"))
		stop := p.serve(restored, "--dev", "--catalogs", "../../deploy/catalogs", "--test-clock", "2026-01-31T12:00:00Z")
		var again, next usageAnswer
		p.decoded(&again, "usage", "clinic-7", "ai_service", "2", "--idempotency-key", "k1")
		if !again.Replayed || again.Position != first.Position {
			t.Errorf("%s: an old request is answered %+v, it was %+v", name, again, first)
		}
		p.decoded(&next, "usage", "clinic-7", "ai_service", "1", "--idempotency-key", "k2")
		if next.Replayed {
			t.Errorf("%s: a new request is answered %+v", name, next)
		}
		p.must("history", "clinic-7")
		p.must("verify")
		if code := stop(); code != exitOK {
			t.Errorf("%s: the restored server stopped with %d", name, code)
		}
	}
	if r := p.run("restore", filepath.Join(dir, "whole"), "--data", filepath.Join(dir, "from-whole")); r.code != exitFailed || !strings.Contains(r.stderr, "not empty") {
		t.Errorf("restored over a server: %+v", r)
	}
	if r := p.run("restore", filepath.Join(dir, "whole")); r.code != exitUsage {
		t.Errorf("restored to nowhere: %+v", r)
	}
	// Without the pepper it says what is missing, and does not start with keys that would not work.
	noPepper := filepath.Join(dir, "no-pepper")
	if r := p.run("restore", filepath.Join(dir, "journals.tar"), "--data", noPepper); r.code != exitOK || !strings.Contains(r.stderr, "pepper") {
		t.Errorf("restored without the pepper: %+v", r)
	}
	if r := p.run("serve", "--dev", "--data", noPepper, "--listen", "127.0.0.1:0", "--nats-listen", ""); r.code != exitFailed || !strings.Contains(r.stderr, "pepper") {
		t.Errorf("a server without its pepper: %+v", r)
	}
}

// onlyOwner finds files that others may read.
func onlyOwner(t *testing.T, path string) {
	t.Helper()
	err := filepath.Walk(path, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
