package projections_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"creditstream/projections"
	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// behind opens a store's files without the store.
func behind(t *testing.T, fs vfs.FS, view string, do func(*pebble.DB)) {
	t.Helper()
	db, err := pebble.Open("views/"+view, &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStoreOfAnotherFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	if err := openStore(t, fs, folds[0]).Close(); err != nil {
		t.Fatal(err)
	}
	behind(t, fs, "accounts", func(db *pebble.DB) {
		if err := db.Set([]byte("\x00\x00\x00\x00\x00format"), binary.BigEndian.AppendUint32(nil, projections.Format+1), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := projections.Open(projections.Config{Dir: "views", View: "accounts", FS: fs}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Fatalf("a store of another format was opened: %v", err)
	}
}

// What a rebuild that was cut off left behind is gone after the next start, and nothing else is.
func TestLeftoversAreDropped(t *testing.T) {
	fs := vfs.NewMem()
	store := openStore(t, fs, folds[1])
	view, err := store.View(acme, statement.Version)
	if err != nil {
		t.Fatal(err)
	}
	source := trial.New(1, 3)
	if err := trial.Write(folds[1], view, source.Journal(5, 10), 2); err != nil {
		t.Fatal(err)
	}
	before := records(t, view)
	live := view.Standing().Generation
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		behind(t, fs, "statement", func(db *pebble.DB) {
			iter, err := db.NewIter(nil)
			if err != nil {
				t.Fatal(err)
			}
			for valid := iter.SeekGE([]byte{0, 0, 0, 1}); valid; valid = iter.Next() {
				n++
			}
			if err := iter.Close(); err != nil {
				t.Fatal(err)
			}
		})
		return n
	}
	whole := count()
	behind(t, fs, "statement", func(db *pebble.DB) {
		for _, generation := range []uint32{live + 1, live + 7} {
			for i := range 20 {
				key := fmt.Appendf(binary.BigEndian.AppendUint32(nil, generation), "acme\x00\x00\x00f%d", i)
				if err := db.Set(key, []byte("left"), pebble.Sync); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	store = openStore(t, fs, folds[1])
	if view, err = store.View(acme, statement.Version); err != nil {
		t.Fatal(err)
	}
	same(t, "the live view", records(t, view), before)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != whole {
		t.Fatalf("%d records are left, want %d", n, whole)
	}
}

// Readers never see half of a switch: a history is whole while its view is rebuilt again and again.
func TestReadersNeverSeeASwitch(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 2))
	w.write(20, 10)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	view, err := statement.Of(s.stores["statement"], acme)
	if err != nil {
		t.Fatal(err)
	}
	want, err := view.History(statement.Query{Account: "account-000000", Limit: 1000})
	if err != nil || len(want.Lines) == 0 {
		t.Fatal(len(want.Lines), err)
	}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reads := 0
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := view.History(statement.Query{Account: "account-000000", Limit: 1000})
			if err != nil || len(got.Lines) != len(want.Lines) {
				t.Errorf("a history of %d lines, want %d: %v", len(got.Lines), len(want.Lines), err)
				return
			}
			if head, err := view.Checkpoint(); err != nil || head != w.journal.Head() {
				t.Errorf("checkpoint %+v, %v", head, err)
				return
			}
			reads++
		}
	})
	for range 15 {
		if r, err := s.runner.Rebuild(t.Context(), "statement", acme, projections.RebuildOptions{}); err != nil || !r.Switched {
			t.Errorf("rebuild %+v, %v", r, err)
		}
	}
	close(stop)
	reading.Wait()
	if reads == 0 {
		t.Error("nothing was read meanwhile")
	}
}

func TestTextsKeepTheirOrderAndTheirEnds(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", "\x00a", "a", "a\x00", "a\x00b", "aa", "b"}
	var last []byte
	for i, text := range texts {
		key := projections.AppendText(nil, text)
		if i > 0 && bytes.Compare(last, key) >= 0 {
			t.Errorf("%q does not sort behind %q", text, texts[i-1])
		}
		last = key
		got, rest, ok := projections.CutText(append(bytes.Clone(key), "rest"...))
		if got != text || string(rest) != "rest" || !ok {
			t.Errorf("%q comes back as %q, %q, %v", text, got, rest, ok)
		}
	}
	if _, _, ok := projections.CutText([]byte("no end")); ok {
		t.Error("a text without an end was read")
	}
}
