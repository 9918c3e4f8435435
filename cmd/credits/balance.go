package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// balanceCommand shows what an account has.
func (a *app) balanceCommand() *cobra.Command {
	var at, knownAt, position string
	var lots bool
	command := &cobra.Command{
		Use:   "balance ACCOUNT",
		Short: "Show what an account has: its pools, and optionally its lots",
		Long: `Show what an account has, pool by pool. In each line
total = used + held + expired + revoked + frozen + remaining, within the account's present cycle.`,
		Example: "  credits balance acct-1 --tenant tecpet\n  credits balance acct-1 --tenant tecpet --at 2026-03-01T00:00:00Z --lots",
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			query := url.Values{}
			addIf(query, "at", at)
			addIf(query, "known_at", knownAt)
			addIf(query, "min_position", position)
			var b balance
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodGet,
				path:   tenantPath(a.tenant, "accounts", args[0], "balance"),
				query:  query,
			}, &b)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) { printBalance(w, b, lots) })
		},
	}
	flags := command.Flags()
	flags.StringVar(&at, "at", "", "as of this instant, RFC 3339 (default now)")
	flags.StringVar(&knownAt, "known-at", "", "as the journal knew it at this instant, before later corrections")
	flags.StringVar(&position, "min-position", "", "wait until the view has seen this position")
	flags.BoolVar(&lots, "lots", false, "also show each lot")
	return command
}

func printBalance(w io.Writer, b balance, lots bool) {
	fmt.Fprintf(w, "%s at %s, cycle %s to %s\n", b.Account, moment(b.At), moment(b.Cycle.From), moment(b.Cycle.To))
	g := newGrid("Pool", "Unit", ">Total", ">Used", ">Held", ">Expired", ">Revoked", ">Frozen", ">Remaining", "Expires")
	for _, p := range b.Pools {
		g.row(append(append([]any{p.Pool, p.Unit}, p.cells()...), moment(p.Expires))...)
	}
	g.footer(append(append([]any{"credits", ""}, b.cells()...), "")...)
	g.print(w)
	if b.Debt != "" && b.Debt != "0" {
		fmt.Fprintf(w, "debt: %s credits\n", grouped(b.Debt))
	}
	if lots {
		printLots(w, b.Pools)
	}
}

// cells are the terms in the order in which they are always shown.
func (t terms) cells() []any {
	cells := make([]any, 0, 7)
	for _, amount := range []string{t.Total, t.Used, t.Held, t.Expired, t.Revoked, t.Frozen, t.Remaining} {
		cells = append(cells, grouped(amount))
	}
	return cells
}

func printLots(w io.Writer, pools []poolBalance) {
	g := newGrid("Lot", "Pool", ">Remaining", "Usable from", "until")
	for _, p := range pools {
		for _, l := range p.Lots {
			g.row(l.Lot, p.Pool, grouped(l.Remaining), moment(l.Starts), moment(l.Expires))
		}
	}
	fmt.Fprintln(w)
	g.print(w)
}

func addIf(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
