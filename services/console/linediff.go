package console

import "strings"

// diffLine is one line of a comparison: kept (" "), gone ("-") or new ("+"), with its numbers on both sides.
type diffLine struct {
	Op       string
	Text     string
	Old, New int // from 1; 0 where it is not on that side
}

// hunk is lines that changed, with a few around them.
type hunk struct{ Lines []diffLine }

const (
	around   = 3    // lines kept around a change
	maxEdits = 2000 // beyond it the texts count as different throughout
)

// compareLines compares two texts line by line (Myers, "An O(ND) Difference Algorithm", 1986).
func compareLines(old, new string) []diffLine {
	a, b := splitLines(old), splitLines(new)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var lines []diffLine
	for i := range head {
		lines = append(lines, diffLine{" ", a[i], i + 1, i + 1})
	}
	for _, l := range edits(a[head:len(a)-tail], b[head:len(b)-tail]) {
		if l.Old > 0 {
			l.Old += head
		}
		if l.New > 0 {
			l.New += head
		}
		lines = append(lines, l)
	}
	for i := range tail {
		x, y := len(a)-tail+i, len(b)-tail+i
		lines = append(lines, diffLine{" ", a[x], x + 1, y + 1})
	}
	return lines
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// edits is the shortest way from a to b.
func edits(a, b []string) []diffLine {
	most := min(len(a)+len(b), maxEdits)
	reach := make([]int, 2*most+2) // by diagonal: how far into a
	at := func(v []int, k int) int { return v[k+most] }
	var trace [][]int
	for d := 0; d <= most; d++ {
		for k := -d; k <= d; k += 2 {
			x := 0
			if d > 0 {
				if k == -d || k != d && at(reach, k-1) < at(reach, k+1) {
					x = at(reach, k+1)
				} else {
					x = at(reach, k-1) + 1
				}
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			reach[k+most] = x
			if x >= len(a) && x-k >= len(b) {
				return walkBack(a, b, trace, d, k, most)
			}
		}
		trace = append(trace, append([]int(nil), reach...))
	}
	return replaced(a, b)
}

// walkBack follows the way that was found from its end to its start.
func walkBack(a, b []string, trace [][]int, d, k, most int) []diffLine {
	var lines []diffLine
	x, y := len(a), len(b)
	for ; d > 0; d-- {
		before := trace[d-1]
		previous := k - 1
		if k == -d || k != d && before[k-1+most] < before[k+1+most] {
			previous = k + 1
		}
		px := before[previous+most]
		py := px - previous
		for x > px && y > py && x > 0 && y > 0 && a[x-1] == b[y-1] {
			lines = append(lines, diffLine{" ", a[x-1], x, y})
			x, y = x-1, y-1
		}
		if previous == k+1 {
			lines = append(lines, diffLine{"+", b[y-1], 0, y})
			y--
		} else {
			lines = append(lines, diffLine{"-", a[x-1], x, 0})
			x--
		}
		k = previous
	}
	for x > 0 && y > 0 {
		lines = append(lines, diffLine{" ", a[x-1], x, y})
		x, y = x-1, y-1
	}
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	return lines
}

func replaced(a, b []string) []diffLine {
	var lines []diffLine
	for i := range a {
		lines = append(lines, diffLine{"-", a[i], i + 1, 0})
	}
	for i := range b {
		lines = append(lines, diffLine{"+", b[i], 0, i + 1})
	}
	return lines
}

// hunks leaves out what is far from any change.
func hunks(lines []diffLine) []hunk {
	keep := make([]bool, len(lines))
	for i := range lines {
		if lines[i].Op != " " {
			for j := max(0, i-around); j <= min(len(lines)-1, i+around); j++ {
				keep[j] = true
			}
		}
	}
	var all []hunk
	for i := range lines {
		if !keep[i] {
			continue
		}
		if i == 0 || !keep[i-1] {
			all = append(all, hunk{})
		}
		last := &all[len(all)-1]
		last.Lines = append(last.Lines, lines[i])
	}
	return all
}
