package projections_test

import (
	"errors"
	"fmt"
	"testing"

	"creditstream/projections"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Who goes over a few records, or asks for the last of many, leaves what is on the shelf where it is; who goes over
// many has it written.
func TestAFewRecordsAreReadFromTheShelf(t *testing.T) {
	store, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.View(acme, 1)
	if err != nil {
		t.Fatal(err)
	}
	b := view.NewCommitBatch()
	for n := range 5000 {
		key := fmt.Appendf(b.Key(), "a%04d", n)
		if err := errors.Join(b.Put(key, make([]byte, 100)), b.Commit(projections.Head{Journal: "j", Sequence: uint64(n + 1)})); err != nil {
			t.Fatal(err)
		}
	}
	read := func(from, to string) (n int) {
		t.Helper()
		iter, err := view.Iter([]byte(from), []byte(to))
		if err != nil {
			t.Fatal(err)
		}
		for iter.First(); iter.Valid(); iter.Next() {
			n++
		}
		if err := iter.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := read("a0100", "a0200"); n != 100 {
		t.Errorf("%d records are read, there are 100", n)
	}
	if last, ok, err := view.Last([]byte("a"), []byte("a4321")); string(last) != "a4320" || !ok || err != nil {
		t.Errorf("the last is %s, %t, %v", last, ok, err)
	}
	if n := view.OnShelf(); n != 5000 {
		t.Errorf("%d of 5000 records are on the shelf", n)
	}
	if n := read("a", "b"); n != 5000 || view.OnShelf() > 0 {
		t.Errorf("%d of 5000 records are read, %d are on the shelf", n, view.OnShelf())
	}
	if err := errors.Join(b.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
}
