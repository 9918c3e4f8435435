package projections

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// What comes out of a pile is what a map would hold, by key, whatever the keys have in common.
func TestAPileIsSortedAndKeepsTheLastOfAKey(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	p, s := new(pile), new(sorter)
	for round := range 60 {
		want := make(map[string]string)
		alphabet := 1 + rng.IntN(3)
		for range rng.IntN(3000) {
			key := []byte{"afk"[rng.IntN(3)]}
			key = append(key, bytes.Repeat([]byte{'x'}, round%20)...)
			for range rng.IntN(1 + rng.IntN(24)) {
				key = append(key, byte(rng.IntN(alphabet)))
			}
			value := fmt.Append(nil, rng.IntN(1000))
			if rng.IntN(200) == 0 {
				value = bytes.Repeat(value, chunkSize/2) // some are more than a chunk
			}
			if rng.IntN(10) == 0 {
				p.put(key, nil, true)
				want[string(key)] = "dropped"
				continue
			}
			kept := p.put(key, value, false)
			want[string(key)] = string(value)
			if value[0]++; kept[0] == value[0] {
				t.Fatal("the pile keeps the caller's bytes")
			}
		}
		got, order := make(map[string]string), []string(nil)
		for _, g := range inParts(rng, s.byTag(p, noRests)) {
			g.sort(p)
			for _, r := range g.records {
				key, value := string(p.key(r.n)), string(p.value(r.n))
				if key[0] != g.tag {
					t.Fatalf("%q is in the group of %c", key, g.tag)
				}
				if p.records[r.n].dropped {
					value = "dropped"
				}
				got[key] = value
				order = append(order, key)
			}
		}
		if !maps.Equal(got, want) || !slices.IsSorted(order) || len(order) != len(want) {
			t.Fatalf("round %d: %d records, want %d; sorted: %v", round, len(order), len(want), slices.IsSorted(order))
		}
		p.empty()
	}
}

// inParts parts some of the groups into halves.
func inParts(rng *rand.Rand, groups []group) (parts []group) {
	for _, g := range groups {
		if rng.IntN(2) == 0 {
			parts = append(parts, g)
			continue
		}
		lesser, greater := g.halves()
		parts = append(parts, lesser, greater)
	}
	return parts
}

// Whatever step of writing a pile fails, that is said, nothing of the pile is in the view, and no file is left. (A file
// that cannot be linked is copied.)
func TestAPileThatCannotBeWrittenLeavesNothing(t *testing.T) {
	full := errors.New("no space")
	for step, failed := 1, true; failed; step++ {
		var steps atomic.Int64
		failed = false
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpLink || !strings.Contains(op.Path, "drafts") || steps.Add(1) != int64(step) {
				return nil
			}
			failed = true
			return full
		}))
		store, err := Open(Config{Dir: "views", View: "trial", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.SmallTables().View(Name{Tenant: "acme"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		steps.Store(0)
		failed = false
		batch := view.NewBatch()
		batch.build(view.buildTables())
		for n := range 1000 {
			if err := batch.Put(fmt.Appendf(batch.Key(), "r%04d", n), []byte("value")); err != nil {
				t.Fatal(err)
			}
		}
		if err := batch.Commit(Head{Journal: "j", Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		if err := batch.Close(); errors.Is(err, full) != failed {
			t.Errorf("step %d fails: %v, which is told as %v", step, failed, err)
		}
		head, err := view.Checkpoint()
		_, files, err2 := store.Left()
		if err := errors.Join(err, err2); err != nil || files > 0 || (head.Sequence == 0) != failed {
			t.Errorf("step %d: %d files are left, the view is at %d, %v", step, files, head.Sequence, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if !failed && step < 10 {
			t.Errorf("writing a pile takes %d steps only", step)
		}
	}
}

// Who reads a view that is being built in tables reads what was committed, though it is still being written.
func TestAReaderWaitsForTables(t *testing.T) {
	store, err := Open(Config{Dir: "views", View: "trial", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.SmallTables().View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	batch := view.NewBatch()
	batch.build(view.buildTables())
	for i := range 20 {
		for n := range 1000 {
			if err := batch.Put(fmt.Appendf(batch.Key(), "r%04d", n), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		head := Head{Journal: "j", Sequence: uint64(i + 1)}
		if err := batch.Commit(head); err != nil {
			t.Fatal(err)
		}
		value, ok, err := view.Get(nil, []byte("r0999"))
		if got, failed := view.Checkpoint(); err != nil || failed != nil || !ok || string(value) != fmt.Sprint(i) || got != head {
			t.Fatalf("round %d: %s, %v, %v; at %v, %v", i, value, ok, err, got, failed)
		}
	}
	if err := batch.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
