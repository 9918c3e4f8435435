package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"creditstream/services/explain"
)

// explanation is what the interface answers.
type explanation struct {
	Account    string
	At         string
	Catalog    uint32
	Balance    *balanceAnswer
	Derivation *explain.Derivation
	Entry      *explain.Entry
	Check      *explain.Ask
}

// balanceAnswer is the part of a balance that closes an explanation.
type balanceAnswer struct {
	Total, Used, Held, Expired, Revoked, Frozen, Remaining, Debt string
}

// explainCommand says why.
func (a *app) explainCommand() *cobra.Command {
	var at, knownAt, entry, meter, cursor string
	var quantity int64
	var limit int
	command := &cobra.Command{
		Use:   "explain ACCOUNT",
		Short: "Why a balance, an entry or a refusal is what it is",
		Long: "Derives the balance step by step, so that opening and steps add up to it. With --entry, one entry: its price, its\n" +
			"arithmetic, which lots paid and which were passed over. With --meter and --quantity, why such a use is or is not\n" +
			"allowed: a refused request leaves nothing behind, so it is explained by asking again.",
		Example: `  credits explain acct-1 --tenant tecpet
  credits explain acct-1 --tenant tecpet --entry order-17
  credits explain acct-1 --tenant tecpet --meter sticker --quantity 5 --at 2026-03-01T00:00:00Z`,
		GroupID: groupAudit,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			addIf(query, "at", at)
			addIf(query, "known_at", knownAt)
			addIf(query, "key", entry)
			addIf(query, "meter", meter)
			addIf(query, "cursor", cursor)
			if cmd.Flags().Changed("quantity") || meter != "" {
				query.Set("quantity", strconv.FormatInt(quantity, 10))
			}
			var answer explanation
			raw, err := a.client().send(cmd.Context(), request{method: http.MethodGet, path: tenantPath(a.tenant, "accounts", args[0], "explain"), query: query}, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) { printExplanation(w, &answer) })
		},
	}
	flags := command.Flags()
	flags.StringVar(&at, "at", "", "as of this `instant`, RFC 3339 (default now)")
	flags.StringVar(&knownAt, "known-at", "", "as known at this `instant`, or at this position")
	flags.StringVar(&entry, "entry", "", "explain the entry with this idempotency `key`")
	flags.StringVar(&meter, "meter", "", "explain what a use of this `meter` would come to")
	flags.Int64Var(&quantity, "quantity", 1, "how many units of the meter")
	flags.IntVar(&limit, "limit", 100, "facts to show one by one, up to 1000")
	flags.StringVar(&cursor, "cursor", "", "go on where the page before began")
	command.MarkFlagsMutuallyExclusive("entry", "meter")
	return command
}

func printExplanation(w io.Writer, e *explanation) {
	switch {
	case e.Entry != nil:
		printEntry(w, e.Entry)
	case e.Check != nil:
		fmt.Fprintln(w, e.Check.Says)
		printChoice(w, e.Check.Choice)
	case e.Derivation != nil:
		printDerivation(w, e)
	}
}

// printDerivation is a bank statement: an opening line, what happened with its change and the running balance,
// and a closing line.
func printDerivation(w io.Writer, e *explanation) {
	d := e.Derivation
	fmt.Fprintf(w, "Account %s at %s, by catalog %d.\n\n", e.Account, e.At, e.Catalog)
	g := newGrid("Time", "What happened", ">Change", ">Remaining")
	g.row("", d.OpeningSays, "", remainders(d.Opening))
	for i := range d.Steps {
		s := &d.Steps[i]
		says := s.Says
		if s.Note != "" {
			says += " “" + s.Note + "”"
		}
		if s.Position == "" {
			says += " (due, not booked yet)"
		}
		g.row(instantOf(s.Time), wrapped(says, 72), changes(s.Changes), grouped(s.Remaining))
	}
	g.print(w)
	g = newGrid("Pool", "Unit", ">Total", ">Used", ">Held", ">Expired", ">Revoked", ">Remaining")
	for _, p := range d.Closing {
		g.row(p.Pool, p.Unit, grouped(p.Total), grouped(p.Used), grouped(p.Held), grouped(p.Expired), grouped(p.Revoked), grouped(p.Remaining))
	}
	g.print(w)
	if b := e.Balance; b != nil {
		fmt.Fprintf(w, "total %s = used %s + held %s + expired %s + revoked %s + frozen %s + remaining %s\n",
			grouped(b.Total), grouped(b.Used), grouped(b.Held), grouped(b.Expired), grouped(b.Revoked), grouped(b.Frozen), grouped(b.Remaining))
	}
	if d.Next != "" {
		fmt.Fprintf(w, "earlier in this cycle: --cursor %s\n", d.Next)
	}
}

func printEntry(w io.Writer, e *explain.Entry) {
	fmt.Fprintf(w, "Entry %s, %s, asked by %s.\n", cmpText(e.Key, "without a key"), instantOf(e.Time), cmpText(e.Actor, "nobody: it was due"))
	if e.Source != "" {
		fmt.Fprintf(w, "Source: %s\n", e.Source)
	}
	for i := range e.Settled {
		fmt.Fprintf(w, "First, because it was due: %s\n", e.Settled[i].Says)
	}
	for i := range e.Steps {
		fmt.Fprintln(w, e.Steps[i].Says)
		if e.Steps[i].Note != "" {
			fmt.Fprintf(w, "  “%s”\n", e.Steps[i].Note)
		}
	}
	printChoice(w, e.Choice)
	if n := len(e.Steps); n > 0 {
		fmt.Fprintf(w, "%s credits remained.\n", grouped(e.Steps[n-1].Remaining))
	}
}

func printChoice(w io.Writer, c *explain.Choice) {
	if c == nil {
		return
	}
	fmt.Fprintf(w, "Price of %s in catalog %d: %s.  %s\n", c.Meter, c.Catalog, c.Price, c.Arithmetic)
	g := newGrid("Lot", "Pool", ">Had", ">Pays", "Ends", "Why")
	for _, l := range c.Lots {
		ends := "never"
		if l.Expires != nil {
			ends = instantOf(*l.Expires)
		}
		unit := ""
		if l.Unit != "credit" {
			unit = " " + l.Unit
		}
		g.row(l.Lot, l.Pool, grouped(l.Had)+unit, grouped(l.Pays), ends, wrapped(l.Why, 60))
	}
	g.print(w)
	if c.MoreLots > 0 {
		fmt.Fprintf(w, "and %d lots more\n", c.MoreLots)
	}
}

// changes are the changes of what remains by pool, or of another term where that stays.
func changes(terms []explain.Terms) string {
	var parts []string
	for _, t := range terms {
		change, unit := t.Remaining, ""
		if t.Unit != "credit" {
			unit = " " + t.Unit
		}
		if change == "" {
			continue
		}
		if !strings.HasPrefix(change, "-") {
			change = "+" + change
		}
		parts = append(parts, grouped(change)+unit)
	}
	return strings.Join(parts, "\n")
}

func remainders(terms []explain.Terms) string {
	var parts []string
	for _, t := range terms {
		unit := ""
		if t.Unit != "credit" {
			unit = " " + t.Unit
		}
		parts = append(parts, t.Pool+" "+grouped(t.Remaining)+unit)
	}
	return strings.Join(parts, "\n")
}

// wrapped breaks a sentence into lines of at most width bytes, where it can.
func wrapped(text string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}

func instantOf(t time.Time) string { return moment(t.Format(time.RFC3339Nano)) }

func cmpText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
