package projections

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// spelled is a fold whose records describe themselves.
type spelled struct{ Fold }

func (spelled) Name() string { return "spelled" }

func (spelled) Describe(key, value []byte) (name, content string) { return string(key), string(value) }

// sides are two generations of a view with n records, of which one in some differs.
func sides(t *testing.T, rng *rand.Rand, n, some int) (live, folded side) {
	t.Helper()
	store, err := open(Config{Dir: "views", View: "spelled", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	view, err := store.View(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	draft, err := store.draft(Name{Tenant: "acme"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	a, b := view.NewBatch(), draft.NewBatch()
	defer func() { _ = errors.Join(a.Close(), b.Close()) }()
	for i := range n {
		rest, one, other := fmt.Sprintf("r%06d", i), "value", "value"
		if rng.IntN(some) == 0 {
			one, other = []string{"", "changed", "value"}[i%3], []string{"value", "value", ""}[i%3]
		}
		for _, at := range []struct {
			batch *Batch
			value string
		}{{a, one}, {b, other}} {
			if at.value == "" {
				continue
			}
			if err := at.batch.Put(append(at.batch.Key(), rest...), []byte(at.value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(a.Commit(Head{Sequence: 1}), b.Commit(Head{Sequence: 2})); err != nil {
		t.Fatal(err)
	}
	return side{reader: store.db, prefix: view.live.Load().prefix}, side{reader: store.db, prefix: draft.live.Load().prefix}
}

// Whatever parts two sides are compared in, what is found is the same, in the same order.
func TestComparedInPartsTheSameIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, some := range []int{2, 40, 100_000} {
		live, folded := sides(t, rng, 2_000, some)
		whole := comparison{fold: spelled{}, name: Name{Tenant: "acme"}, live: live, folded: folded}
		want := differences{count: 3, first: []Difference{{Record: "of before"}}}
		if err := whole.run(t.Context(), &want); err != nil {
			t.Fatal(err)
		}
		if some == 2 && (want.count < 500 || len(want.first) != maxDifferences) || some > 2_000 && want.count > 4 {
			t.Fatalf("%d differences, %d told", want.count, len(want.first))
		}
		for range 20 {
			parts := whole
			for range rng.IntN(20) {
				parts.borders = append(parts.borders, fmt.Appendf(nil, "r%06d", rng.IntN(2_100)))
			}
			slices.SortFunc(parts.borders, bytes.Compare)
			got := differences{count: 3, first: []Difference{{Record: "of before"}}}
			if err := parts.run(t.Context(), &got); err != nil {
				t.Fatal(err)
			}
			if got.count != want.count || !reflect.DeepEqual(got.first, want.first) {
				t.Fatalf("in %d parts: %d differences, %+v\nnot %d, %+v", len(parts.borders)+1, got.count, got.first, want.count, want.first)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := whole.run(cancelled, &differences{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a comparison that was given up: %v", err)
		}
	}
}

// torn is a reader that cannot read from a key on.
type torn struct {
	pebble.Reader
	at []byte
}

func (r torn) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	if bytes.HasSuffix(o.LowerBound, r.at) {
		return nil, errors.New("torn\nfor ever")
	}
	return r.Reader.NewIter(o)
}

// Where live records cannot be read, those of the other parts are compared; where new ones cannot, nothing is.
func TestWhatCanBeReadIsCompared(t *testing.T) {
	live, folded := sides(t, rand.New(rand.NewPCG(5, 6)), 2_000, 10)
	within := func(c comparison) uint64 {
		var found differences
		if err := c.run(t.Context(), &found); err != nil {
			t.Fatal(err)
		}
		return found.count
	}
	borders := [][]byte{[]byte("r000500"), []byte("r001000"), []byte("r001500")}
	c := comparison{spelled{}, Name{Tenant: "acme"}, live, folded, borders}
	all := within(c)
	c.live.reader = torn{live.reader, borders[1]}
	var found differences
	if err := c.run(t.Context(), &found); !errors.Is(err, errUnreadable) || err.Error() != "unreadable: torn" {
		t.Error(err)
	}
	if found.count < all/2 || found.count > all-10 {
		t.Errorf("%d of %d differences are found", found.count, all)
	}
	c.live, c.folded.reader = live, torn{folded.reader, borders[1]}
	if err := c.run(t.Context(), &found); err == nil || errors.Is(err, errUnreadable) {
		t.Errorf("new records that cannot be read: %v", err)
	}
}

// The samples of piles that come in any order cut a view into parts of about one size, also when each pile has all
// of its keys and when each has others.
func TestSamplesCutAViewIntoEvenParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const records, pilesOf, every = 40_000, 1_000, 512
	for name, key := range map[string]func(i int) string{
		"all over": func(int) string { return fmt.Sprintf("f%09d", rng.IntN(1e9)) },
		"in order": func(i int) string { return fmt.Sprintf("f%09d", i) },
	} {
		var s samples
		var keys []string
		for i := 0; i < records; i += pilesOf {
			p := new(pile)
			for n := range pilesOf {
				k := key(i + n)
				keys = append(keys, k)
				p.put([]byte(k), make([]byte, rng.IntN(40)), false)
			}
			for _, g := range new(sorter).byTag(p, noRests) {
				g.sort(p)
				for _, r := range g.records {
					s.take(p, r.n, every)
				}
			}
		}
		if n := len(s.keys); n > records*50/every {
			t.Errorf("%s: %d samples are kept", name, n)
		}
		borders := s.cut()
		if len(borders) != mostParts-1 || !slices.IsSortedFunc(borders, bytes.Compare) {
			t.Fatalf("%s: borders %q", name, borders)
		}
		slices.Sort(keys)
		at := 0
		for i := range mostParts {
			next := len(keys)
			if i < len(borders) {
				next, _ = slices.BinarySearch(keys, string(borders[i]))
			}
			if size := next - at; size < records/mostParts/2 || size > records/mostParts*2 {
				t.Errorf("%s: part %d has %d of %d records", name, i, size, records)
			}
			at = next
		}
	}
	var few samples
	p := new(pile)
	p.put([]byte("fa"), make([]byte, 100), false)
	p.put([]byte("fa"), make([]byte, 100), false)
	few.take(p, 0, 50)
	few.take(p, 1, 50)
	if borders := few.cut(); len(borders) != 1 {
		t.Errorf("the same key twice: %q", borders)
	}
	if borders := new(samples).cut(); borders != nil {
		t.Errorf("nothing is cut at %q", borders)
	}
}
