package bus

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The directory is synced for each new block, also for one that is made in the same tick of the clock as the last, and
// for nothing else that cannot be told from one.
func TestNamesAreSyncedForEachNewBlock(t *testing.T) {
	dir := t.TempDir()
	syncs := 0
	n := names{dir: dir, parents: []string{filepath.Dir(dir)}, syncPath: func(string) error { syncs++; return nil }}
	then := time.Now()
	write := func(name string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, want int) {
		t.Helper()
		syncs = 0
		if err := n.sync(); err != nil || syncs != want {
			t.Fatalf("%s: %d directories synced instead of %d, %v", what, syncs, want, err)
		}
	}
	write("17.blk", then)
	expect("the first time, with what it is in", 2)
	expect("nothing new", 0)
	write("index.db", then)
	expect("no block", 0)
	write("18.blk", then)
	expect("a block of the same tick", 1)
	expect("that is known", 0)
	write("19.blk", then)
	write("20.blk", then)
	expect("two blocks of the same tick", 1)
	expect("they are known", 0)
	write("index.db", then.Add(time.Millisecond))
	expect("whatever else was made later", 1)
	before := then.Add(-time.Hour)
	write("21.blk", before)
	expect("a block of another time", 1)
	expect("long ago", 0)
	write("22.blk", before)
	expect("a block of the same tick, however long that is", 1)
	if err := os.Symlink("23.blk", filepath.Join(dir, "23.blk")); err != nil { // nobody can tell what is behind it
		t.Fatal(err)
	}
	if n.sync() == nil {
		t.Error("a block that cannot be looked at was taken for none")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if n.sync() == nil {
		t.Error("a directory that is not there was synced")
	}
}
