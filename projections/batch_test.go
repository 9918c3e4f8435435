package projections

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A batch that had a large commit gives the memory for it back when those after it are small, and keeps it while some
// are not.
func TestABatchForCommitsShrinks(t *testing.T) {
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	b := view.NewCommitBatch()
	sequence := uint64(0)
	commit := func(records int) {
		t.Helper()
		for n := range records {
			if err := b.Put(fmt.Append(b.Key(), "r", n), make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		sequence++
		if err := b.Commit(Head{Journal: "j", Sequence: sequence}); err != nil {
			t.Fatal(err)
		}
	}
	const large, small = 5000, 20
	for n := range 300 {
		if commit(small); n%(smallInARow/2) == 0 {
			commit(large)
		}
		if has := b.pile.capacity(); has < large*100 {
			t.Fatalf("it has %d KiB for large commits after commit %d", has>>10, sequence)
		}
	}
	for range 2 * smallInARow {
		commit(small)
	}
	if has := b.pile.capacity(); has > usualPile {
		t.Errorf("it keeps %d KiB", has>>10)
	}
	if err := errors.Join(b.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
}

// What a record's place costs counts as well: a shelf of small records takes no more memory than one of large ones.
func TestAShelfOfSmallRecordsIsNoLarger(t *testing.T) {
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	view, err := store.SmallTables().SmallShelves(size).View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	b := view.NewCommitBatch()
	most := 0
	for n := range uint64(40_000) {
		if err := errors.Join(b.Put(fmt.Append(b.Key(), "r", n), nil), b.Commit(Head{Journal: "j", Sequence: n + 1})); err != nil {
			t.Fatal(err)
		}
		view.shelf.mu.Lock()
		late := view.shelf.late
		most = max(most, late.size+slotSize*len(late.slots))
		view.shelf.mu.Unlock()
	}
	if most > size+size/16 || most < size/2 {
		t.Errorf("it takes up to %d KiB", most>>10)
	}
	if err := errors.Join(b.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
}
