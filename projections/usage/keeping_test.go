package usage_test

import (
	"slices"
	"testing"

	"creditstream/projections"
	"creditstream/projections/internal/trial"
	"creditstream/projections/usage"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A fold that began with nothing asks the view only for what it let go of: and for that it does.
func TestWhatAFoldLetGoOfIsReadAgain(t *testing.T) {
	commits := trial.New(4, 20).Journal(80, 10)
	var dumps [2][]string
	for i, fold := range []usage.Fold{{}, usage.Keeping(3)} {
		store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		view, err := store.View(projections.Name{Tenant: "acme"}, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		if err := trial.Write(fold, view, commits, 2); err != nil {
			t.Fatal(err)
		}
		if dumps[i], err = trial.Dump(view); err != nil {
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
