package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// historyCommand lists what happened to an account.
func (a *app) historyCommand() *cobra.Command {
	filters := map[string]*string{}
	var limit int
	command := &cobra.Command{
		Use:     "history ACCOUNT",
		Short:   "List what happened to an account, newest first, with the lots that paid",
		Example: "  credits history acct-1 --tenant tecpet --limit 20\n  credits history acct-1 --tenant tecpet --type purchase",
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range filters {
				addIf(query, name, *value)
			}
			var h history
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodGet,
				path:   tenantPath(a.tenant, "accounts", args[0], "history"),
				query:  query,
			}, &h)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				printHistory(w, h.Entries)
				if h.Next != "" {
					fmt.Fprintf(w, "more: --cursor %s\n", h.Next)
				}
			})
		},
	}
	flags := command.Flags()
	flags.IntVar(&limit, "limit", 20, "lines at most, up to 1000")
	for name, usage := range map[string]string{
		"cursor": "go on where the page before ended",
		"meter":  "only this `meter`",
		"type":   "only this `type`, such as usage, purchase or expiry",
		"pool":   "only what touched this `pool`",
		"from":   "from this `instant` on, RFC 3339",
		"to":     "before this `instant`, RFC 3339",
	} {
		filters[name] = flags.String(name, "", usage)
	}
	return command
}

func printHistory(w io.Writer, lines []historyLine) {
	g := newGrid("Time", "Type", "Meter", ">Quantity", ">Credits", ">Remaining", "Lots", "Description")
	for _, line := range lines {
		quantity := ""
		if line.Quantity != 0 {
			quantity = count(line.Quantity)
		}
		if line.Erased {
			line.Description = "(erased)"
		}
		g.row(moment(line.Time), line.Type, line.Meter, quantity, line.change(), grouped(line.Remaining), paidBy(line.Draws), line.Description)
	}
	g.print(w)
}

// change is by how much a line changed what remains: in credits, or in the units of a quota where it moved no
// credits.
func (l *historyLine) change() string {
	change, unit := l.Credits, ""
	if change == "0" && l.Units != "" && l.Units != "0" {
		change, unit = l.Units, " "+l.Unit
	}
	if change != "0" && !strings.HasPrefix(change, "-") {
		change = "+" + change
	}
	return grouped(change) + unit
}

// reportCommand sums what an account used.
func (a *app) reportCommand() *cobra.Command {
	var from, to, inCycle, by string
	command := &cobra.Command{
		Use:     "report ACCOUNT",
		Short:   "Sum what an account used, by meter or by day",
		Example: "  credits report acct-1 --tenant tecpet --by day",
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			if by != "meter" && by != "day" {
				return wrongUse("--by %s: choose meter or day", by)
			}
			query := url.Values{"by": {by}}
			addIf(query, "from", from)
			addIf(query, "to", to)
			addIf(query, "cycle", inCycle)
			var report usageReport
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodGet,
				path:   tenantPath(a.tenant, "accounts", args[0], "usage"),
				query:  query,
			}, &report)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) { printReport(w, report) })
		},
	}
	flags := command.Flags()
	flags.StringVar(&by, "by", "meter", "meter or day")
	flags.StringVar(&from, "from", "", "from this `instant` on, RFC 3339")
	flags.StringVar(&to, "to", "", "before this `instant`, RFC 3339")
	flags.StringVar(&inCycle, "cycle", "", "only this cycle of the account")
	return command
}

func printReport(w io.Writer, report usageReport) {
	heads := "Meter"
	if len(report.Groups) > 0 && report.Groups[0].Day != "" {
		heads = "Day"
	}
	g := newGrid(heads, ">Quantity", ">On quota", ">Credits")
	for _, group := range report.Groups {
		g.row(group.Day+group.Meter, count(group.Quantity), grouped(group.Units), grouped(group.Credits))
	}
	g.footer("all", "", "", grouped(report.Credits))
	g.print(w)
}
