package projections_test

import (
	"testing"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A journal that is read from its files is in memory that is used again and again: no view keeps any of it.
func TestViewsAreTheSameFromFiles(t *testing.T) {
	server, nc := startBus(t)
	w := newWriter(t, nc, acme, trial.New(3, 60))
	w.write(150, 12)
	read, err := journal.Open(t.Context(), nc, journal.Config{Name: acme, Blocks: func() journal.Blocks { return server.Blocks(acme.Stream(), acme.Subject()) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, fold := range folds {
		store := openStore(t, vfs.NewMem(), fold)
		view, err := store.View(acme, fold.Version())
		if err != nil {
			t.Fatal(err)
		}
		if err := projections.CatchUp(t.Context(), fold, view, read, discard, nil); err != nil {
			t.Fatal(err)
		}
		same(t, fold.Name(), records(t, view), w.want(fold))
	}
}
