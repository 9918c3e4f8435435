package node

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"creditstream/events/journal"
)

// damage is what is done to one tenant's files.
type damage struct {
	what string
	do   func(t *testing.T, s *scene, dir, tenant string)
	// harmless says that nothing which counts is damaged: everything has to be as it was.
	harmless bool
	// either says that it depends on the bit whether anything is damaged.
	either bool
	// nameless: what is damaged is not the journal, so there is no commit to name.
	nameless bool
}

// Files of a tenant, as the cases name them; all but the anchor are in the stream's directory.
const (
	block  = "msgs/1.blk"
	index  = "msgs/index.db"
	anchor = "anchor"
)

func fileOf(dir, tenant, file string) string {
	if file == anchor {
		return anchorPath(dir, journal.Name{Tenant: tenant})
	}
	return filepath.Join(streamDir(dir, tenant), file)
}

// change rewrites a file; nil removes it.
func change(file string, how func([]byte) []byte) func(*testing.T, *scene, string, string) {
	return func(t *testing.T, _ *scene, dir, tenant string) {
		t.Helper()
		rewrite(t, fileOf(dir, tenant, file), how)
	}
}

func rewrite(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if content = how(content); content == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flip changes the bit that lies at so many thousandths of the content.
func flip(thousandth int) func([]byte) []byte {
	return func(content []byte) []byte {
		bit := 8 * len(content) * thousandth / 1000
		content[bit/8] ^= 1 << (bit % 8)
		return content
	}
}

func cutTo(percent int) func([]byte) []byte {
	return func(content []byte) []byte { return content[:len(content)*percent/100] }
}

func gone([]byte) []byte { return nil }

func both(do ...func(*testing.T, *scene, string, string)) func(*testing.T, *scene, string, string) {
	return func(t *testing.T, s *scene, dir, tenant string) {
		t.Helper()
		for _, d := range do {
			d(t, s, dir, tenant)
		}
	}
}

// take puts another directory's file of the same tenant in the place of this one's; or another tenant's.
func take(file string, from func(s *scene, dir, tenant string) string) func(*testing.T, *scene, string, string) {
	return func(t *testing.T, s *scene, dir, tenant string) {
		t.Helper()
		other := from(s, dir, tenant)
		rewrite(t, fileOf(dir, tenant, file), func([]byte) []byte {
			content, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			return content
		})
	}
}

func earlier(file string) func(*scene, string, string) string {
	return func(s *scene, _, tenant string) string { return fileOf(s.earlier, tenant, file) }
}

func neighbours(file string) func(*scene, string, string) string {
	return func(s *scene, dir, _ string) string { return fileOf(s.dir, s.tenants[0], file) }
}

func journalDamage() []damage {
	all := []damage{
		{what: "nothing", do: both(), harmless: true}, // the first one lends its files to the others
		{what: "block removed", do: change(block, gone)},
		{what: "block cut to nothing", do: change(block, cutTo(0))},
		{what: "block cut in half", do: change(block, cutTo(50))},
		{what: "block cut in half, index lost", do: both(change(block, cutTo(50)), change(index, gone))},
		{what: "last commit cut off, index lost", do: both(change(block, cutTo(97)), change(index, gone))},
		{what: "index removed", do: change(index, gone), harmless: true},
		{what: "index cut in half", do: change(index, cutTo(50)), harmless: true},
		{what: "meta.inf removed", do: change("meta.inf", gone)},
		{what: "meta.inf cut in half", do: change("meta.inf", cutTo(50))},
		{what: "meta.sum removed", do: change("meta.sum", gone)},
		{what: "meta.sum cut in half", do: change("meta.sum", cutTo(50))},
		{what: "anchor removed", do: change(anchor, gone), nameless: true},
		{what: "anchor cut in half", do: change(anchor, cutTo(50)), nameless: true},
		{what: "stream removed", do: removeStream},
		{what: "stream and anchor removed", do: both(removeStream, change(anchor, gone))},
		{what: "another tenant's block in its place", do: take(block, neighbours(block))},
		{what: "another tenant's block, index lost", do: both(take(block, neighbours(block)), change(index, gone))},
		{what: "another tenant's journal in its place", do: both(
			take(block, neighbours(block)), take(index, neighbours(index)), take("meta.inf", neighbours("meta.inf")), take("meta.sum", neighbours("meta.sum")))},
		{what: "another tenant's anchor in its place", do: take(anchor, neighbours(anchor)), nameless: true},
		{what: "an older journal", do: both(take(block, earlier(block)), take(index, earlier(index)))},
		{what: "an older journal with its anchor", do: both(take(block, earlier(block)), take(index, earlier(index)), take(anchor, earlier(anchor)))},
		{what: "an older anchor", do: take(anchor, earlier(anchor)), harmless: true},
	}
	for i := range 9 {
		at := 7 + i*119
		all = append(all, damage{what: fmt.Sprintf("bit at %d ‰ of the block", at), do: change(block, flip(at))},
			damage{what: fmt.Sprintf("bit at %d ‰ of the block, index lost", at+3), do: both(change(block, flip(at+3)), change(index, gone))})
	}
	for i := range 3 {
		at := 111 + i*333
		all = append(all, damage{what: fmt.Sprintf("bit at %d ‰ of meta.inf", at), do: change("meta.inf", flip(at))},
			damage{what: fmt.Sprintf("bit at %d ‰ of meta.sum", at), do: change("meta.sum", flip(at))},
			damage{what: fmt.Sprintf("bit at %d ‰ of the index", at), do: change(index, flip(at)), harmless: true},
			damage{what: fmt.Sprintf("bit at %d ‰ of the anchor", at), do: change(anchor, flip(at)), either: true, nameless: true})
	}
	return all
}

func removeStream(t *testing.T, _ *scene, dir, tenant string) {
	t.Helper()
	if err := os.RemoveAll(streamDir(dir, tenant)); err != nil {
		t.Fatal(err)
	}
}

// Each tenant of one directory is damaged in another way. Every damage is noticed at start or by verify, and
// named; nothing wrong is answered; and the tenants that are not damaged are served as if nothing was.
func TestEveryDamageToAJournalIsNoticed(t *testing.T) {
	cases := journalDamage()
	s := newScene(t, len(cases)+1)
	dir := s.copy(t)
	for i, c := range cases {
		c.do(t, s, dir, s.tenants[i])
	}
	found := s.look(t.Context(), s.start(t, dir, nil))
	undetected := 0
	for i, c := range cases {
		f := found[s.tenants[i]]
		noticed := f.barred + f.verify
		switch {
		case f.wrong != "":
			t.Errorf("%s: a wrong answer was given: %s", c.what, f)
			undetected++
		case noticed == "" && (f.lost || !c.harmless && !c.either):
			t.Errorf("%s: undetected", c.what)
			undetected++
		case c.harmless && (noticed != "" || f.failed != ""):
			t.Errorf("%s: it does no harm, and %s", c.what, f)
		case noticed == "":
		case !strings.Contains(noticed, s.tenants[i]+"/0"):
			t.Errorf("%s: tenant and shard are not named: %s", c.what, f)
		case !c.nameless && !strings.Contains(noticed, "commit "):
			t.Errorf("%s: no commit is named: %s", c.what, f)
		}
	}
	if control := found[s.tenants[len(cases)]]; control != (finding{}) {
		t.Errorf("a tenant that is not damaged: %s", control)
	}
	t.Logf("%d kinds of damage, %d undetected", len(cases), undetected)
}

// A view is a fold that can be made again: whatever happens to its files, balances are right or not given, and
// after a restart at the latest everything is there again.
func TestEveryDamageToAViewHeals(t *testing.T) {
	s, other := newScene(t, 2), newScene(t, 1)
	stores := []string{"accounts", "statement", "usage"}
	table := func(how func([]byte) []byte) func(string) { return eachFile(t, "*.sst", how) }
	manifest := func(how func([]byte) []byte) func(string) { return eachFile(t, "MANIFEST-*", how) }
	whole := func(from string) func(string) {
		return func(store string) {
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
			copyTree(t, filepath.Join(from, "views", filepath.Base(store)), store)
		}
	}
	cases := map[string]func(store string){
		"tables removed":          table(gone),
		"tables cut":              table(cutTo(50)),
		"bit in the data":         table(flip(100)),
		"bit in the middle":       table(flip(500)),
		"bit in the footer":       table(flip(995)),
		"manifest removed":        manifest(gone),
		"manifest cut":            manifest(cutTo(60)),
		"bit in the manifest":     manifest(flip(300)),
		"bit at its end":          manifest(flip(900)),
		"manifest marker removed": eachFile(t, "marker.manifest.*", gone),
		"format marker removed":   eachFile(t, "marker.format*", gone),
		"options removed":         eachFile(t, "OPTIONS-*", gone),
		"bit in the options":      eachFile(t, "OPTIONS-*", flip(200)),
		"store removed":           func(store string) { _ = os.RemoveAll(store) },
		"an older view":           whole(s.earlier),
		"another journal's view":  whole(other.dir),
	}
	names := slices.Sorted(maps.Keys(cases))
	for i := 0; i < len(names); i += len(stores) {
		dir := s.copy(t)
		var done []string
		for k, store := range stores { // what holds for one store holds for all: they are the same code
			what := names[(i+k)%len(names)]
			cases[what](filepath.Join(dir, "views", store))
			done = append(done, store+": "+what)
		}
		for _, when := range []string{"at once", "after a restart"} {
			n := s.start(t, dir, nil)
			for tenant, f := range s.look(t.Context(), n) {
				if f.wrong != "" || f.lost || when != "at once" && f != (finding{}) {
					t.Errorf("%s, %s, %s: %s", strings.Join(done, "; "), tenant, when, f)
				}
			}
			if err := n.Close(); err != nil && when != "at once" {
				t.Errorf("%s: %v", strings.Join(done, "; "), err)
			}
		}
	}
}

func eachFile(t *testing.T, pattern string, how func([]byte) []byte) func(string) {
	return func(store string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(store, pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(store, pattern, err)
		}
		for _, file := range files {
			rewrite(t, file, func(content []byte) []byte {
				if len(content) == 0 && how(make([]byte, 1000)) != nil {
					return content
				}
				return how(content)
			})
		}
	}
}

// What no test on one machine can notice is said here: a whole directory that is put back to what it was
// earlier, journal, anchor and views alike, is a sound directory. (A head that was signed and kept elsewhere
// notices it.)
func TestAWholeOlderDirectoryIsNotNoticed(t *testing.T) {
	s := newScene(t, 1)
	n := s.start(t, s.earlier, nil)
	if barred := n.Accounts().Barred(); len(barred) > 0 {
		t.Errorf("barred: %+v", barred)
	}
	report, err := n.Verify(t.Context(), "", nil)
	if err != nil || !report.OK || report.Journals[0].Events >= s.events {
		t.Errorf("%+v, %v", report, err)
	}
}
