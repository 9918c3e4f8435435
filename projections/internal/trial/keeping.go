package trial

import (
	"slices"
	"testing"

	"creditstream/projections"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SameWithLittle folds one journal twice: as usual, and with a fold of the same kind that keeps so little in memory
// that it has to read again what it let go of. Both have to write the same records.
func SameWithLittle(t *testing.T, usual, little projections.Fold) {
	t.Helper()
	commits := New(4, 20).Journal(80, 10)
	var dumps [2][]string
	for i, fold := range []projections.Fold{usual, little} {
		store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.View(projections.Name{Tenant: "acme"}, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(fold, view, commits, 2); err != nil {
			t.Fatal(err)
		}
		if dumps[i], err = Dump(view); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(dumps[0], dumps[1]) || len(dumps[0]) < 20 {
		t.Errorf("%d records, and %d of a fold that keeps little", len(dumps[0]), len(dumps[1]))
	}
}
