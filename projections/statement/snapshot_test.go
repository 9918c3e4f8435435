package statement_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"
)

// told is one fact of an account, as it was made up.
type told struct {
	at       projections.Position
	recorded time.Time
	happened time.Time
	event    credit.Event
}

// factsOf lists the facts of each account.
func factsOf(commits [][]credit.Entry) map[string][]told {
	all := make(map[string][]told)
	for i, entries := range commits {
		for j, e := range entries {
			for _, f := range e.Facts {
				if e.Account != "" {
					all[e.Account] = append(all[e.Account], told{projections.Position{Sequence: uint64(i + 1), Offset: uint32(j)}, e.Recorded, f.At, f.Event})
				}
			}
		}
	}
	return all
}

// fromTheStart folds all facts that were known and had happened, one after the other from the first.
func fromTheStart(account string, facts []told, at time.Time, known statement.Known) (a *credit.Account, leftOut int) {
	a = credit.NewAccount(account)
	for _, f := range facts {
		if p := known.Position; p.Sequence > 0 && (f.at.Sequence > p.Sequence || f.at.Sequence == p.Sequence && f.at.Offset > p.Offset) {
			continue
		}
		if !known.Recorded.IsZero() && f.recorded.After(known.Recorded) || !at.IsZero() && f.happened.After(at) {
			continue
		}
		if at.IsZero() || !f.recorded.After(at) {
			a.Evolve(f.event, f.happened)
			continue
		}
		next, fits := tryFold(a, f)
		if !fits {
			leftOut++
		}
		a = next
	}
	return a, leftOut
}

func tryFold(a *credit.Account, f told) (next *credit.Account, fits bool) {
	next = a.Clone()
	defer func() {
		if recover() != nil {
			next, fits = a, false
		}
	}()
	next.Evolve(f.event, f.happened)
	return next, true
}

// equal says how two accounts differ; "" when they do not.
func equal(got, want *credit.Account) string {
	if g, w := describe(got), describe(want); g != w {
		return fmt.Sprintf("\n got %s\nwant %s", g, w)
	}
	if !got.LastEnd().Equal(want.LastEnd()) || !bytes.Equal(got.AppendSnapshot(nil), want.AppendSnapshot(nil)) {
		return fmt.Sprintf("lots, holds or purchases: %x, want %x", got.AppendSnapshot(nil), want.AppendSnapshot(nil))
	}
	return ""
}

// The past that starts at a snapshot is the past that is folded from the first fact: at every position, and at
// random instants, as known at random positions and times.
func TestThePastFromASnapshotIsThatFromTheStart(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	late, leftOut := 0, 0
	for seed := range uint64(3) {
		source := trial.New(seed, 3)
		commits := source.Journal(250, 7)
		view := open(t)
		if err := trial.Write(statement.Every(64), view.View, commits, 1+int(seed)*30); err != nil {
			t.Fatal(err)
		}
		for account, facts := range factsOf(commits) {
			want := credit.NewAccount(account)
			for i, f := range facts {
				want.Evolve(f.event, f.happened)
				if i+1 < len(facts) && facts[i+1].at == f.at {
					continue
				}
				past, err := view.Refold(account, time.Time{}, statement.Known{Position: f.at})
				if err != nil || past.LeftOut != 0 {
					t.Fatal(past.LeftOut, err)
				}
				if problem := equal(past.Account, want); problem != "" {
					t.Fatalf("seed %d, account %s as known at %v: %s", seed, account, f.at, problem)
				}
			}
			for range 40 {
				var known statement.Known
				some := facts[random.IntN(len(facts))]
				at := some.happened.Add(time.Duration(random.IntN(3)-1) * time.Nanosecond)
				switch random.IntN(3) {
				case 0:
					known.Position = facts[random.IntN(len(facts))].at
				case 1:
					known.Recorded = facts[random.IntN(len(facts))].recorded
				}
				want, out := fromTheStart(account, facts, at, known)
				past, err := view.Refold(account, at, known)
				if err != nil || past.LeftOut != out {
					t.Fatalf("%d left out, want %d: %v", past.LeftOut, out, err)
				}
				if problem := equal(past.Account, want); problem != "" {
					t.Fatalf("seed %d, account %s at %s as known at %+v: %s", seed, account, at, known, problem)
				}
				leftOut += out
				if slices.ContainsFunc(facts, func(f told) bool { return f.recorded.After(at) && !f.happened.After(at) }) {
					late++
				}
			}
		}
	}
	if late < 100 || leftOut < 10 {
		t.Errorf("%d instants had late facts, %d such were left out: too few to say anything", late, leftOut)
	}
}

// Which batches the facts came in, and which accounts were kept folded meanwhile, is not to be seen in the records.
func TestSnapshotsAreTheSameInWhateverBatches(t *testing.T) {
	source := trial.New(5, 4)
	commits := source.Journal(200, 10)
	var want []string
	for _, size := range []int{1, 7, 200} {
		view := open(t)
		if err := trial.Write(statement.Every(64), view.View, commits, size); err != nil {
			t.Fatal(err)
		}
		got, err := trial.Dump(view.View)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
			if n := len(slices.DeleteFunc(slices.Clone(got), func(r string) bool { return r[1] != 'k' })); n < 10 {
				t.Fatalf("there are only %d snapshots", n)
			}
		}
		if i := slices.IndexFunc(got, func(r string) bool { return !slices.Contains(want, r) }); i >= 0 || len(got) != len(want) {
			t.Fatalf("in batches of %d commits: %d records, want %d; the first that differs is %d", size, len(got), len(want), i)
		}
	}
}

// Looking back costs the same in a history of ten thousand facts and in one of a hundred thousand: as many
// records are read for an instant long ago as for one just now, and for an explanation. Facts that come late cost
// what there is to read of the time that they are late by.
func TestTheCostOfLookingBackIsFlat(t *testing.T) {
	for _, c := range []struct {
		name   string
		late   time.Duration // of every fiftieth fact; about one fact a millisecond is recorded
		behind int           // how many facts are recorded within that time
	}{{"in time", 0, 0}, {"late", 500 * time.Millisecond, 500}} {
		t.Run(c.name, func(t *testing.T) {
			source := trial.Plain(1, 1)
			commits := source.Journal(500, 200)
			for i := range commits {
				for j := 10; c.late > 0 && j < len(commits[i]); j += 50 {
					f := &commits[i][j].Facts[0]
					f.At = f.At.Add(-c.late)
				}
			}
			flat(t, commits, 2048+300+3*c.behind)
		})
	}
}

func flat(t *testing.T, commits [][]credit.Entry, bound int) {
	const account = "account-000000"
	view := open(t)
	write(t, view, commits, 50)
	facts := factsOf(commits)[account]
	most := 0
	note := func(what string, n, read int, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if read > bound {
			t.Errorf("%s fact %d of %d took %d records, more than %d", what, n, len(facts), read, bound)
		}
		most = max(most, read)
	}
	for _, n := range []int{100, 2_000, 2_047, 2_100, 9_999, 30_001, 65_535, 65_599, 99_999} { // 2,048 and 65,536 begin long stretches
		past, err := view.Refold(account, facts[n].recorded, statement.Known{})
		note("the instant of", n, past.Read, err)
		want, _ := fromTheStart(account, facts, facts[n].recorded, statement.Known{})
		if problem := equal(past.Account, want); problem != "" {
			t.Errorf("at the instant of fact %d: %s", n, problem)
		}
		past, err = view.Refold(account, time.Time{}, statement.Known{Position: facts[n].at})
		note("what was known at", n, past.Read, err)
		trail, err := view.Trail(account, facts[n].recorded, statement.Known{}, 0, 100)
		note("the trail to", n, trail.Read, err)
	}
	if t.Logf("at most %d records were read", most); most < 1000 {
		t.Error("snapshots are closer than they are said to be")
	}
}

// An account that holds much has few snapshots: all but the last are together no larger than its facts.
func TestSnapshotsAreNoLargerThanTheFacts(t *testing.T) {
	const account = "many"
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	entry := func(i int, e credit.Event) []credit.Entry {
		at := start.Add(time.Duration(i) * time.Second)
		return []credit.Entry{{Account: account, Key: fmt.Sprint("k", i), Hash: credit.Hash{1}, Recorded: at, Facts: []credit.Fact{{At: at, Event: e}}}}
	}
	commits := [][]credit.Entry{entry(0, &credit.AccountOpened{Timezone: "UTC", Anchor: start, Cycle: credit.Cycle{Number: 1, From: start, To: start.AddDate(1, 0, 0)}})}
	for i := 1; i < 6_000; i++ {
		commits = append(commits, entry(i, &credit.CreditGranted{Grant: credit.Grant{Lot: fmt.Sprint("l", i), Pool: "extra", Amount: 10, Starts: start, Kind: credit.KindSold}, Reason: "bought"}))
	}
	for _, entries := range commits {
		if _, err := credit.EncodeCommit("/creditstream/trial/0", entries); err != nil {
			t.Fatal(err)
		}
	}
	view := open(t)
	if err := trial.Write(statement.Every(64), view.View, commits, 100); err != nil {
		t.Fatal(err)
	}
	facts, _, _ := sizeOf(t, view, 'f')
	if snapshots, count, last := sizeOf(t, view, 'k'); snapshots-last > facts || count < 5 {
		t.Errorf("%d snapshots have %d bytes, the facts %d", count, snapshots, facts)
	}
}

// sizeOf sums the values of one kind of record.
func sizeOf(t *testing.T, view *statement.View, tag byte) (bytes, records, last int) {
	t.Helper()
	it, err := view.Iter([]byte{tag}, []byte{tag + 1})
	if err != nil {
		t.Fatal(err)
	}
	for it.First(); it.Valid(); it.Next() {
		last = len(it.Value())
		bytes += last
		records++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes, records, last
}
