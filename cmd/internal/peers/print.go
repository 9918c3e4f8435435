package peers

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Print shows a report as two tables: what was measured, and how it compares.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d accounts of %d lots, %d rounds of %.0f s each; Creditstream folds the views %v meanwhile\n\n", r.Accounts, r.Lots, r.Rounds, r.Seconds, append([]string{"accounts"}, r.Views...))
	measured := newTable("system", "how", ">events/s", ">least", ">greatest", ">p50", ">p99", ">µs CPU/event", ">fsync")
	for _, s := range r.Shapes {
		measured.AppendRow(table.Row{s.Name, s.How, whole(s.PerSecond.Median), whole(s.PerSecond.Least), whole(s.PerSecond.Greatest), micros(s.P50.Median), micros(s.P99.Median), fmt.Sprintf("%.1f", s.CPU), micros(s.Fsync)})
	}
	fmt.Fprintln(w, measured.Render())
	for _, missing := range r.Missing {
		fmt.Fprintln(w, "left out:", missing)
	}
	fmt.Fprintln(w, "\nthe books, at the end of the last round (all rounds were checked):")
	for _, s := range r.Shapes {
		if s.Books != "" {
			fmt.Fprintf(w, "  %s: %s\n", s.Name, s.Books)
		}
	}
	fmt.Fprintln(w)
	targets := newTable("ratio of medians", ">wanted", ">seen", "")
	for _, t := range r.Targets {
		seen, met := fmt.Sprintf("%.2f", t.Seen), "NOT met"
		if t.Met {
			met = "met"
		}
		if t.Missing != "" {
			seen, met = "", "not measured: "+t.Missing
		}
		targets.AppendRow(table.Row{t.What, fmt.Sprintf("≥ %.4g", t.AtLeast), seen, met})
	}
	fmt.Fprintln(w, targets.Render())
	fmt.Fprintf(w, "Formance v3: %d a second, measured before on 2 cores with fsync, not in this run.\n", formance)
}

// newTable is a table whose columns with ">" are aligned to the right.
func newTable(heads ...string) table.Writer {
	t := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options.DrawBorder, style.Options.SeparateColumns = false, false
	t.SetStyle(style)
	row := make(table.Row, len(heads))
	columns := make([]table.ColumnConfig, len(heads))
	for i, head := range heads {
		columns[i].Number = i + 1
		if head != "" && head[0] == '>' {
			head = head[1:]
			columns[i].Align, columns[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		row[i] = head
	}
	t.AppendHeader(row)
	t.SetColumnConfigs(columns)
	return t
}

func whole(n float64) string { return fmt.Sprintf("%.0f", n) }

func micros(us float64) string {
	if us == 0 {
		return ""
	}
	return time.Duration(us * 1000).Round(time.Microsecond).String()
}
