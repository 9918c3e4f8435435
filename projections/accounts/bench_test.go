package accounts_test

import (
	"testing"

	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkStage is what the loop asks of the view for each single use: one key looked up, one account drained,
// one key indexed, in commits of two hundred.
func BenchmarkStage(b *testing.B) {
	store, view := open(b, vfs.NewMem())
	defer shut(b, store)
	l := newLoop(view)
	source := trial.Plain(1, 10_000)
	commits := source.Journal(200, 200)
	for _, entries := range commits {
		l.commit(b, entries)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%200 == 0 {
			b.StopTimer()
			entries, _ := source.Commit(200)
			for i := range entries {
				if _, ok, err := view.Lookup(entries[i].Account, entries[i].Key); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
			b.StartTimer()
			l.commit(b, entries)
		}
		n++
	}
}

// BenchmarkLoad loads accounts that are one record each, as most are.
func BenchmarkLoad(b *testing.B) {
	store, view := open(b, vfs.NewMem())
	defer shut(b, store)
	l := newLoop(view)
	source := trial.Plain(1, 10_000)
	for range 100 {
		entries, _ := source.Commit(1_000)
		l.commit(b, entries)
	}
	entries, _ := source.Commit(1_000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if a, err := view.Load(entries[n%len(entries)].Account); err != nil || !a.Exists() {
			b.Fatal(a, err)
		}
		n++
	}
}

// BenchmarkLookup looks up keys that are not there, as nearly all are.
func BenchmarkLookup(b *testing.B) {
	store, view := open(b, vfs.NewMem())
	defer shut(b, store)
	l := newLoop(view)
	source := trial.Plain(1, 10_000)
	for range 1_000 {
		entries, _ := source.Commit(200)
		l.commit(b, entries)
	}
	entries, _ := source.Commit(1_000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		e := &entries[n%len(entries)]
		if _, ok, err := view.Lookup(e.Account, e.Key); ok || err != nil {
			b.Fatal(ok, err)
		}
		n++
	}
}

// BenchmarkLoadOfAnAccountInUse loads one account of many records, all of them just changed, after each commit.
func BenchmarkLoadOfAnAccountInUse(b *testing.B) {
	store, view := open(b, vfs.NewMem())
	defer shut(b, store)
	l := newLoop(view)
	source := trial.New(1, 50)
	for range 100 {
		entries, _ := source.Commit(100)
		l.commit(b, entries)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		entries, _ := source.Commit(1)
		l.commit(b, entries)
		b.StartTimer()
		if a, err := view.Load(source.Accounts()[0].ID()); err != nil || !a.Exists() {
			b.Fatal(a, err)
		}
	}
}
