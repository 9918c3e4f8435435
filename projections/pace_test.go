package projections

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// noRests is for piles that are sorted at once.
var noRests = rests{every: 1 << 20, pause: func(int) {}}

// A table is written in step with what comes next: never further than twice as far, always as far, and to its end
// when somebody waits for it.
func TestATableIsWrittenInStep(t *testing.T) {
	const all, room = 1000, 400
	p := newPace()
	var done atomic.Int64
	reached := make(chan int, all)
	go func() {
		for n := 1; n <= all; n++ {
			p.wait(n, all)
			done.Store(int64(n))
			reached <- n
		}
		close(reached)
	}()
	last := 0
	for came := range room/pacedAhead - 1 {
		p.fill(came, room)
		may := pacedAhead * came * all / room
		for last < may {
			last = <-reached
		}
		if now := int(done.Load()); now != may {
			t.Fatalf("%d of %d is written when %d of %d came", now, all, came, room)
		}
	}
	p.hurry()
	for last = range reached {
	}
	if last != all {
		t.Fatalf("%d of %d is written though somebody waits for it", last, all)
	}
	p.calm()
}

// filled is a view whose shelf has just left, and how to put more on it.
func filled(t *testing.T, size int) (store *Store, view *View, put func(bytes int)) {
	t.Helper()
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	if view, err = store.SmallTables().SmallShelves(size).View(Name{Tenant: "acme"}, 1); err != nil {
		t.Fatal(err)
	}
	b := view.NewCommitBatch()
	head := Head{Journal: "j"}
	put = func(bytes int) {
		t.Helper()
		for at := 0; at < bytes; at += 100 + perRecord {
			head.Sequence++
			if err := errors.Join(b.Put(fmt.Appendf(b.Key(), "r%09d", head.Sequence), make([]byte, 90)), b.Commit(head)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	for !view.leaving() {
		put(1)
	}
	return store, view, put
}

func (v *View) leaving() bool {
	v.shelf.mu.Lock()
	defer v.shelf.mu.Unlock()
	return v.shelf.leaving != nil
}

// What left the shelf is on its way for as long as the next one takes to be half full, and no longer; who waits for it
// has it at once.
func TestAShelfIsWrittenWhileTheNextFills(t *testing.T) {
	const size = 512 << 10
	_, view, put := filled(t, size)
	for range 40 {
		put(size / 100)
		if !view.leaving() {
			t.Fatal("a table was written at once")
		}
	}
	put(size / 5)
	view.shelf.turn.Lock() // which is held until it is written
	still := view.shelf.leaving != nil
	view.shelf.turn.Unlock()
	if still {
		t.Fatal("it is still on its way")
	}
	for !view.leaving() {
		put(1)
	}
	if err := view.shelf.clear(); err != nil || view.leaving() {
		t.Fatalf("it is on its way though somebody waited for it, %v", err)
	}
	for !view.leaving() { // and the store is closed
		put(1)
	}
}

// A group of records is parted at any key into those up to it and those behind it.
func TestAGroupIsPartedBehindAKey(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		p := new(pile)
		key := func() []byte {
			k := []byte("kxxxxxxxxxxxxxxxxxxxxxxxx")[:1+rng.IntN(24)]
			for range rng.IntN(20) {
				k = append(k, byte('w'+rng.IntN(3)))
			}
			return k
		}
		for range 1 + rng.IntN(200) {
			p.put(key(), nil, false)
		}
		at := key()
		for _, g := range new(sorter).byTag(p, noRests) {
			lesser, greater := g.partBehind(p, at)
			for i, part := range []group{lesser, greater} {
				for _, r := range part.records {
					if behind := string(p.key(r.n)) > string(at); behind != (i == 1) {
						t.Fatalf("%q is in part %d of those behind %q", p.key(r.n), i, at)
					}
				}
			}
			if n := len(lesser.records) + len(greater.records); n != len(p.records) {
				t.Fatalf("%d records of %d are in a part", n, len(p.records))
			}
		}
	}
}

// Records whose keys come nearly in order are written once, and not merged: nearly all of them go to the last level, and
// what does not overlaps with little there.
func TestKeysInTheOrderOfTimeAreWrittenOnce(t *testing.T) {
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	const size = 256 << 10
	view, err := store.SmallTables().SmallShelves(size).View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	b := view.NewCommitBatch()
	for n := range 30 * size / (100 + perRecord) {
		late := n - rng.IntN(20)
		key := fmt.Appendf(b.Key(), "k%09d-%d", max(late, 0), n)
		if err := errors.Join(b.Put(key, make([]byte, 80)), b.Put(fmt.Append(b.Key(), "a", n%50), make([]byte, 80)), b.Commit(Head{Journal: "j", Sequence: uint64(n + 1)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := view.shelf.clear(); err != nil {
		t.Fatal(err)
	}
	var last, all uint64
	m := store.db.Metrics()
	for level := range m.Levels {
		last = m.Levels[level].TableBytesIngested
		all += last
	}
	if last*10 < all*8 {
		t.Errorf("of %d KiB only %d KiB were taken in at the last level", all>>10, last>>10)
	}
	levels, err := store.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	tables, overlaps := levels[len(levels)-1], uint64(0)
	for _, above := range levels[0] {
		for _, table := range tables {
			if key := append(b.Key(), 'k'); bytes.Compare(above.Smallest.UserKey, key) > 0 && bytes.Compare(above.Smallest.UserKey, table.Largest.UserKey) <= 0 && bytes.Compare(table.Smallest.UserKey, above.Largest.UserKey) <= 0 {
				overlaps += table.Size
			}
		}
	}
	if len(tables) < 30 || overlaps*4 > all {
		t.Errorf("of %d KiB %d KiB are to be merged once more", all>>10, overlaps>>10)
	}
	if err := errors.Join(b.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
}
