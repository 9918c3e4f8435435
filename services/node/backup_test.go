package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/backup"
	"creditstream/services/rules"
)

// A backup that is made under load has everything that was answered before it began, in one piece: what was
// answered is answered the same, keys and codes work, the books are closed, and new entries follow.
func TestABackupUnderLoad(t *testing.T) {
	t.Parallel()
	cfg := Config{Data: t.TempDir(), TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Shards: 2}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := n.AddTenant(t.Context(), "shop", 2); err != nil {
		t.Fatal(err)
	}
	load := startLoad(t, n)
	load.wait(500)
	answered := load.answered()
	to := filepath.Join(t.TempDir(), "backup")
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(n.Backup(t.Context(), writer, false)) }()
	m, err := backup.Receive(t.Context(), reader, to)
	if err != nil {
		t.Fatal(err)
	}
	load.wait(len(answered) + 500) // it went on
	load.stop()
	if len(m.Journals) != 2 || len(m.Views) != 6 || len(m.LeftOut) != 0 {
		t.Errorf("the manifest has %d journals and %d views: %+v", len(m.Journals), len(m.Views), m.Views)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	restored := Config{Data: filepath.Join(t.TempDir(), "data"), TestClock: cfg.TestClock}
	if _, err := Restore(t.Context(), RestoreConfig{From: to, Data: restored.Data, Pepper: filepath.Join(cfg.Data, "pepper")}); err != nil {
		t.Fatal(err)
	}
	if n, err = Start(t.Context(), restored); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	tenant, err := n.Accounts().Tenant("shop")
	if err != nil {
		t.Fatal(err)
	}
	for key, was := range answered {
		is := tenant.Do(t.Context(), load.request(key))
		if is.Err != nil || !is.Replayed || is.Position != was.Position {
			t.Fatalf("%s was answered at %v before the backup, and now %v at %v (%v)", key, was.Position, is.Replayed, is.Position, is.Err)
		}
	}
	for _, j := range m.Journals {
		// One commit is that of the new server, which took over.
		if head := n.Journal(j.Tenant, j.Shard).Head(); head.Journal != j.Journal || head.Sequence != j.Sequence+1 {
			t.Errorf("journal %s goes on at %d, the backup ends at %d", j.Name(), head.Sequence, j.Sequence)
		}
	}
	if fresh := tenant.Do(t.Context(), load.request("after")); fresh.Err != nil || fresh.Replayed {
		t.Errorf("a new request: %+v", fresh)
	}
	if report, err := n.Verify(t.Context(), "", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v (%v)", report, err)
	}
}

// load opens accounts until it is stopped.
type load struct {
	tenant  *accounts.Tenant
	mu      sync.Mutex
	some    *sync.Cond
	done    map[string]accounts.Answer
	ended   bool
	clients sync.WaitGroup
}

func startLoad(t *testing.T, n *Node) *load {
	t.Helper()
	tenant, err := n.Accounts().Tenant("shop")
	if err != nil {
		t.Fatal(err)
	}
	l := &load{tenant: tenant, done: make(map[string]accounts.Answer)}
	l.some = sync.NewCond(&l.mu)
	for client := range 8 {
		l.clients.Go(func() {
			for i := 0; l.goesOn(); i++ {
				key := fmt.Sprint("client ", client, " request ", i)
				answer := tenant.Do(t.Context(), l.request(key))
				if answer.Err != nil {
					t.Errorf("%s: %v", key, answer.Err)
					return
				}
				l.mu.Lock()
				l.done[key] = answer
				l.some.Broadcast()
				l.mu.Unlock()
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) request(key string) accounts.Request {
	return accounts.Request{Account: key, Key: key, Hash: credit.Hash{1}, Command: &rules.PutAccount{}}
}

func (l *load) goesOn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended
}

// wait returns when so many were answered.
func (l *load) wait(answers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.done) < answers {
		l.some.Wait()
	}
}

func (l *load) answered() map[string]accounts.Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	copied := make(map[string]accounts.Answer, len(l.done))
	for key, answer := range l.done {
		copied[key] = answer
	}
	return copied
}

func (l *load) stop() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.clients.Wait()
}

// A restore that cannot succeed leaves nothing behind, and one that broke off is not served.
func TestARestoreIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	cfg := Config{Data: t.TempDir(), TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Views: []string{}}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	for _, name := range []string{"shop", "other"} {
		if err := n.AddTenant(t.Context(), name, 1); err != nil {
			t.Fatal(err)
		}
	}
	var text bytes.Buffer
	if err := n.Backup(t.Context(), &text, true); err != nil {
		t.Fatal(err)
	}
	n.backing.Lock()
	if err := n.Backup(t.Context(), io.Discard, true); !errors.Is(err, api.ErrBackingUp) {
		t.Errorf("two backups at once: %v", err)
	}
	n.backing.Unlock()
	from := filepath.Join(t.TempDir(), "b")
	if _, err := backup.Receive(t.Context(), bytes.NewReader(text.Bytes()), from); err != nil {
		t.Fatal(err)
	}
	// One tenant's stream in the place of another's: every file is what the manifest says, but the journal is not.
	swap(t, from)
	to := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(t.Context(), RestoreConfig{From: from, Data: to}); err == nil {
		t.Error("another tenant's journal was restored")
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was left behind: %v", err)
	}
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), RestoreConfig{From: from, Data: used}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored to a directory in use: %v", err)
	}
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, restoringName), []byte("b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if half, err := Start(t.Context(), Config{Data: half}); err == nil || !strings.Contains(err.Error(), "broke off") {
		if err == nil {
			_ = half.Close()
		}
		t.Errorf("started on half of a restore: %v", err)
	}
}

// swap exchanges the heads of two journals in a manifest, and proves it anew.
func swap(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m backup.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	a, b := &m.Journals[0], &m.Journals[1]
	a.Journal, b.Journal = b.Journal, a.Journal
	a.Hash, b.Hash = b.Hash, a.Hash
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if err := errors.Join(os.WriteFile(path, text, 0o600), os.WriteFile(filepath.Join(dir, "manifest.sha256"), []byte(hex.EncodeToString(sum[:])), 0o600)); err != nil {
		t.Fatal(err)
	}
}
