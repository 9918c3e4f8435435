package projections_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"creditstream/events/journal"
	"creditstream/projections"
)

// A table of many blocks is not read as a whole when it is opened: what is wrong in it is found by who asks for it.
// Whatever bit is flipped, a record is right or it is not given, and the store is made anew by the next start.
func TestAFlippedBitIsNeverARecord(t *testing.T) {
	dir := t.TempDir()
	key := func(b *projections.Batch, i int) []byte { return fmt.Appendf(b.Key(), "r%05d", i) }
	value := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%05d", i*7919%100_000), 8) }
	const records = 3000
	fill := func() []byte {
		store := openOnDisk(t, dir)
		view, err := store.View(acme, 1)
		if err != nil {
			t.Fatal(err)
		}
		b := view.NewBatch()
		for i := range records {
			if err := b.Put(key(b, i), value(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Commit(journal.Head{Journal: "j", Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(table(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	sound := fill()
	path := table(t, dir)
	refused, lazily := 0, 0
	flips := 60
	if testing.Short() {
		flips = 12
	}
	for i := range flips {
		bits := bytes.Clone(sound)
		bit := (i*len(sound)*8/flips + i) % (len(sound) * 8)
		bits[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, bits, 0o600); err != nil {
			t.Fatal(err)
		}
		store := openOnDisk(t, dir)
		view, err := store.View(acme, 1)
		if err != nil {
			t.Fatal(err)
		}
		known, _ := view.Checkpoint()
		failed := 0
		for r := range records {
			got, ok, err := view.Get(nil, fmt.Appendf(nil, "r%05d", r))
			switch {
			case err != nil:
				failed++
			case ok && !bytes.Equal(got, value(r)):
				t.Fatalf("bit %d: record %d is given as %q", bit, r, got)
			case !ok && known.Sequence > 0:
				t.Fatalf("bit %d: record %d is gone without a word", bit, r)
			}
		}
		if (failed > 0) != (store.Unreadable() != "") {
			t.Errorf("bit %d: %d records are unreadable, the store says %q", bit, failed, store.Unreadable())
		}
		if failed > 0 {
			lazily++
		}
		_ = store.Close()
		if known.Sequence == 0 || failed > 0 { // it begins anew, now or at the next start
			refused++
			store = openOnDisk(t, dir)
			if view, err = store.View(acme, 1); err != nil {
				t.Fatal(err)
			}
			if head, err := view.Checkpoint(); err != nil || head.Sequence != 0 {
				t.Errorf("bit %d: after a restart the view is at %+v, %v", bit, head, err)
			}
			_ = store.Close()
			if err := os.RemoveAll(filepath.Join(dir, "views")); err != nil {
				t.Fatal(err)
			}
			sound = fill()
			path = table(t, dir)
		}
	}
	if refused < flips*5/6 || lazily < flips/6 {
		t.Errorf("of 60 flipped bits %d were noticed, %d of them by who asked: the test does not reach what it is about", refused, lazily)
	}
}

func openOnDisk(t *testing.T, dir string) *projections.Store {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: filepath.Join(dir, "views"), View: "trial"})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func table(t *testing.T, dir string) string {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "views", "trial", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	return tables[0]
}
