package projections

import (
	"encoding/binary"
	"fmt"
	"testing"

	"creditstream/events/journal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRecordsInOrderHaveTablesOfTheirOwn writes records in order and others all over, and looks which tables hold
// what: merging the latter must never cost a look at the former.
func TestRecordsInOrderHaveTablesOfTheirOwn(t *testing.T) {
	for _, inOrder := range []bool{true, false} { // the second is the control: the tables do mix what may be mixed
		store := openMem(t)
		view := viewOf(t, store, "acme")
		mixed := writeInOrder(t, store, view, 6<<20, inOrder)
		switch {
		case inOrder && mixed > 0:
			t.Errorf("%d tables hold records of both kinds", mixed)
		case !inOrder && mixed == 0:
			t.Error("no table holds records of both kinds: the test cannot tell")
		}
	}
}

// TestManyViewsShareTables is the other side: however many views write, tables do not become many and small.
func TestManyViewsShareTables(t *testing.T) {
	store := openMem(t)
	for i := range 4 * mostApart {
		store.apart.wrote(fmt.Appendf(nil, "view %d", i))
		if borders := len(*store.apart.border.Load()); borders > 2*mostApart {
			t.Fatalf("%d borders after %d views", borders, i+1)
		}
	}
	latest := fmt.Appendf(nil, "view %d", 4*mostApart-1)
	if _, end, err := store.apart.policy(latest[:1]); err != nil || end == nil {
		t.Errorf("no border behind %q: %v", latest[:1], err)
	}
	if _, end, _ := store.apart.policy(latest); string(end) != string(after(latest)) {
		t.Errorf("a table that begins with %q ends at %q", latest, end)
	}
}

func openMem(t *testing.T) *Store {
	t.Helper()
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem(), MemTable: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func viewOf(t *testing.T, store *Store, tenant string) *View {
	t.Helper()
	view, err := store.View(journal.Name{Tenant: tenant}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// writeInOrder writes that many bytes, half of them in order, and returns how many tables hold records of both kinds.
func writeInOrder(t *testing.T, store *Store, view *View, size int, inOrder bool) (mixed int) {
	t.Helper()
	batch := view.NewBatch()
	defer func() { _ = batch.Close() }()
	value := make([]byte, 100)
	for n := uint64(0); size > 0; n++ {
		put := batch.Put
		if inOrder {
			put = batch.PutInOrder
		}
		if err := put(binary.BigEndian.AppendUint64(append(batch.Key(), 'k'), n), value); err != nil {
			t.Fatal(err)
		}
		if err := batch.Put(binary.BigEndian.AppendUint64(append(batch.Key(), 'a'), n*0x9e3779b97f4a7c15), value); err != nil {
			t.Fatal(err)
		}
		if size -= 2 * (len(batch.Key()) + 9 + len(value)); batch.Len() > 64<<10 || size <= 0 {
			if err := batch.Commit(Head{Sequence: n + 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The first tables were made before it was known how much the view writes.
	if err := store.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	levels, err := store.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	tag := len(view.live.Load().prefix)
	for _, level := range levels {
		for _, table := range level {
			first, last := table.Smallest.UserKey, table.Largest.UserKey
			if len(first) <= tag || first[tag] != last[tag] {
				if last[tag] == 'k' {
					mixed++
				}
			}
		}
	}
	return mixed
}
