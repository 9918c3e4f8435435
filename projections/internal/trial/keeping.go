package trial

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"weak"

	"creditstream/events/credit"
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

// KeepsNoCommit folds a journal whose commits are decoded as a rebuild decodes them, and sees to it that none of them
// stays in memory for a text of it that the fold keeps.
func KeepsNoCommit(t *testing.T, fold projections.Fold) {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: fold.Name(), FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	view, err := store.View(projections.Name{Tenant: "acme"}, fold.Version())
	if err != nil {
		t.Fatal(err)
	}
	work, batch := fold.Begin(view), view.NewBatch()
	defer func() { _ = batch.Close() }()
	var bodies []weak.Pointer[byte]
	commits := New(4, 400).Journal(80, 10)
	for i, entries := range commits {
		body, err := foldDecoded(work, batch, uint64(i+1), entries)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	if err := errors.Join(work.Flush(batch), batch.Commit(projections.Head{Journal: "trial", Sequence: uint64(len(commits))})); err != nil {
		t.Fatal(err)
	}
	clear(commits)
	runtime.GC()
	kept := 0
	for _, body := range bodies {
		if body.Value() != nil {
			kept++
		}
	}
	if kept > 1 { // the last one may be in what is used again for the next
		t.Errorf("%d of %d commits are kept", kept, len(bodies))
	}
	runtime.KeepAlive(work)
}

// foldDecoded folds a commit as it is read from a journal, and returns the first byte of its body.
func foldDecoded(work projections.Work, batch *projections.Batch, sequence uint64, entries []credit.Entry) (first weak.Pointer[byte], err error) {
	body, err := credit.EncodeCommit("/creditstream/acme/0", entries)
	if err != nil {
		return first, err
	}
	body = slices.Clone(body)
	var decoder credit.Decoder
	decoded, err := decoder.DecodeInto(new(credit.Slab), body)
	for i := 0; i < len(decoded) && err == nil; i++ {
		err = work.Apply(batch, projections.Position{Sequence: sequence, Offset: uint32(i)}, &decoded[i])
	}
	return weak.Make(&body[0]), err
}
