package projections_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"creditstream/events/journal"
	"creditstream/projections"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// However many views are written, the memory for what is not in the store yet is bounded for all of them together.
func TestManyViewsShareTheShelves(t *testing.T) {
	store, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	const size = 256 << 10
	store.SmallTables().SmallShelves(size)
	var all []*commits
	for i := range 100 {
		view, err := store.View(journal.Name{Tenant: fmt.Sprint("tenant-", i)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, newCommits(t, rand.New(rand.NewPCG(uint64(i), 3)), view))
	}
	most := 0
	for range 60 {
		for _, c := range all {
			c.commit()
		}
		views, bytes := store.Shelves()
		most = max(most, views)
		// 32 KiB is the least that a pile takes, and it may be there twice.
		if views > 32 || bytes > 8*size+views*2*(36<<10) {
			t.Fatalf("%d views have %d KiB in memory", views, bytes>>10)
		}
	}
	if most < 32 {
		t.Errorf("at most %d views had anything in memory", most)
	}
	for _, c := range all {
		c.read()
		c.readAll("", "", c.view.Iter)
		if err := c.batch.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// The fewer views are written, the more each of them may keep, and all together no more.
func TestShelvesShareTheirMemory(t *testing.T) {
	const size = 512 << 10
	for _, views := range []int{1, 2, 8} {
		store, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		store.SmallTables().SmallShelves(size)
		var batches []*projections.Batch
		for i := range views {
			view, err := store.View(journal.Name{Tenant: fmt.Sprint("tenant-", i)}, 1)
			if err != nil {
				t.Fatal(err)
			}
			batches = append(batches, view.NewCommitBatch())
		}
		most := 0
		for n := range uint64(800) {
			for _, b := range batches {
				if err := b.Put(fmt.Append(b.Key(), "r", n), make([]byte, 1<<10)); err != nil {
					t.Fatal(err)
				}
				if err := b.Commit(projections.Head{Journal: "j", Sequence: n + 1}); err != nil {
					t.Fatal(err)
				}
			}
			_, bytes := store.Shelves()
			most = max(most, bytes)
		}
		if most > 8*size || most < size {
			t.Errorf("%d views had up to %d KiB in memory", views, most>>10)
		}
		for _, b := range batches {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What views that are written no more have in memory is bounded as well, and goes with time; who is written all the
// time keeps its shelf, whoever else comes.
func TestIdleShelvesAreGivenUp(t *testing.T) {
	const size = 512 << 10
	store, err := projections.Open(projections.Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	store.SmallTables().SmallShelves(size)
	write := func(tenant string, commits, value int) *projections.View {
		t.Helper()
		view, err := store.View(journal.Name{Tenant: tenant}, 1)
		if err != nil {
			t.Fatal(err)
		}
		b := view.NewCommitBatch()
		for n := range uint64(commits) {
			if err := errors.Join(b.Put(fmt.Append(b.Key(), "r", n), make([]byte, value)), b.Commit(projections.Head{Journal: "j", Sequence: n + 1})); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return view
	}
	for i := range 24 {
		write(fmt.Sprint("tenant-", i), 600, 1<<10)
		if _, bytes := store.Shelves(); bytes > 9*size {
			t.Fatalf("%d views have %d KiB in memory", i+1, bytes>>10)
		}
	}
	busy := write("busy", 10_050, 1)
	if views, _ := store.Shelves(); views != 1 {
		t.Errorf("%d views have something in memory, of which one was written lately", views)
	}
	for i := range 100 {
		write(fmt.Sprint("other-", i), 1, 1)
		if !busy.Shelved() {
			t.Fatalf("the view that is written all the time was made to give up its memory for the %d. other", i+1)
		}
		write("busy", 1, 1)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
