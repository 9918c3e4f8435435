package projections

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A store that was found damaged is not flushed, and is not closed either while a table is on its way to it: Pebble would
// end the program.
func TestADamagedStoreClosesWhenNothingIsOnItsWay(t *testing.T) {
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	why := "a test"
	store.damaged.Store(&why)
	var written atomic.Bool
	view.shelf.turn.Lock()
	time.AfterFunc(100*time.Millisecond, func() {
		written.Store(true)
		view.shelf.turn.Unlock()
	})
	if err := store.Close(); err != nil || !written.Load() {
		t.Errorf("closed with %v, while a table was written: %t", err, !written.Load())
	}
}

// One view that could not be written does not keep those of others from the disk.
func TestAFlushGoesOnBehindAFailedView(t *testing.T) {
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("could not be written")
	for i := range 8 { // they come in any order
		view, err := store.View(Name{Tenant: fmt.Sprint("tenant-", i)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		b := view.NewCommitBatch()
		if err := errors.Join(b.Put(append(b.Key(), "record"...), nil), b.Commit(Head{Journal: "j", Sequence: 1}), b.Close()); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			view.shelf.err = failed
		}
	}
	if err := store.flush(); !errors.Is(err, failed) {
		t.Error("nobody was told:", err)
	}
	for i := 4; i < 8; i++ {
		if _, closer, err := store.db.Get(append(store.views[Name{Tenant: fmt.Sprint("tenant-", i)}].live.Load().prefix, "record"...)); err != nil {
			t.Errorf("tenant-%d: %v", i, err)
		} else if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); !errors.Is(err, failed) {
		t.Error(err)
	}
}

// Why a view cannot be compared stands on one line, as everything else that a verification says does.
func TestWhyAViewIsNotComparedIsOneLine(t *testing.T) {
	if r := NotCompared("trial", errors.New("open it: checksum mismatch\n<detail>")); r.View != "trial" || r.Records != "open it: checksum mismatch" {
		t.Errorf("%+v", r)
	}
}
