package statement_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func open(t testing.TB) *statement.View {
	t.Helper()
	store, err := projections.Open(projections.Config{Dir: "views", View: "statement", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	view, err := statement.Of(store, projections.Name{Tenant: "tecpet"})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func write(t testing.TB, view *statement.View, commits [][]credit.Entry, size int) {
	t.Helper()
	if err := trial.Write(statement.Fold{}, view.View, commits, size); err != nil {
		t.Fatal(err)
	}
}

// alive is what all pools counted in credits have.
func alive(a *credit.Account) (sum credit.Amount) {
	for _, p := range a.Pools() {
		if p.Unit == "" {
			sum += p.Terms.Remaining
		}
	}
	return sum
}

// whole reads a history through pages of a size.
func whole(t testing.TB, view *statement.View, q statement.Query) []statement.Line {
	t.Helper()
	var all []statement.Line
	for range 100_000 {
		page, err := view.History(q)
		if err != nil {
			t.Fatal(err)
		}
		if q.Limit > 0 && len(page.Lines) > q.Limit {
			t.Fatalf("a page has %d lines, at most %d were asked for", len(page.Lines), q.Limit)
		}
		all = append(all, page.Lines...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
	t.Fatal("the history does not end")
	return nil
}

// What remains after each fact, and after each line, is what the fold of the account says.
func TestRemainingIsTheFolds(t *testing.T) {
	for seed := range uint64(6) {
		source := trial.New(seed, 6)
		commits := source.Journal(120, 10)
		view := open(t)
		write(t, view, commits, 7)
		folded := make(map[string]*credit.Account)
		remaining := make(map[string][]credit.Amount)
		for _, entries := range commits {
			for _, e := range entries {
				if e.Account == "" {
					continue
				}
				a := folded[e.Account]
				if a == nil {
					a = credit.NewAccount(e.Account)
					folded[e.Account] = a
				}
				for _, f := range e.Facts {
					a.Evolve(f.Event, f.At)
					remaining[e.Account] = append(remaining[e.Account], alive(a))
				}
			}
		}
		for account, want := range remaining {
			n := 0
			for r, err := range view.Facts(account, 1) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; r.N != uint64(n) || n > len(want) || r.Remaining != want[n-1] {
					t.Fatalf("seed %d, account %s, fact %d (%s): remaining %d, want %d: %s", seed, account, r.N, r.Kind, r.Remaining, want[n-1], r.Data)
				}
			}
			if n != len(want) {
				t.Fatalf("account %s has %d facts on its statement, want %d", account, n, len(want))
			}
			var sum credit.Amount
			lines := whole(t, view, statement.Query{Account: account, Limit: 7})
			for i := len(lines) - 1; i >= 0; i-- {
				if sum += lines[i].Credits; lines[i].Remaining != sum {
					t.Fatalf("seed %d, account %s, line %+v: remaining is not the sum of all changes, %d", seed, account, lines[i], sum)
				}
			}
			if sum != want[len(want)-1] {
				t.Fatalf("account %s: lines sum to %d, %d remains", account, sum, want[len(want)-1])
			}
		}
	}
}

func TestPagesAndFiltersShowTheSameLines(t *testing.T) {
	source := trial.New(3, 2)
	commits := source.Journal(150, 10)
	// Beside those, whose lots pile up, some that run out.
	poor := trial.New(4, 40)
	for _, entries := range poor.Journal(150, 10) {
		for i := range entries {
			if entries[i].Account != "" {
				entries[i].Account = "poor-" + entries[i].Account
			}
		}
		commits = append(commits, entries)
	}
	view := open(t)
	write(t, view, commits, 50)
	all := whole(t, view, statement.Query{Account: "account-000000", Limit: 1000})
	if len(all) < 300 {
		t.Fatalf("only %d lines", len(all))
	}
	seen := make(map[statement.Type]bool)
	for _, a := range append(poor.Accounts(), source.Accounts()...) {
		for _, account := range []string{a.ID(), "poor-" + a.ID()} {
			for _, l := range whole(t, view, statement.Query{Account: account}) {
				seen[l.Type] = true
			}
		}
	}
	for _, typ := range statement.Types() {
		if !seen[typ] {
			t.Errorf("no line of type %s", typ)
		}
	}
	for _, size := range []int{1, 3, 100} {
		if got := whole(t, view, statement.Query{Account: "account-000000", Limit: size}); fmt.Sprint(got) != fmt.Sprint(all) {
			t.Fatalf("pages of %d lines show another history", size)
		}
	}
	from, to := all[2*len(all)/3].Time, all[len(all)/3].Time
	queries := map[string]struct {
		q    statement.Query
		keep func(statement.Line) bool
	}{
		"meter":    {statement.Query{Meter: "sticker"}, func(l statement.Line) bool { return l.Meter == "sticker" }},
		"type":     {statement.Query{Type: statement.Expiry}, func(l statement.Line) bool { return l.Type == statement.Expiry }},
		"from, to": {statement.Query{From: from, To: to}, func(l statement.Line) bool { return !l.Time.Before(from) && l.Time.Before(to) }},
		"pool": {statement.Query{Pool: "quota"}, func(l statement.Line) bool {
			return slices.ContainsFunc(l.Draws, func(d credit.Draw) bool { return d.Pool == "quota" })
		}},
		"no such":   {statement.Query{Meter: "nothing"}, func(statement.Line) bool { return false }},
		"type, two": {statement.Query{Type: statement.Usage, Meter: "ai_service"}, func(l statement.Line) bool { return l.Type == statement.Usage && l.Meter == "ai_service" }},
	}
	for name, c := range queries {
		c.q.Account, c.q.Limit = "account-000000", 5
		var want []statement.Line
		for _, l := range all {
			if c.keep(l) {
				want = append(want, l)
			}
		}
		if got := whole(t, view, c.q); fmt.Sprint(got) != fmt.Sprint(want) || (len(want) == 0) != (name == "no such") {
			t.Errorf("%s: %d lines, want %d", name, len(got), len(want))
		}
	}
	if _, err := view.History(statement.Query{Account: "account-000000", Cursor: "12"}); !errors.Is(err, statement.ErrCursor) {
		t.Errorf("a made-up cursor: %v", err)
	}
	if page, err := view.History(statement.Query{Account: "nobody"}); err != nil || len(page.Lines) != 0 || page.Next != "" {
		t.Errorf("an account without a history: %+v, %v", page, err)
	}
}

// What an account was is what its fold was then: known up to an entry, and as of an instant.
func TestRefold(t *testing.T) {
	source := trial.New(5, 4)
	view := open(t)
	var commits [][]credit.Entry
	type moment struct {
		known statement.Known
		want  map[string]string
	}
	var moments []moment
	for i := range 60 {
		entries, _ := source.Commit(10)
		commits = append(commits, entries)
		m := moment{statement.Known{Position: projections.Position{Sequence: uint64(i + 1), Offset: 1 << 20}}, make(map[string]string)}
		if i%2 == 1 {
			m.known = statement.Known{Recorded: source.Now()}
		}
		for _, a := range source.Accounts() {
			m.want[a.ID()] = describe(a)
		}
		moments = append(moments, m)
	}
	write(t, view, commits, 10)
	for _, m := range moments {
		for account, want := range m.want {
			past, err := view.Refold(account, time.Time{}, m.known)
			if err != nil || past.LeftOut != 0 {
				t.Fatal(past.LeftOut, err)
			}
			if got := describe(past.Account); got != want {
				t.Fatalf("account %s as known at %+v\n got %s\nwant %s", account, m.known, got, want)
			}
		}
	}
}

func describe(a *credit.Account) string {
	text := fmt.Sprint(a.Exists(), a.Plan(), a.Cycle(), a.Debts(), a.NextDue())
	for _, p := range a.Pools() {
		text += fmt.Sprintf("; %s %+v", p.Name, p.Terms)
	}
	return text
}

// A late use belongs to the past that it happened in, once it is known; before, it is not there.
func TestRefoldAtAnInstantSeesWhatHappenedByThen(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC) }
	cycle := credit.Cycle{Number: 1, From: at(1), To: at(31)}
	entry := func(recorded, happened time.Time, event credit.Event) []credit.Entry {
		return []credit.Entry{{Account: "a", Key: recorded.String(), Hash: credit.Hash{1}, Recorded: recorded, Facts: []credit.Fact{{At: happened, Event: event}}}}
	}
	commits := [][]credit.Entry{
		entry(at(1), at(1), &credit.AccountOpened{Timezone: "UTC", Anchor: at(1), Cycle: cycle}),
		entry(at(2), at(2), &credit.CreditGranted{Grant: credit.Grant{Lot: "l1", Pool: "extra", Amount: 10, Starts: at(2), Kind: credit.KindSold}}),
		entry(at(9), at(4), &credit.UsageRecorded{Meter: "sticker", Quantity: 3, Cost: 3, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 3, Cycle: 1}}, Remaining: 7}),
		entry(at(10), at(10), &credit.UsageRecorded{Meter: "sticker", Quantity: 7, Cost: 7, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 7, Cycle: 1}}}),
		entry(at(11), at(11), &credit.UsageReversed{Usage: "x", Meter: "sticker", Quantity: 2, Total: 2, Credits: 2, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 2, Cycle: 1}}}),
		entry(at(12), at(5), &credit.UsageRecorded{Meter: "sticker", Quantity: 1, Cost: 1, Draws: []credit.Draw{{Lot: "l1", Pool: "extra", Amount: 1, Cycle: 1}}}),
	}
	for i := range commits {
		if _, err := credit.EncodeCommit("/", commits[i]); err != nil {
			t.Fatal(err)
		}
	}
	view := open(t)
	write(t, view, commits, 2)
	for _, c := range []struct {
		at      time.Time
		known   statement.Known
		want    credit.Amount
		leftOut int
	}{
		{at(3), statement.Known{}, 10, 0},
		{at(6), statement.Known{}, 6, 0},
		{at(6), statement.Known{Recorded: at(8)}, 10, 0},
		{at(6), statement.Known{Recorded: at(9)}, 7, 0},
		{at(10), statement.Known{}, 0, 1}, // the last use took what came back on the 11th
		{time.Time{}, statement.Known{}, 1, 0},
		{time.Time{}, statement.Known{Position: projections.Position{Sequence: 4}}, 0, 0},
	} {
		past, err := view.Refold("a", c.at, c.known)
		if err != nil || alive(past.Account) != c.want || past.LeftOut != c.leftOut {
			t.Errorf("at %s known %+v: %+v, %v; want %d, %d", c.at, c.known, past, err, c.want, c.leftOut)
		}
	}
}
