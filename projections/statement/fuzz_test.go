package statement

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// No bytes make a record or a cursor fail in disorder. `go test -fuzz NAME ./projections/statement` looks for more
// than the seeds.

func FuzzRecord(f *testing.F) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	r := Record{N: 128, At: projections.Position{Sequence: 9, Offset: 8}, Index: 7, Time: at, Recorded: at, Remaining: -5, Kind: "UsageRecorded", Key: "k", Actor: "a", Source: "s", Data: []byte(`{}`), early: []int64{1}, types: 3, meter: "m", classes: "\x01"}
	f.Add(uint64(128), r.append(nil))
	r.Kind = "CreditGranted"
	f.Add(uint64(128), r.append(nil))
	s := state{facts: 70, cycle: 2, remaining: -1, until: 9, early: []int64{5, never}, ended: []endedLot{{"l1", 5, 1}}}
	f.Add(uint64(1), s.append(nil))
	f.Add(uint64(1), s.appendEnded(nil))
	f.Add(uint64(0), []byte{recordFormat})
	f.Fuzz(func(t *testing.T, n uint64, value []byte) {
		var r, again, fact Record
		if err := r.decode(n, value); err == nil {
			if err := again.decode(n, r.append(nil)); err != nil || !reflect.DeepEqual(r, again) {
				t.Errorf("%+v was read again as %+v, %v", r, again, err)
			}
			if err := fact.decodeFact(n, value); err != nil || fact.Kind != r.Kind || !bytes.Equal(fact.Data, r.Data) || !fact.Recorded.Equal(r.Recorded) {
				t.Errorf("%+v was read for a fold as %+v, %v", r, fact, err)
			}
		}
		var s, other state
		if ended, err := s.decode(value); err == nil {
			written := s.append(nil)
			if _, err := other.decode(written); err != nil || ended == 0 && !bytes.Equal(other.append(nil), written) {
				t.Errorf("state %+v was read again as %+v, %v", s, other, err)
			}
		}
		var lots, same state
		if lots.decodeEnded(value) == nil {
			if err := same.decodeEnded(lots.appendEnded(nil)); err != nil || !slices.Equal(lots.ended, same.ended) {
				t.Errorf("ended lots %v were read again as %v, %v", lots.ended, same.ended, err)
			}
		}
		_, _ = Fold{}.Describe(append([]byte{tagFact}, value...), value)
		_, _ = Fold{}.Describe(append(appendSnapshot(nil, "a", n), value[:0]...), value)
	})
}

// written is a view of a journal.
func written(f *testing.F, fold Fold, commits [][]credit.Entry) *View {
	f.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: "statement", FS: vfs.NewMem()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	view, err := Of(store, projections.Name{Tenant: "tecpet"})
	if err == nil {
		err = trial.Write(fold, view.View, commits, 50)
	}
	if err != nil {
		f.Fatal(err)
	}
	return view
}

// FuzzCursor asks for pages from anywhere: what is a cursor gives a part of the history, in its order, and the
// pages after it come to the end of it.
func FuzzCursor(f *testing.F) {
	view := written(f, Fold{}, trial.New(2, 1).Journal(12, 5))
	const account = "account-000000"
	all, err := view.History(Query{Account: account, Limit: 10_000})
	if err != nil || len(all.Lines) < 50 || all.Next != "" {
		f.Fatal(len(all.Lines), err)
	}
	for _, seed := range []string{"", "1-0", "30-1", "9223372036854775807-0", "9223372036854775808-0", "-1--1", "5", "0-0", "7-2147483647", " 1-1"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		q := Query{Account: account, Cursor: text, Limit: 1 + limit&31}
		var lines []Line
		for range len(all.Lines) + 2 {
			page, err := view.History(q)
			if err != nil {
				return
			}
			if len(page.Lines) > q.Limit {
				t.Fatalf("%q: a page of %d lines", text, len(page.Lines))
			}
			lines = append(lines, page.Lines...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if from := len(all.Lines) - len(lines); q.Cursor != "" || from < 0 || !reflect.DeepEqual(lines, append([]Line(nil), all.Lines[from:]...)) {
			t.Errorf("%q: %d lines, which are not the last of the history's %d (then %q)", text, len(lines), len(all.Lines), q.Cursor)
		}
	})
}

// FuzzPast folds the past from made-up bounds: never in disorder, and never more than there is.
func FuzzPast(f *testing.F) {
	view := written(f, Fold{every: 64}, trial.New(3, 1).Journal(40, 5))
	f.Add(int64(0), uint64(0), uint32(0), uint64(0), uint64(0))
	f.Add(int64(1769000000e9), uint64(3), uint32(1), uint64(0), uint64(100))
	f.Add(int64(-1), ^uint64(0), ^uint32(0), ^uint64(0), ^uint64(0))
	f.Fuzz(func(t *testing.T, at int64, sequence uint64, offset uint32, recorded, before uint64) {
		known := Known{Position: projections.Position{Sequence: sequence, Offset: offset}}
		if recorded > 0 {
			known.Recorded = time.Unix(0, int64(recorded))
		}
		trail, err := view.Trail("account-000000", time.Unix(0, at), known, before, 10)
		if err != nil {
			t.Fatal(err)
		}
		for i := range trail.Facts {
			if before > 0 && trail.Facts[i].N >= before || trail.Facts[i].Time.After(time.Unix(0, at)) {
				t.Errorf("fact %d is in it", trail.Facts[i].N)
			}
		}
		if len(trail.Facts) > 10 || trail.Before.ID() != "account-000000" {
			t.Errorf("%d facts after %v", len(trail.Facts), trail.Before)
		}
	})
}
