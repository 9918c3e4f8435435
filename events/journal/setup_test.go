package journal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

var acme = journal.Name{Tenant: "acme"}

func startBus(t testing.TB, cfg bus.Config) *bus.Server {
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

func connect(t testing.TB, s *bus.Server) *nats.Conn {
	t.Helper()
	nc, err := s.ConnectWriter(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, nc *nats.Conn, cfg journal.Config) *journal.Journal {
	t.Helper()
	j, err := tryOpen(t, nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func tryOpen(t testing.TB, nc *nats.Conn, cfg journal.Config) (*journal.Journal, error) {
	t.Helper()
	if cfg.Name == (journal.Name{}) {
		cfg.Name, cfg.Create = acme, true
	}
	j, err := journal.Open(t.Context(), nc, cfg)
	if err == nil {
		t.Cleanup(func() { j.Close() })
	}
	return j, err
}

type outcome struct {
	head journal.Head
	err  error
}

// appendTo starts an append; the channel gets its outcome.
func appendTo(t testing.TB, j *journal.Journal, body string) <-chan outcome {
	t.Helper()
	outcomes := make(chan outcome, 1)
	if err := j.Append([]byte(body), func(h journal.Head, err error) { outcomes <- outcome{h, err} }); err != nil {
		t.Fatal(err)
	}
	return outcomes
}

// tryAppend is appendTo for a journal that may already be known to be dead: what
// Append returns is the outcome then.
func tryAppend(j *journal.Journal, body string) <-chan outcome {
	outcomes := make(chan outcome, 1)
	if err := j.Append([]byte(body), func(h journal.Head, err error) { outcomes <- outcome{h, err} }); err != nil {
		outcomes <- outcome{err: err}
	}
	return outcomes
}

// await is generous: it bounds a test that hangs, and asserts no speed.
func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// fill appends n commits, one after the other, and returns the heads from the start on.
func fill(t testing.TB, j *journal.Journal, n int) []journal.Head {
	t.Helper()
	heads := []journal.Head{j.Head()}
	for i := range n {
		o := await(t, appendTo(t, j, fmt.Sprintf(`[{"n":%d}]`, i)))
		if o.err != nil {
			t.Fatal(o.err)
		}
		heads = append(heads, o.head)
	}
	return heads
}

// readAll reads until the end or the first error.
func readAll(ctx context.Context, j *journal.Journal, from uint64) (commits []journal.Commit, err error) {
	for c, err := range j.Read(ctx, from) {
		if err != nil {
			return commits, err
		}
		commits = append(commits, c)
	}
	return commits, nil
}
