package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A clock that fell back a little makes nothing of long ago doubtful: after an orderly end nothing is written
// again, after another one what was written since shortly before now, by either clock.
func TestAClockThatFellBackDoubtsOnlyWhatIsLate(t *testing.T) {
	for ended, again := range map[bool]map[string]bool{true: {}, false: {"late": true, "ahead": true}} {
		n := &Node{log: slog.New(slog.DiscardHandler)}
		n.cfg.Data = t.TempDir()
		dir := filepath.Join(n.cfg.Data, "nats")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		files := map[string]time.Time{"old": now.Add(-24 * time.Hour), "late": now.Add(-time.Second), "ahead": now.Add(time.Hour)}
		before := make(map[string]os.FileInfo)
		for name, at := range files {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
			before[name] = stat(t, path)
		}
		if err := n.noteWell(now.Add(time.Minute), ended); err != nil {
			t.Fatal(err)
		}
		if err := n.distrust(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name := range files {
			now := stat(t, filepath.Join(dir, name))
			if written := !os.SameFile(before[name], now) || !before[name].ModTime().Equal(now.ModTime()); written != again[name] {
				t.Errorf("ended in order %v: %s was written again: %v", ended, name, written)
			}
		}
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
