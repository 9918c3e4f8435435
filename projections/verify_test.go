package projections_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func verify(t testing.TB, s *stand, w *writer) projections.Report {
	t.Helper()
	r, err := s.runner.Verify(t.Context(), w.journal.Name(), projections.VerifyConfig{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifyFindsNothingWrong(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 15))
	w.write(60, 15)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	r := verify(t, s, w)
	if !r.OK || r.Commits != 61 || r.Position != 61 || r.Accounts != 15 || r.Entries < 900 || r.Events < r.Entries || len(r.Views) != len(folds) {
		text, _ := json.MarshalIndent(r, "", " ")
		t.Fatalf("%s", text)
	}
	for _, fold := range folds {
		if got := s.view(t, fold, acme).Standing().Verified; got != r.Position {
			t.Errorf("%s was verified at %d, want %d", fold.Name(), got, r.Position)
		}
	}
}

func TestVerifyFindsEveryChangedRecord(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 5))
	w.write(20, 10)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	for i, letter := range []byte{'k', 's', 'u'} {
		view := s.view(t, folds[i], acme)
		change(t, view, anyKey(t, view, letter, 1), nil)
		change(t, view, anyKey(t, view, letter, 2), []byte("?"))
	}
	r := verify(t, s, w)
	if r.OK || r.Different != 6 || len(r.Differences) != 6 || r.Lost+r.Doubled+r.Overdrawn+r.Unbalanced+r.Nonsensical != 0 {
		text, _ := json.MarshalIndent(r, "", " ")
		t.Fatalf("%s", text)
	}
	for _, view := range r.Views {
		if view.Count != 2 || view.Records != "different" {
			t.Errorf("%+v", view)
		}
	}
}

// Snapshots of an account's past are records like any other: one that is not what the facts add up to is found
// by a verification, by a patrol, and by a rebuild, which writes the same ones again.
func TestAChangedSnapshotIsFound(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.Plain(1, 1))
	w.write(23, 200)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	s.check(t, w)
	view := s.view(t, statement.Fold{}, acme)
	one, second := anyKey(t, view, 'k', 0), anyKey(t, view, 'k', 1)
	was := records(t, view)
	change(t, view, second, []byte{1})
	change(t, view, one, nil)
	if r := verify(t, s, w); r.OK || r.Different != 2 {
		t.Errorf("verified: %+v", r)
	}
	rebuilt, err := s.runner.Rebuild(t.Context(), "statement", acme, projections.RebuildOptions{Accept: true})
	if err != nil || rebuilt.Different != 2 || !strings.Contains(rebuilt.Differences[1].Record, "after fact 4096") {
		t.Errorf("rebuilt: %+v, %v", rebuilt, err)
	}
	same(t, "rebuilt", records(t, s.view(t, statement.Fold{}, acme)), was)
	change(t, s.view(t, statement.Fold{}, acme), second[:len(second)-1]+"\x07", []byte{1})
	_, found, _ := watch(t, s)
	if f := first(t, found); f.View != "statement" {
		t.Errorf("patrol: %+v", f)
	}
}

// Each of these is an entry that no rule decides: the journal's chain holds, what it says does not.
func TestVerifyFindsWhatNoRuleDecides(t *testing.T) {
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	open := []credit.Fact{
		{At: now, Event: &credit.AccountOpened{Timezone: "UTC", Anchor: now, Cycle: credit.Cycle{Number: 1, From: now, To: now.AddDate(0, 1, 0)}}},
		{At: now, Event: &credit.CreditGranted{Grant: credit.Grant{Lot: "l1", Pool: "extra", Amount: 10, Starts: now, Ends: now.AddDate(0, 0, 5), Kind: credit.KindSold}}},
		{At: now, Event: &credit.CreditGranted{Grant: credit.Grant{Lot: "l2", Pool: "quota", Unit: "ai_service", Amount: 10, Starts: now, Kind: credit.KindSold}}},
	}
	use := func(meter, lot, pool, unit string, amount credit.Amount, at time.Time) credit.Fact {
		return credit.Fact{At: at, Event: &credit.UsageRecorded{Meter: meter, Quantity: 1, Cost: amount, Draws: []credit.Draw{{Lot: lot, Pool: pool, Unit: unit, Amount: amount, Cycle: 1}}, Catalog: 1}}
	}
	requested := credit.Fact{At: now, Event: &credit.PurchaseRequested{Purchase: "p1", Pool: "extra", Credits: 5}}
	bought := func(lot string) credit.Fact {
		return credit.Fact{At: now, Event: &credit.CreditPurchased{Grant: credit.Grant{Lot: lot, Pool: "extra", Amount: 5, Starts: now}, Purchase: "p1"}}
	}
	for name, c := range map[string]struct {
		facts []credit.Fact
		key   string
		says  string
		count func(projections.Report) uint64
	}{
		"key twice":      {[]credit.Fact{use("sticker", "l1", "extra", "", 1, now)}, "first", `key "first" was used before`, func(r projections.Report) uint64 { return r.Doubled }},
		"bought twice":   {[]credit.Fact{requested, bought("l3"), bought("l4")}, "", "gave lot l3 and now l4", func(r projections.Report) uint64 { return r.Doubled }},
		"overdrawn":      {[]credit.Fact{use("sticker", "l1", "extra", "", 11, now)}, "", "which has 10", func(r projections.Report) uint64 { return r.Overdrawn }},
		"too late":       {[]credit.Fact{use("sticker", "l1", "extra", "", 1, now.AddDate(0, 0, 5))}, "", "which is valid from", func(r projections.Report) uint64 { return r.Overdrawn }},
		"too early":      {[]credit.Fact{use("sticker", "l1", "extra", "", 1, now.Add(-1))}, "", "which is valid from", func(r projections.Report) uint64 { return r.Overdrawn }},
		"other meter":    {[]credit.Fact{use("sticker", "l2", "quota", "ai_service", 1, now)}, "", "which counts units of ai_service", func(r projections.Report) uint64 { return r.Overdrawn }},
		"by catalog":     {[]credit.Fact{use("forbidden", "l1", "extra", "", 1, now)}, "", "does not pay for forbidden", func(r projections.Report) uint64 { return r.Overdrawn }},
		"does not add":   {[]credit.Fact{{At: now, Event: &credit.UsageReversed{Usage: "first", Meter: "sticker", Quantity: 1, Total: 1, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 4, Cycle: 1}}}}}, "", "do not close", func(r projections.Report) uint64 { return r.Unbalanced }},
		"no such lot":    {[]credit.Fact{{At: now, Event: &credit.CreditExpired{Ended: credit.Ended{Lot: "l9", Pool: "extra", Amount: 1}}}}, "", "has no lot l9", func(r projections.Report) uint64 { return r.Nonsensical }},
		"opened twice":   {open[:1], "", "opened twice", func(r projections.Report) uint64 { return r.Nonsensical }},
		"not disordered": {[]credit.Fact{use("sticker", "l1", "extra", "", 10, now)}, "", "", func(r projections.Report) uint64 { return 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriter(t, connect(t), acme, trial.New(1, 1))
			w.entry(credit.Entry{Account: "a", Key: "first", Hash: credit.Hash{1}, Facts: open})
			key := c.key
			if key == "" {
				key = "second"
			}
			w.entry(credit.Entry{Account: "a", Key: key, Hash: credit.Hash{2}, Facts: c.facts})
			r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir(), MayPay: func(_ uint32, _, meter string) bool { return meter != "forbidden" }})
			if err != nil || r.OK != (c.says == "") || c.count(r) != 1 || r.Lost != 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if c.says != "" && (len(r.Faults) == 0 || !strings.Contains(r.Faults[0].Problem, c.says) || r.Faults[0].Sequence != 3 || r.Faults[0].Account != "a") {
				t.Fatalf("faults %+v, want %q", r.Faults, c.says)
			}
		})
	}
}

func TestVerifyNamesACommitThatIsNone(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 3))
	w.write(3, 5)
	w.append(nil, []byte(`[{"specversion":"1.0","type":"creditstream.UsageRecorded.v2"}]`))
	w.write(2, 5)
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir()})
	if err != nil || r.OK || r.Lost != 3 || r.Position != 4 || len(r.Faults) != 1 || r.Faults[0].Sequence != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestVerifyFindsTimeThatGoesBackwards(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 3))
	later, _ := w.source.Commit(5)
	now := later[0].Recorded
	later[3].Recorded = now.Add(-time.Second)
	body, err := credit.EncodeCommit("/creditstream/acme/0", later)
	if err != nil {
		t.Fatal(err)
	}
	w.append(later, body)
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir()})
	if err != nil || r.OK || r.Disordered != 1 || r.Faults[0].Entry != 3 || r.Faults[0].Sequence != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// tampered is a journal whose reader lets a changed commit pass.
type tampered struct {
	*journal.Journal
	sequence uint64
}

func (j tampered) Read(ctx context.Context, from uint64) iter.Seq2[journal.Commit, error] {
	return j.Audit(ctx, from, nil)
}

func (j tampered) Audit(ctx context.Context, from uint64, damaged func(journal.FileDamage)) iter.Seq2[journal.Commit, error] {
	return func(yield func(journal.Commit, error) bool) {
		for c, err := range j.Journal.Audit(ctx, from, damaged) {
			if c.Sequence == j.sequence {
				c.Body = bytes.Replace(c.Body, []byte(`"quantity":`), []byte(`"quantity":1`), 1)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// The hashes are computed anew: verify does not rest on the one who read the journal.
func TestVerifyComputesTheChainItself(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.Plain(1, 3))
	w.write(10, 20)
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: tampered{w.journal, 7}, Scratch: t.TempDir()})
	if err != nil || r.OK || r.Lost != 5 || r.Position != 6 || r.Faults[0].Sequence != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// No view is made anew from a journal that lacks commits: one that is ahead of its end gets no advice.
func TestNoRebuildIsAdvisedOfAJournalThatLacksCommits(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.New(1, 3))
	w.write(10, 20)
	s := newStand(t, vfs.NewMem())
	s.add(t, w, nil)
	s.await(t, w)
	cfg := projections.VerifyConfig{Journal: tampered{w.journal, 7}, Scratch: t.TempDir()}
	for _, fold := range folds {
		cfg.Views = append(cfg.Views, projections.VerifiedView{Fold: fold, View: s.view(t, fold, acme)})
	}
	r, err := projections.Verify(t.Context(), cfg)
	if err != nil || r.Lost == 0 || len(r.Views) != len(folds) {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, view := range r.Views {
		if !strings.Contains(view.Records, "the journal ends at 6") || view.Advice != "" {
			t.Errorf("%+v", view)
		}
	}
}

// cutOff is a journal whose reader loses its server on the way.
type cutOff struct {
	*journal.Journal
	sequence uint64
}

func (j cutOff) Audit(ctx context.Context, from uint64, damaged func(journal.FileDamage)) iter.Seq2[journal.Commit, error] {
	return func(yield func(journal.Commit, error) bool) {
		for c, err := range j.Journal.Audit(ctx, from, damaged) {
			if c.Sequence == j.sequence {
				c, err = journal.Commit{}, errors.New("the connection was lost")
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// A verification that could not read on has not found that anything is lost.
func TestVerifyThatCannotGoOnFindsNothing(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.Plain(1, 3))
	w.write(10, 20)
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: cutOff{w.journal, 7}, Scratch: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "the connection was lost") || r.OK || r.Lost != 0 || len(r.Faults) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// What does not fit into memory is spilled, and comes back as it was.
func TestVerifyOfManyAccounts(t *testing.T) {
	w := newWriter(t, connect(t), acme, trial.Plain(1, 20_000))
	w.write(150, 400)
	r, err := projections.Verify(t.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: t.TempDir()})
	if err != nil || !r.OK || r.Accounts < 18_000 {
		t.Fatalf("%+v, %v", r, err)
	}
}
