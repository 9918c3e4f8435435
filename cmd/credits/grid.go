package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// grid is a table for people. A column whose head begins with ">" is aligned to the right: those are amounts,
// and never broken into lines.
type grid struct {
	heads []string
	right []bool
	rows  []table.Row
	foot  table.Row
}

func newGrid(heads ...string) *grid {
	g := &grid{heads: make([]string, len(heads)), right: make([]bool, len(heads))}
	for i, head := range heads {
		g.heads[i], g.right[i] = strings.CutPrefix(head, ">")
	}
	return g
}

func (g *grid) row(cells ...any)    { g.rows = append(g.rows, cells) }
func (g *grid) footer(cells ...any) { g.foot = cells }

// page is what is printed at once, for a terminal that is so many columns wide; 0 is no terminal: nothing is
// broken into lines then, so that a script finds a row in a line.
type page struct {
	bytes.Buffer
	width int
}

// print writes the table, as wide as it is or as the page is.
func (g *grid) print(w io.Writer) {
	t := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Format.Footer = text.FormatDefault
	style.Options.DrawBorder = false
	style.Options.SeparateColumns = false
	t.SetStyle(style)
	heads := make(table.Row, len(g.heads))
	columns := make([]table.ColumnConfig, len(g.heads))
	for i, head := range g.heads {
		heads[i], columns[i].Number = head, i+1
		if g.right[i] {
			columns[i].Align, columns[i].AlignHeader, columns[i].AlignFooter = text.AlignRight, text.AlignRight, text.AlignRight
		}
	}
	if p, ok := w.(*page); ok && p.width > 0 {
		g.fit(columns, p.width)
	}
	t.AppendHeader(heads)
	t.AppendRows(g.rows)
	if g.foot != nil {
		t.AppendFooter(g.foot)
	}
	t.SetColumnConfigs(columns)
	fmt.Fprintln(w, t.Render())
}

// narrowest is how narrow a column of words gets: beyond that a table is wider than its page.
const narrowest = 10

// fit makes the widest columns of words narrower until the table fits.
func (g *grid) fit(columns []table.ColumnConfig, width int) {
	widths := make([]int, len(columns))
	over := -width
	for i, head := range g.heads {
		widths[i] = text.StringWidth(head)
		for _, row := range append(g.rows, g.foot) {
			if i < len(row) {
				widths[i] = max(widths[i], text.LongestLineLen(fmt.Sprint(row[i])))
			}
		}
		over += widths[i] + 2 // a space on each side
	}
	for ; over > 0; over-- {
		widest := -1
		for i := range widths {
			if !g.right[i] && widths[i] > narrowest && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
		columns[widest].WidthMax, columns[widest].WidthMaxEnforcer = widths[widest], text.WrapSoft
	}
}
