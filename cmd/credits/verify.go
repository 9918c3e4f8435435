package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// verification is what a fold of the journals from their start found.
type verification struct {
	OK       bool           `json:"ok"`
	Journals []verifiedBook `json:"journals"`

	raw json.RawMessage
}

// verifiedBook is what was found in one journal and its views.
type verifiedBook struct {
	Tenant      string  `json:"tenant"`
	Shard       int     `json:"shard"`
	Position    int64   `json:"position"`
	Events      int64   `json:"events"`
	Accounts    int64   `json:"accounts"`
	Lost        int64   `json:"lost"`
	Doubled     int64   `json:"doubled"`
	Overdrawn   int64   `json:"overdrawn"`
	Unbalanced  int64   `json:"unbalanced"`
	Nonsensical int64   `json:"nonsensical"`
	Disordered  int64   `json:"disordered"`
	Different   int64   `json:"different"`
	OK          bool    `json:"ok"`
	Faults      []fault `json:"faults"`
	Views       []struct {
		View    string `json:"view"`
		Records string `json:"records"`
	} `json:"views"`
	Differences []difference `json:"differences"`
}

// fault is one thing that is wrong with a journal.
type fault struct {
	Sequence int64  `json:"sequence"`
	Entry    int    `json:"entry"`
	Account  string `json:"account"`
	Problem  string `json:"problem"`
}

// verify has the server fold a tenant's journals anew, or all of them, and compare.
func verify(ctx context.Context, c *client, tenant string, tell func(step)) (verification, error) {
	query := url.Values{}
	addIf(query, "tenant", tenant)
	raw, err := c.long(ctx, request{method: http.MethodPost, path: apiPath("admin", "verify"), query: query}, tell)
	if err != nil {
		return verification{}, fmt.Errorf("verify: %w", err)
	}
	found := verification{raw: raw}
	if err := json.Unmarshal(raw, &found); err != nil {
		return verification{}, fmt.Errorf("decode the answer to verify: %w", err)
	}
	return found, nil
}

// views counts the views that were compared.
func (v verification) views() int {
	n := 0
	for _, book := range v.Journals {
		n += len(book.Views)
	}
	return n
}

// verifyCommand checks the books.
func (a *app) verifyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "verify",
		Short: "Fold the journals from the start by other code, and compare every hash, balance and view",
		Long: `Fold the journals from the start by code of its own, check every hash on the way, and compare every
record of every view. Exit code 1 if anything is lost, doubled, overdrawn or different. Without
--tenant all tenants are verified.`,
		Example: "  credits verify\n  credits verify --tenant tecpet --data ./data --output json",
		GroupID: groupAudit,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withNode(cmd.Context(), func(c *client) error {
				found, err := verify(cmd.Context(), c, a.tenant, a.follow())
				if err != nil {
					return err
				}
				if err := a.show(found.raw, func(w io.Writer) { printVerification(w, found) }); err != nil {
					return err
				}
				if !found.OK {
					return errReported
				}
				return nil
			})
		},
	}
	a.dataFlag(command)
	return command
}

func printVerification(w io.Writer, found verification) {
	g := newGrid("Journal", ">Commits", ">Events", ">Accounts", ">Lost", ">Doubled", ">Overdrawn", ">Views", ">Different", "State")
	for _, b := range found.Journals {
		state := "ok"
		if !b.OK {
			state = "DAMAGED"
		}
		g.row(fmt.Sprintf("%s/%d", b.Tenant, b.Shard), count(b.Position), count(b.Events), count(b.Accounts),
			count(b.Lost), count(b.Doubled), count(b.Overdrawn), len(b.Views), count(b.Different), state)
	}
	g.print(w)
	for _, b := range found.Journals {
		for _, f := range b.Faults {
			fmt.Fprintf(w, "  %s/%d commit %d, entry %d %s: %s\n", b.Tenant, b.Shard, f.Sequence, f.Entry, f.Account, f.Problem)
		}
		if other := b.Unbalanced + b.Nonsensical + b.Disordered; other > 0 {
			fmt.Fprintf(w, "  %s/%d: unbalanced %d, nonsensical %d, disordered %d\n", b.Tenant, b.Shard, b.Unbalanced, b.Nonsensical, b.Disordered)
		}
		for _, v := range b.Views {
			if v.Records != "equal" {
				fmt.Fprintf(w, "  %s/%d view %s: %s\n", b.Tenant, b.Shard, v.View, v.Records)
			}
		}
		printDifferences(w, b.Differences)
	}
}
