package projections

import (
	"encoding/binary"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2"
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
	if db, err = openPebble(dir, o); err != nil {
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
