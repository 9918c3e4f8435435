package projections

import (
	"strings"
	"testing"

	"creditstream/events/journal"
)

// What is said of a damaged file, and what to do, is true of what it lost: a commit or several, of a server that runs or
// not, or nothing at all.
func TestWhatIsSaidOfADamagedFile(t *testing.T) {
	for _, test := range []struct {
		what          string
		served        bool
		lost          int64
		damage        []journal.FileDamage
		damaged       uint64
		says, advices []string
	}{
		{"one commit", true, 0, []journal.FileDamage{{File: "f", First: 6, Last: 6, Problem: "p"}}, 1, []string{"commit 6 cannot be read from f: p; the server still answers from its memory"}, []string{"credits backup TO"}},
		{"some in a row", true, 0, []journal.FileDamage{{File: "f", First: 6, Last: 7}, {File: "f", First: 8, Last: 9}}, 4, []string{"commits 6 to 9 cannot"}, []string{"credits backup TO"}},
		{"the server has it no more", true, 1, []journal.FileDamage{{File: "f", First: 6, Last: 6, Problem: "p"}}, 1, []string{"commit 6 cannot be read from f: p$"}, []string{"credits restore FROM"}},
		{"no server runs", false, 0, []journal.FileDamage{{File: "f", First: 6, Last: 6, Problem: "p"}}, 1, []string{"commit 6 cannot be read from f: p$"}, []string{"credits restore FROM"}},
		{"nothing is lost", true, 0, []journal.FileDamage{{File: "f", First: 4, Last: 3, Problem: "p"}}, 0, []string{"in front of commit 4, f has what no server wrote: p$"}, []string{"no commit is lost"}},
		{"commits are lost elsewhere", false, 9, []journal.FileDamage{{File: "f", First: 4, Last: 3, Problem: "p"}}, 0, []string{"in front of commit 4, f has what no server wrote: p$"}, []string{"credits restore FROM"}},
		{
			"both", true, 0, []journal.FileDamage{{File: "f", First: 2, Last: 3}, {File: "f", First: 4, Last: 3, Problem: "p"}, {File: "f", First: 4, Last: 4}}, 3,
			[]string{"commits 2 to 3 cannot", "in front of commit 4", "commit 4 cannot"}, []string{"credits backup TO", "no commit is lost", "credits backup TO"},
		},
	} {
		var files damagedFiles
		for _, d := range test.damage {
			files.add(d)
		}
		r, said := Report{Lost: uint64(test.lost)}, []string(nil)
		files.report(&r, test.served, func(at Position, problem string) { said = append(said, problem+"$") })
		if r.Damaged != test.damaged || len(said) != len(test.says) || len(r.Files) != len(said) {
			t.Errorf("%s: %d commits, %q", test.what, r.Damaged, said)
			continue
		}
		for i, want := range test.says {
			if !strings.Contains(said[i], want) || !strings.Contains(r.Files[i].Advice, test.advices[i]) {
				t.Errorf("%s: %q, and to do: %q", test.what, said[i], r.Files[i].Advice)
			}
		}
	}
}
