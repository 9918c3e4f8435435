package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/services/accounts"
	"creditstream/services/node/damage"
	"creditstream/services/rules"
)

// stopped is a directory of a stopped server, whose journal has several blocks when it is long.
func stopped(t *testing.T, long bool) (data string, commits uint64) {
	t.Helper()
	data = t.TempDir()
	n, tenant := openShop(t, Config{Data: data, TestClock: damageClock})
	batches, size, text := 6, 1, "few"
	if long {
		batches, size, text = 20, 600, strings.Repeat("x", 1000)
	}
	for b := range batches {
		var requests []accounts.Request
		if b == 0 {
			open := &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: 1_000_000_00}}}
			requests = append(requests, accounts.Request{Account: "a", Command: open})
		}
		for r := range size {
			use := &rules.Use{Meter: "call", Quantity: int64(b) + 1, Description: text}
			requests = append(requests, accounts.Request{Account: "a", Key: fmt.Sprint(b, "-", r), Hash: credit.Hash{1}, Command: use})
		}
		for _, answer := range tenant.DoAll(t.Context(), requests) {
			if answer.Err != nil {
				t.Fatal(answer.Err)
			}
		}
	}
	commits = n.Journal("shop", 0).Head().Sequence
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return data, commits
}

// What is said of the files of a stopped server is true of how they were found, whatever the NATS server that is needed to read
// them makes of them.
func TestFilesOfAStoppedServerAreNamedAsTheyWereFound(t *testing.T) {
	t.Parallel()
	short, few := stopped(t, false)
	long, many := stopped(t, true)
	for _, test := range []struct {
		what    string
		from    string
		commits uint64
		block   string
		change  string // a text in it, where a digit is changed; "": the file is removed
		alone   bool   // there is no damage but of one commit
		indexed bool   // the index of the server is there
		cut     bool
	}{
		{what: "one block", from: short, commits: few, block: "1.blk", change: `"quantity":3`, alone: true, indexed: true},
		{what: "one block, index lost", from: short, commits: few, block: "1.blk", change: `"quantity":3`, alone: true, cut: true},
		{what: "the first of several", from: long, commits: many, block: "1.blk", change: `"quantity":3`, alone: true, indexed: true},
		{what: "the first of several, index lost", from: long, commits: many, block: "1.blk", change: `"quantity":3`, alone: true, cut: true},
		{what: "the last of several, index lost", from: long, commits: many, block: "3.blk", change: `"quantity":18`, alone: true, cut: true},
		{what: "the first gone", from: long, commits: many, block: "1.blk", indexed: true},
		{what: "the middle gone", from: long, commits: many, block: "2.blk", indexed: true},
		{what: "the middle gone, index lost", from: long, commits: many, block: "2.blk"},
	} {
		t.Run(test.what, func(t *testing.T) {
			data := t.TempDir()
			copyTree(t, test.from, data)
			blocks := filepath.Join(damage.StreamDir(data, "JOURNAL_shop_0"), "msgs")
			path := filepath.Join(blocks, test.block)
			if test.change == "" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				changeInPlace(t, path, test.change, test.change[:len(test.change)-1]+"9")
			}
			if !test.indexed {
				if err := os.Remove(filepath.Join(blocks, "index.db")); err != nil {
					t.Fatal(err)
				}
			}
			found, err := VerifyData(t.Context(), data, nil, Verifying{})
			if err != nil || found.OK || len(found.Journals) != 1 {
				t.Fatalf("%+v, %v", found, err)
			}
			r := found.Journals[0]
			if len(r.Files) != 1 || r.Files[0].File != path || !strings.Contains(r.Files[0].Advice, "credits restore FROM") {
				t.Fatalf("the files are %+v, and the damaged one is %s", r.Files, path)
			}
			f := r.Files[0]
			if f.First != r.Position+1 || test.alone != (f.Last == f.First) || r.Damaged != f.Last-f.First+1 || r.Lost != test.commits-r.Position {
				t.Errorf("of %d commits: position %d, lost %d, damaged %d, %+v", test.commits, r.Position, r.Lost, r.Damaged, f)
			}
			said := func(part string) bool {
				return slices.ContainsFunc(r.Faults, func(f projections.Fault) bool { return strings.Contains(f.Problem, part) })
			}
			if !said(path) || said(`subject ""`) || test.cut != said(fmt.Sprintf("from commit %d to commit ", f.Last+1)) || test.cut != said("cut them off") {
				t.Errorf("the faults are %+v", r.Faults)
			}
			noneMadeAnew(t, r)
		})
	}
}

// The same when the server leaves nothing of a journal.
func TestFilesOfAJournalOfWhichNothingIsLeftAreNamed(t *testing.T) {
	t.Parallel()
	data, commits := stopped(t, false)
	blocks := filepath.Join(damage.StreamDir(data, "JOURNAL_shop_0"), "msgs")
	path := filepath.Join(blocks, "1.blk")
	if err := damage.Rewrite(path, func(text []byte) []byte {
		text[100] ^= 1 // in the first commit
		return text
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(blocks, "index.db")); err != nil {
		t.Fatal(err)
	}
	found, err := VerifyData(t.Context(), data, nil, Verifying{})
	if err != nil || found.OK || len(found.Journals) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	r := found.Journals[0]
	if r.Lost != commits || r.Damaged != 1 || len(r.Files) != 1 || r.Files[0].File != path || r.Files[0].First != 1 || r.Files[0].Last != 1 {
		t.Errorf("%+v", r)
	}
	if last := r.Faults[len(r.Faults)-1]; last.Sequence != 2 || !strings.Contains(last.Problem, fmt.Sprintf("from commit 2 to commit %d were sound", commits)) {
		t.Errorf("the faults are %+v", r.Faults)
	}
}

// A journal that the server does not take at all has its damaged files named as well.
func TestFilesOfAJournalThatIsNotThereAreNamed(t *testing.T) {
	t.Parallel()
	data, commits := stopped(t, false)
	dir := damage.StreamDir(data, "JOURNAL_shop_0")
	path := filepath.Join(dir, "msgs", "1.blk")
	changeInPlace(t, path, `"quantity":3`, `"quantity":9`)
	if err := os.WriteFile(filepath.Join(dir, "meta.sum"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := VerifyData(t.Context(), data, nil, Verifying{})
	if err != nil || found.OK || len(found.Journals) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	r := found.Journals[0]
	if r.Barred == "" || r.Damaged != 1 || len(r.Files) != 1 || r.Files[0].File != path || r.Lost != commits-r.Files[0].First+1 || len(r.Faults) != 2 {
		t.Errorf("of %d commits: %+v", commits, r)
	}
}

// A journal that the server does not take is missed though nothing but its files knows it.
func TestAJournalThatOnlyItsFilesKnowIsMissed(t *testing.T) {
	t.Parallel()
	data, _ := stopped(t, false)
	for _, known := range []string{"anchors", "views"} {
		if err := os.RemoveAll(filepath.Join(data, known)); err != nil {
			t.Fatal(err)
		}
	}
	dir := damage.StreamDir(data, "JOURNAL_shop_0")
	if err := os.WriteFile(filepath.Join(dir, "meta.sum"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What a server that was killed while it made a stream leaves is no journal.
	if err := os.MkdirAll(filepath.Join(filepath.Dir(dir), "JOURNAL_begun_0", "msgs"), 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := VerifyData(t.Context(), data, nil, Verifying{})
	if err != nil || found.OK || len(found.Journals) != 1 || found.Journals[0].Tenant != "shop" || found.Journals[0].Barred == "" {
		t.Errorf("%+v, %v", found, err)
	}
}

// The last commit of a journal cannot be told from one that was being written when it is torn: nothing is said of its
// file, and it is not called lost when the anchor does not know it.
func TestATornEndIsLeftToTheAnchor(t *testing.T) {
	t.Parallel()
	data, commits := stopped(t, false)
	blocks := filepath.Join(damage.StreamDir(data, "JOURNAL_shop_0"), "msgs")
	if err := damage.Rewrite(filepath.Join(blocks, "1.blk"), func(text []byte) []byte { return text[:len(text)-3] }); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(blocks, "index.db")); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(damage.StoreDir(data, "usage"), "MANIFEST*"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(manifests, err)
	}
	for _, path := range manifests { // a view that cannot even be opened
		if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := VerifyData(t.Context(), data, nil, Verifying{})
	if err != nil || found.OK {
		t.Fatalf("%+v, %v", found, err)
	}
	r := found.Journals[0]
	if len(r.Views) != 3 || r.Views[2].Position > 0 || r.Views[2].Records == projections.RecordsEqual {
		t.Errorf("the views are %+v", r.Views)
	}
	if r.Lost != 0 || r.Damaged != 0 || len(r.Files) != 0 || r.Position != commits-1 || len(r.Faults) != 1 || r.Faults[0].Sequence != commits || r.Barred == "" {
		t.Errorf("%+v", r)
	}
	noneMadeAnew(t, r)
	if name, head, err := journal.ReadAnchor(anchorPath(data, journal.Name{Tenant: "shop"})); err != nil || head.Sequence != commits {
		t.Errorf("the anchor of %s is at %d: %v", name, head.Sequence, err)
	}
}

// noneMadeAnew looks at the views of a journal that lacks commits: some are ahead of it, and nobody is told to make them anew.
func noneMadeAnew(t *testing.T, r projections.Report) {
	t.Helper()
	ahead := 0
	for _, view := range r.Views {
		if view.Position > r.Position {
			ahead++
		}
		if view.Advice != "" || (view.Position > r.Position) != strings.HasSuffix(view.Records, fmt.Sprintf("the journal ends at %d", r.Position)) {
			t.Errorf("a view, and the journal ends at %d: %+v", r.Position, view)
		}
	}
	if ahead == 0 {
		t.Errorf("no view is ahead: %+v", r.Views)
	}
}
