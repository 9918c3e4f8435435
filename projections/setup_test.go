package projections_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/accounts"
	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"
	"creditstream/projections/usage"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"
)

var folds = []projections.Fold{accounts.Fold{}, statement.Fold{}, usage.Fold{}}

var acme = journal.Name{Tenant: "acme"}

func connect(t testing.TB) *nats.Conn {
	t.Helper()
	_, nc := startBus(t)
	return nc
}

func startBus(t testing.TB) (*bus.Server, *nats.Conn) {
	t.Helper()
	s, err := bus.Start(t.Context(), bus.Config{StoreDir: filepath.Join(t.TempDir(), "nats")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	nc, err := s.ConnectWriter(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return s, nc
}

// writer appends what a source makes up to a journal, as the one writer of a shard does.
type writer struct {
	t       testing.TB
	journal *journal.Journal
	source  *trial.Source
	entries [][]credit.Entry
}

func newWriter(t testing.TB, nc *nats.Conn, name journal.Name, source *trial.Source) *writer {
	t.Helper()
	j, err := journal.Open(t.Context(), nc, journal.Config{Name: name, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if _, err := j.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &writer{t: t, journal: j, source: source, entries: [][]credit.Entry{nil}}
}

func (w *writer) append(entries []credit.Entry, body []byte) projections.Commit {
	w.t.Helper()
	type outcome struct {
		head journal.Head
		err  error
	}
	acked := make(chan outcome, 1)
	if err := w.journal.Append(body, func(head journal.Head, err error) { acked <- outcome{head, err} }); err != nil {
		w.t.Fatal(err)
	}
	o := <-acked
	if o.err != nil {
		w.t.Fatal(o.err)
	}
	w.entries = append(w.entries, entries)
	return projections.Commit{Head: o.head, Entries: entries, Body: body}
}

// write appends n commits.
func (w *writer) write(n, size int) []projections.Commit {
	w.t.Helper()
	commits := make([]projections.Commit, n)
	for i := range commits {
		commits[i] = w.append(w.source.Commit(size))
	}
	return commits
}

// entry appends one entry of an account, whatever it says.
func (w *writer) entry(e credit.Entry) projections.Commit {
	w.t.Helper()
	e.Recorded = w.source.Now()
	for i := range e.Facts {
		if e.Facts[i].At.IsZero() {
			e.Facts[i].At = e.Recorded
		}
	}
	entries := []credit.Entry{e}
	body, err := credit.EncodeCommit("/creditstream/acme/0", entries)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.append(entries, body)
}

// want is what the views of everything appended have to hold, by the fold of what was never encoded.
func (w *writer) want(fold projections.Fold) []string {
	w.t.Helper()
	store := openStore(w.t, vfs.NewMem(), fold)
	view, err := store.View(w.journal.Name(), fold.Version())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := trial.Write(fold, view, w.entries, 3); err != nil {
		w.t.Fatal(err)
	}
	return records(w.t, view)
}

func openStore(t testing.TB, fs vfs.FS, fold projections.Fold) *projections.Store {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store.SmallTables()
}

// records are those of a view without its checkpoint.
func records(t testing.TB, view *projections.View) []string {
	t.Helper()
	all, err := trial.Dump(view)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return nil
	}
	return all[1:]
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: record %d\n got %s\nwant %s", what, i, got[i], want[i])
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
	}
}

// stand is a runner with its stores.
type stand struct {
	runner *projections.Runner
	stores map[string]*projections.Store
}

func newStand(t testing.TB, fs vfs.FS, written ...string) *stand {
	t.Helper()
	s := &stand{stores: make(map[string]*projections.Store)}
	var kinds []projections.Kind
	for _, fold := range folds {
		store := openStore(t, fs, fold)
		s.stores[fold.Name()] = store
		kinds = append(kinds, projections.Kind{Fold: fold, Store: store, Written: slices.Contains(written, fold.Name())})
	}
	s.runner = projections.NewRunner(projections.RunnerConfig{Kinds: kinds, Linger: -1})
	t.Cleanup(s.runner.Close)
	return s
}

func (s *stand) add(t testing.TB, w *writer, b projections.Writer) {
	t.Helper()
	if err := s.runner.Add(w.journal, b); err != nil {
		t.Fatal(err)
	}
}

func (s *stand) await(t testing.TB, w *writer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, fold := range folds {
		if err := s.runner.WaitFor(ctx, fold.Name(), w.journal.Name(), w.journal.Head().Sequence); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *stand) view(t testing.TB, fold projections.Fold, name projections.Name) *projections.View {
	t.Helper()
	view, err := s.stores[fold.Name()].View(name, fold.Version())
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func (s *stand) check(t testing.TB, w *writer) {
	t.Helper()
	for _, fold := range folds {
		same(t, fold.Name(), records(t, s.view(t, fold, w.journal.Name())), w.want(fold))
	}
}

// change puts a record into a view behind its back, or drops it when value is nil.
func change(t testing.TB, view *projections.View, rest string, value []byte) {
	t.Helper()
	head, err := view.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	b := view.NewBatch()
	defer func() { _ = b.Close() }()
	key := append(b.Key(), rest...)
	if value != nil {
		err = b.Put(key, value)
	} else {
		err = b.Drop(key)
	}
	if err == nil {
		err = b.Commit(head)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// anyKey is the key of the n-th record whose key starts with a letter.
func anyKey(t testing.TB, view *projections.View, letter byte, n int) string {
	t.Helper()
	iter, err := view.Iter([]byte{letter}, []byte{letter + 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = iter.Close() }()
	valid := iter.First()
	for range n {
		valid = valid && iter.Next()
	}
	if !valid {
		t.Fatalf("no %d records of %c", n+1, letter)
	}
	return string(iter.Key())
}
