package projections

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// withMuchToMerge writes a store whose tables lie above each other, none of which was merged.
func withMuchToMerge(t *testing.T, o *pebble.Options) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	held := *o
	held.Experimental.CompactionScheduler = newMerges()
	db, err := pebble.Open(dir, &held)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * o.L0CompactionThreshold {
		for n := range uint64(1000) {
			if err := db.Set(binary.BigEndian.AppendUint64(nil, n), make([]byte, 100), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if m := db.Metrics(); m.Compact.Count != 0 || m.Levels[0].TablesCount < int64(o.L0CompactionThreshold) {
		t.Fatalf("%d merges, %d tables", m.Compact.Count, m.Levels[0].TablesCount)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Opening a store does not wait for its tables to be merged; they are merged afterwards.
func TestAStoreIsOpenBeforeItsTablesAreMerged(t *testing.T) {
	t.Parallel()
	o := options(Config{})
	o.L0StopWritesThreshold = 100
	o.L0CompactionThreshold = 4
	dir := withMuchToMerge(t, o)
	m := newMerges()
	held := *o
	held.Experimental.CompactionScheduler = m
	db, err := pebble.Open(dir, &held)
	if err != nil {
		t.Fatal(err)
	}
	if n := db.Metrics().Compact; n.Count != 0 || n.NumInProgress != 0 {
		t.Errorf("%d merges, and %d under way, in a store that is being opened", n.Count, n.NumInProgress)
	}
	m.begin()
	for db.Metrics().Levels[0].TablesCount >= int64(o.L0CompactionThreshold) {
		runtime.Gosched()
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-m.ended:
	default:
		t.Error("it still asks a store that is closed")
	}

	dir = withMuchToMerge(t, o)
	if db, _, err = openPebble(dir, o); err != nil {
		t.Fatal(err)
	}
	for db.Metrics().Levels[0].TablesCount >= int64(o.L0CompactionThreshold) {
		runtime.Gosched()
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// Pebble's own scheduler merges before the store is open: why there is another.
func TestPebbleMergesWhileItOpens(t *testing.T) {
	t.Parallel()
	o := options(Config{})
	o.L0StopWritesThreshold = 100
	o.L0CompactionThreshold = 4
	dir := withMuchToMerge(t, o)
	own := *o
	own.Experimental.CompactionScheduler = nil
	db, err := pebble.Open(dir, &own)
	if err != nil {
		t.Fatal(err)
	}
	if db.Metrics().Compact.Count == 0 {
		t.Error("nothing was merged: opening waits for nothing any more, and merges could go")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// What is being merged when a store is closed is given up, and what was to be merged is there afterwards.
func TestClosingAStoreWaitsForNoMerge(t *testing.T) {
	t.Parallel()
	for name, tables := range map[string]int{"that can be flushed": 8, "that cannot be flushed before a merge": 12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closeInAMerge(t, tables)
		})
	}
}

func closeInAMerge(t *testing.T, tables int) {
	const keys = 1000
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(Config{Dir: dir, View: "some", ReadOnce: true}) // which merges late
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	prefix := v.live.Load().prefix
	key := func(n uint64) []byte { return binary.BigEndian.AppendUint64(slices.Clone(prefix), n) }
	value := make([]byte, 100)
	random := rand.NewChaCha8([32]byte{1})
	for range tables {
		for n := range uint64(keys) {
			_, _ = random.Read(value)
			if err := s.db.Set(key(n), value, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	disk := &heldMerges{FS: vfs.Default, began: make(chan struct{}), goOn: make(chan struct{})}
	if s, err = Open(Config{Dir: dir, View: "some", FS: disk}); err != nil {
		t.Fatal(err)
	}
	<-disk.began
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for !s.merges.givenUp.Load() {
		runtime.Gosched()
	}
	close(disk.goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if n := disk.writes.Load(); n != 1 {
		t.Errorf("a merge wrote %d times, want once: what was being written when it was given up", n)
	}
	if s, err = Open(Config{Dir: dir, View: "some", ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	if n := s.db.Metrics().Levels[0].TablesCount; n < int64(tables) {
		t.Errorf("%d tables are left, there were %d", n, tables)
	}
	got, closer, err := s.db.Get(key(keys - 1))
	if err != nil || !bytes.Equal(got, value) {
		t.Errorf("the last record is %x, %v, want %x", got, err, value)
	} else if err := closer.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// heldMerges is a disk on which a merge's first write waits until it may go on.
type heldMerges struct {
	vfs.FS
	writes      atomic.Int64
	began, goOn chan struct{}
}

func (fs *heldMerges) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := fs.FS.Create(name, category)
	if err != nil || category != mergedTable {
		return file, err
	}
	return heldFile{file, fs}, nil
}

type heldFile struct {
	vfs.File
	fs *heldMerges
}

func (f heldFile) Write(p []byte) (int, error) {
	if f.fs.writes.Add(1) == 1 {
		close(f.fs.began)
		<-f.fs.goOn
	}
	return f.File.Write(p)
}

// No more is merged at once than is allowed, and nothing of a store that was closed.
func TestMergesAreAsManyAsAreAllowed(t *testing.T) {
	m := newMerges()
	db := &waiting{allowed: 2}
	m.db = db
	if m.grant(); db.scheduled != 0 {
		t.Errorf("%d begun before the store was opened", db.scheduled)
	}
	m.begin()
	if m.grant(); db.scheduled != 2 {
		t.Errorf("%d begun, 2 are allowed", db.scheduled)
	}
	m.Done()
	if m.grant(); db.scheduled != 3 {
		t.Errorf("%d begun when one was done", db.scheduled-2)
	}
	m.Done()
	db.refuses = true
	if m.grant(); m.running != 1 {
		t.Errorf("%d run, one was refused", m.running)
	}
	db.refuses, db.allowed = false, 3
	m.UpdateGetAllowedWithoutPermission()
	<-m.look
	if m.grant(); m.running != 3 {
		t.Errorf("%d run, 3 are allowed", m.running)
	}
	m.Done()
	before := db.scheduled
	m.giveUp()
	if m.grant(); db.scheduled != before {
		t.Error("one begins in a store that is about to be closed")
	}
	m.Unregister()
	if ok, _ := m.TrySchedule(); ok {
		t.Error("one begins in a store that is closed")
	}
	m.Unregister()
}

// waiting always has something to merge.
type waiting struct {
	allowed, scheduled int
	refuses            bool
}

func (w *waiting) GetAllowedWithoutPermission() int { return w.allowed }

func (w *waiting) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return true, pebble.WaitingCompaction{}
}

func (w *waiting) Schedule(pebble.CompactionGrantHandle) bool {
	if w.refuses {
		return false
	}
	w.scheduled++
	return true
}
