package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// topReading is what happened in one interval, busiest first.
type topReading struct {
	At       time.Time    `json:"at"`
	Seconds  float64      `json:"seconds"` // that the counts are of
	Events   int64        `json:"events"`
	Tenants  []topLine    `json:"tenants"`
	Types    []topLine    `json:"types"`
	Accounts []topLine    `json:"accounts"`
	Views    []viewStatus `json:"views"`
}

// topLine is one tenant, type of event or account, and how many events it had.
type topLine struct {
	Tenant  string `json:"tenant,omitempty"`
	Type    string `json:"type,omitempty"`
	Account string `json:"account,omitempty"`
	Events  int64  `json:"events"`
}

// topAccounts bounds how many accounts are counted in one interval. One that comes after so many others is
// counted with its tenant and type only.
const topAccounts = 100_000

// topCommand shows what a server is doing.
func (a *app) topCommand() *cobra.Command {
	var interval time.Duration
	var rows, rounds int
	command := &cobra.Command{
		Use:   "top",
		Short: "Watch a server: events a second, the busiest tenants and accounts, how far views are behind",
		Long: `Watch a server live: events a second by tenant and type, the busiest accounts, and how many commits each view is
behind its journal. It follows the journals, as "credits replay --follow" does. Ctrl-C ends it.

With --output json it prints one object for each interval.`,
		Example: `  credits top
  credits top --tenant tecpet --interval 5s
  credits top --rounds 1 --output json`,
		GroupID: groupAudit,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond || interval > time.Hour {
				return wrongUse("--interval %s: choose between 100ms and 1h", interval)
			}
			if rows < 1 || rounds < 0 {
				return wrongUse("--rows must be at least 1, and --rounds not negative")
			}
			return a.top(cmd.Context(), interval, rows, rounds)
		},
	}
	flags := command.Flags()
	flags.DurationVar(&interval, "interval", 2*time.Second, "`time` between two readings")
	flags.IntVar(&rows, "rows", 10, "how many accounts to show")
	flags.IntVar(&rounds, "rounds", 0, "stop after so many readings; 0: when interrupted")
	return command
}

func (a *app) top(ctx context.Context, interval time.Duration, rows, rounds int) error {
	c := a.client()
	tenants, err := a.topTenants(ctx, c)
	if err != nil {
		return err
	}
	watched := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel(nil)
	t := newTally()
	for _, tenant := range tenants {
		following.Go(func() {
			if err := t.follow(ctx, c, tenant); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("follow %s: %w", tenant, err))
			}
		})
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if watched.Err() != nil {
				return nil // who watched has seen enough
			}
			return context.Cause(ctx)
		}
		reading := t.take(rows)
		if err := a.topViews(ctx, c, &reading); err != nil {
			if ctx.Err() != nil {
				continue // who watched has seen enough
			}
			return err
		}
		if err := a.showTop(&reading); err != nil {
			return err
		}
		if round == rounds {
			return nil
		}
	}
}

// topTenants are those to watch: the one named, or all.
func (a *app) topTenants(ctx context.Context, c *client) ([]string, error) {
	if a.tenant != "" {
		return []string{a.tenant}, nil
	}
	var answer struct{ Tenants []struct{ Tenant string } }
	if _, err := c.send(ctx, request{method: http.MethodGet, path: apiPath("admin", "tenants")}, &answer); err != nil {
		return nil, err
	}
	names := make([]string, len(answer.Tenants))
	for i, t := range answer.Tenants {
		names[i] = t.Tenant
	}
	return names, nil
}

// topViews adds how the views stand, where the key may see that.
func (a *app) topViews(ctx context.Context, c *client, r *topReading) error {
	var answer struct{ Views []viewStatus }
	_, err := c.send(ctx, request{method: http.MethodGet, path: apiPath("admin", "views")}, &answer)
	var problem *Problem
	if errors.As(err, &problem) && problem.Status == http.StatusForbidden {
		return nil
	}
	for _, v := range answer.Views {
		if a.tenant == "" || v.Tenant == a.tenant {
			r.Views = append(r.Views, v)
		}
	}
	return err
}

func (a *app) showTop(r *topReading) error {
	if a.output == "json" {
		return a.printValue(r)
	}
	page := page{width: widthOf(a.stdout)}
	if isTerminal(a.stdout) {
		page.WriteString("\x1b[H\x1b[2J") // home, and clear what the last reading left
	}
	r.print(&page)
	_, err := a.stdout.Write(page.Bytes())
	return err
}

func (r *topReading) print(w io.Writer) {
	rate := func(events int64) string { return fmt.Sprintf("%.1f", float64(events)/r.Seconds) }
	fmt.Fprintf(w, "%s   %s events a second over %.1f s\n\n", moment(r.At.Format(time.RFC3339)), rate(r.Events), r.Seconds)
	busy := newGrid("Tenant", ">Events/s")
	for _, l := range r.Tenants {
		busy.row(l.Tenant, rate(l.Events))
	}
	busy.print(w)
	if len(r.Types) > 0 {
		types := newGrid("Event", ">Events/s")
		for _, l := range r.Types {
			types.row(l.Type, rate(l.Events))
		}
		fmt.Fprintln(w)
		types.print(w)
		accounts := newGrid("Tenant", "Account", ">Events/s")
		for _, l := range r.Accounts {
			accounts.row(l.Tenant, l.Account, rate(l.Events))
		}
		fmt.Fprintln(w)
		accounts.print(w)
	}
	if len(r.Views) > 0 {
		fmt.Fprintln(w)
		printViews(w, r.Views)
	}
}

// tally counts events between two readings.
type tally struct {
	mu     sync.Mutex
	since  time.Time
	events map[topLine]int64
	known  int // accounts among them
}

func newTally() *tally { return &tally{since: time.Now(), events: make(map[topLine]int64)} }

// follow counts what is recorded for a tenant from now on.
func (t *tally) follow(ctx context.Context, c *client, tenant string) error {
	query := url.Values{"follow": {"true"}, "from_position": {"end"}}
	t.count(topLine{Tenant: tenant}, 0)
	for line, err := range c.lines(ctx, request{method: http.MethodGet, path: tenantPath(tenant, "events"), query: query}) {
		if err != nil {
			return err
		}
		var event struct{ Type, Subject string }
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		kind := strings.TrimSuffix(strings.TrimPrefix(event.Type, "creditstream."), ".v1")
		t.count(topLine{Tenant: tenant}, 1)
		t.count(topLine{Type: kind}, 1)
		if event.Subject != "" {
			t.count(topLine{Tenant: tenant, Account: event.Subject}, 1)
		}
	}
	if ctx.Err() == nil {
		return errors.New("the server ended the stream")
	}
	return nil
}

func (t *tally) count(of topLine, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.events[of]; !ok && of.Account != "" {
		if t.known == topAccounts {
			return
		}
		t.known++
	}
	t.events[of] += n
}

// take returns what was counted and starts anew. Tenants stay in it with nothing.
func (t *tally) take(rows int) topReading {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	r := topReading{At: now.UTC(), Seconds: now.Sub(t.since).Seconds(), Tenants: []topLine{}, Types: []topLine{}, Accounts: []topLine{}}
	next := make(map[topLine]int64)
	for line, events := range t.events {
		key := line
		line.Events = events
		switch {
		case line.Account != "":
			r.Accounts = append(r.Accounts, line)
		case line.Type != "":
			r.Types = append(r.Types, line)
		default:
			r.Tenants = append(r.Tenants, line)
			r.Events += events
			next[key] = 0
		}
	}
	for _, lines := range [][]topLine{r.Tenants, r.Types, r.Accounts} {
		slices.SortFunc(lines, func(a, b topLine) int {
			return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Account, b.Account))
		})
	}
	r.Accounts = r.Accounts[:min(len(r.Accounts), rows)]
	t.since, t.events, t.known = now, next, 0
	return r
}
