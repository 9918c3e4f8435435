package console_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"creditstream/services/console"
)

// TestCompareTellsTheWay holds that the kept and gone lines are the old text, and the kept and new ones the new.
func TestCompareTellsTheWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 12)
		a, b := lines.Draw(t, "old"), lines.Draw(t, "new")
		var old, new []string
		changed := 0
		for _, l := range console.Compare(strings.Join(append(a, "end"), "\n"), strings.Join(append(b, "end"), "\n")) {
			op, text := l[:1], l[1:]
			if op != "+" {
				old = append(old, text)
			}
			if op != "-" {
				new = append(new, text)
			}
			if op != " " {
				changed++
			}
		}
		if strings.Join(old, "\n") != strings.Join(append(a, "end"), "\n") || strings.Join(new, "\n") != strings.Join(append(b, "end"), "\n") {
			t.Fatalf("%q → %q tells %q → %q", a, b, old, new)
		}
		if common := longestCommon(a, b); changed != len(a)+len(b)-2*common {
			t.Fatalf("%q → %q: %d lines change, %d would do", a, b, changed, len(a)+len(b)-2*common)
		}
	})
}

// longestCommon is the length of the longest common subsequence, the simple way.
func longestCommon(a, b []string) int {
	row := make([]int, len(b)+1)
	for i := range a {
		before := 0
		for j := range b {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = before + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			before = above
		}
	}
	return row[len(b)]
}
