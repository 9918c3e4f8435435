package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a catalog, written for the person who wrote it.
type Problem struct {
	// Line counts from 1; 0 when the problem has no line of its own.
	Line int `json:"line"`
	// Path names the setting, as in "plans.ai.allowances.ai_quota"; "" is the whole catalog.
	Path string `json:"path"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`
}

// String writes the problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// CatalogError tells everything that is wrong with a catalog at once, in the order of its lines.
type CatalogError struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *CatalogError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "invalid catalog:\n  " + strings.Join(lines, "\n  ")
}

// maxProblems bounds what one hostile document can make us write.
const maxProblems = 100

// problems collects what is wrong with one document.
type problems struct {
	list    []Problem
	omitted int
}

func (ps *problems) add(line int, path, format string, args ...any) {
	if len(ps.list) >= maxProblems {
		ps.omitted++
		return
	}
	ps.list = append(ps.list, Problem{Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// err returns nil when nothing is wrong.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.list, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if ps.omitted > 0 {
		ps.list = append(ps.list, Problem{Message: fmt.Sprintf("%d further problems are not listed", ps.omitted)})
	}
	return &CatalogError{Problems: ps.list}
}

// full reports that nothing more will be listed, so that costly advice can be spared.
func (ps *problems) full() bool { return len(ps.list) >= maxProblems }
