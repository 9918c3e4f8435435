package projections_test

import (
	"fmt"
	"slices"
	"testing"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
)

// Keys that were used before are found among more than fit into memory, or are sorted at a time: each later use, the
// first of them in the order of the journal.
func TestKeysThatWereUsedBefore(t *testing.T) {
	const keys = 100_000
	for _, c := range []struct {
		repeated []int // of the keys, one after the other behind all
		most     int
		want     uint64
		first    []int // of repeated
	}{
		{nil, 10, 0, nil},
		{[]int{keys - 1}, 10, 1, []int{0}},
		{[]int{70_000, 3, 50_000, 3, 99_999, 0}, 10, 6, []int{0, 1, 2, 3, 4, 5}},
		{[]int{70_000, 3, 50_000, 3, 99_999, 0}, 4, 6, []int{0, 1, 2, 3}},
	} {
		at := func(n int) projections.Position {
			return projections.Position{Sequence: uint64(n/100 + 1), Offset: uint32(n % 100)}
		}
		count, first, err := projections.RepeatedKeys(t.TempDir(), c.most, func(yield func(projections.Position, string) bool) {
			for n := range keys + len(c.repeated) {
				key := n
				if n >= keys {
					key = c.repeated[n-keys]
				}
				if !yield(at(n), fmt.Sprintf("key-%d", key)) {
					return
				}
			}
		})
		var want []projections.Position
		for _, n := range c.first {
			want = append(want, at(keys+n))
		}
		if err != nil || count != c.want || !slices.Equal(first, want) {
			t.Errorf("%v: %d, first %v (%v); want %d, %v", c.repeated, count, first, err, c.want, want)
		}
	}
}

// Keys are those of an account: two accounts may use one, and no account and key look like another two.
func TestKeysAreOfAnAccount(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 1))
	opened := []credit.Fact{{Event: &credit.AccountOpened{Timezone: "UTC"}}}
	for _, of := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"b", "bc"}, {"c", "b"}, {"a\x00b", "c"}} {
		w.entry(credit.Entry{Account: of[0], Key: of[1], Hash: credit.Hash{1}, Facts: opened})
	}
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir()})
	if err != nil || r.Doubled != 0 || r.Entries != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// Faults are described in the order of the journal, those that are known at its end among them, and no more than a
// hundred.
func TestFaultsAreInTheOrderOfTheJournal(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 1))
	nonsense := []credit.Fact{{Event: &credit.CreditExpired{Ended: credit.Ended{Lot: "l9", Pool: "extra", Amount: 1}}}}
	for n := range 120 {
		w.entry(credit.Entry{Account: fmt.Sprint("a", n), Key: "k", Hash: credit.Hash{1}, Facts: nonsense})
		w.entry(credit.Entry{Account: fmt.Sprint("a", n), Key: "k", Hash: credit.Hash{1}, Facts: nonsense})
	}
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir()})
	if err != nil || r.Doubled != 120 || r.Nonsensical != 120 || len(r.Faults) != 100 {
		t.Fatalf("doubled %d, nonsensical %d, %d faults, %v", r.Doubled, r.Nonsensical, len(r.Faults), err)
	}
	for i, f := range r.Faults {
		problem := fmt.Sprintf("credit: account a%d has no lot l9", i/2)
		if i%2 == 1 {
			problem = `key "k" was used before`
		}
		if f.Sequence != uint64(i+2) || f.Account != fmt.Sprint("a", i/2) || f.Key != "k" || f.Problem != problem {
			t.Fatalf("fault %d: %+v; want commit %d, %s", i, f, i+2, problem)
		}
	}
}
