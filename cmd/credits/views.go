package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// viewStatus is how one view of one journal stands.
type viewStatus struct {
	View       string `json:"view"`
	Tenant     string `json:"tenant"`
	Shard      int    `json:"shard"`
	Position   int64  `json:"position"` // the commit that it is at
	Journal    int64  `json:"journal"`  // the last commit of the journal
	Bytes      int64  `json:"bytes"`
	Generation int64  `json:"generation"`
	Verified   int64  `json:"verified"` // the commit up to which it was last found equal
	Problem    string `json:"problem"`
	Unreadable string `json:"unreadable"`
	Advice     string `json:"advice"`
}

// state is what is wrong with it, in a few words.
func (v *viewStatus) state() string {
	switch {
	case v.Problem != "":
		return "not served"
	case v.Unreadable != "":
		return "unreadable in part"
	}
	return "ok"
}

// viewsCommand shows how the views stand.
func (a *app) viewsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "views",
		Short:   "Show every view: how far it is behind its journal, and whether it is sound",
		Example: "  credits views\n  credits views --data ./data",
		GroupID: groupAudit,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withNode(cmd.Context(), func(c *client) error {
				var answer struct {
					Views []viewStatus `json:"views"`
				}
				raw, err := c.send(cmd.Context(), request{method: http.MethodGet, path: apiPath("admin", "views")}, &answer)
				if err != nil {
					return err
				}
				return a.show(raw, func(w io.Writer) { printViews(w, answer.Views) })
			})
		},
	}
	a.dataFlag(command)
	return command
}

func printViews(w io.Writer, views []viewStatus) {
	g := newGrid("View", "Tenant", ">Shard", ">At commit", ">Behind", ">KiB", ">Generation", ">Verified at", "State")
	for _, v := range views {
		g.row(v.View, v.Tenant, v.Shard, count(v.Position), count(v.Journal-v.Position), count(v.Bytes>>10), v.Generation, count(v.Verified), v.state())
	}
	g.print(w)
	for _, v := range views {
		if why := cmp.Or(v.Problem, v.Unreadable); why != "" {
			fmt.Fprintf(w, "  %s of %s/%d: %s\n    to make it anew: %s\n", v.View, v.Tenant, v.Shard, why, v.Advice)
		}
	}
}

// difference is one record that a view and a fold of its journal disagree on.
type difference struct {
	View    string `json:"view"`
	Tenant  string `json:"tenant"`
	Shard   int    `json:"shard"`
	Record  string `json:"record"`
	Live    string `json:"live"`
	Journal string `json:"journal"`
}

func printDifferences(w io.Writer, differences []difference) {
	for _, d := range differences {
		fmt.Fprintf(w, "  %s/%d %s %s\n    view:    %s\n    journal: %s\n", d.Tenant, d.Shard, d.View, d.Record, orNone(d.Live), orNone(d.Journal))
	}
}

// rebuildCommand makes a view anew.
func (a *app) rebuildCommand() *cobra.Command {
	var accept bool
	shard := -1
	command := &cobra.Command{
		Use:   "rebuild VIEW",
		Short: "Fold a view anew from its journals, compare it with the live one, and switch to it",
		Long: `Fold a view anew from its journals beside the live one, which goes on serving; compare the two; and
switch to the new one. If they differ nothing is switched, the records are named, and the exit code
is 1; --accept then switches all the same. "credits views" lists the views.`,
		Example: "  credits rebuild statement\n  credits rebuild accounts --tenant tecpet --data ./data",
		GroupID: groupAudit,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			addIf(query, "tenant", a.tenant)
			if shard >= 0 {
				query.Set("shard", strconv.Itoa(shard))
			}
			if accept {
				query.Set("accept", "true")
			}
			return a.withNode(cmd.Context(), func(c *client) error { return a.rebuild(cmd.Context(), c, args[0], query) })
		},
	}
	flags := command.Flags()
	a.dataFlag(command)
	flags.IntVar(&shard, "shard", -1, "only this shard of the tenant (default all)")
	flags.BoolVar(&accept, "accept", false, "switch although records differ")
	return command
}

func (a *app) rebuild(ctx context.Context, c *client, view string, query url.Values) error {
	raw, err := c.long(ctx, request{method: http.MethodPost, path: apiPath("admin", "views", view, "rebuild"), query: query}, a.follow())
	if err != nil {
		return err
	}
	var answer struct {
		Rebuilt []struct {
			Tenant      string       `json:"tenant"`
			Shard       int          `json:"shard"`
			Position    int64        `json:"position"`
			Different   int64        `json:"different"`
			Differences []difference `json:"differences"`
			Unreadable  string       `json:"unreadable"`
			Switched    bool         `json:"switched"`
		} `json:"rebuilt"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("decode the answer to the rebuild: %w", err)
	}
	allSwitched := true
	for _, r := range answer.Rebuilt {
		allSwitched = allSwitched && r.Switched
	}
	err = a.show(raw, func(w io.Writer) {
		for _, r := range answer.Rebuilt {
			outcome := "switched"
			if !r.Switched {
				outcome = "not switched: decide with --accept"
			}
			fmt.Fprintf(w, "%s of %s/%d at commit %s: %s records differ, %s\n", view, r.Tenant, r.Shard, count(r.Position), count(r.Different), outcome)
			if r.Unreadable != "" {
				fmt.Fprintf(w, "  the former records could not all be read and compared: %s\n", r.Unreadable)
			}
			printDifferences(w, r.Differences)
		}
	})
	if err == nil && !allSwitched {
		err = errReported
	}
	return err
}

// follow returns what shows the progress of long work, journal by journal.
func (a *app) follow() func(step) {
	var current *bar
	var what string
	return func(s step) {
		if of := s.of(); of != what {
			what, current = of, a.newBar(max(s.Total, 1), of)
		}
		current.set(s.Done)
		if s.Done >= s.Total {
			current.done()
		}
	}
}

// step is how far long work is with one journal, in commits or in files.
type step struct {
	Tenant string `json:"tenant"`
	Shard  int    `json:"shard"`
	Done   int    `json:"done"`
	Total  int    `json:"total"`

	files bool
}

// of names what is counted.
func (s step) of() string {
	unit := "commits"
	if s.files {
		unit = "files"
	}
	return fmt.Sprintf("%s of %s/%d", unit, s.Tenant, s.Shard)
}

// long sends a request that is answered by lines of progress and, in the last one, the answer.
func (c *client) long(ctx context.Context, r request, tell func(step)) (json.RawMessage, error) {
	r.accept = "application/x-ndjson"
	var last json.RawMessage
	for line, err := range c.lines(ctx, r) {
		if err != nil {
			return nil, err
		}
		var s step
		if json.Unmarshal(line, &s) == nil && bytes.Contains(line, []byte(`"done":`)) && s.Total > 0 {
			tell(s)
			continue
		}
		last = line
	}
	if last == nil {
		return nil, errors.New("the server broke off without an answer")
	}
	var problem Problem
	if err := json.Unmarshal(last, &problem); err == nil && problem.Code != "" {
		problem.raw = last
		return nil, &problem
	}
	return last, nil
}
