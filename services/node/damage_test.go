package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections/statement"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// The damage tests take a small but real data directory, copy it, damage the copy, and look at what a server
// makes of it. Nothing may be undetected: either the damage is harmless (every balance is right, and the
// journal is whole), or it is noticed at start or by verify and named; and a wrong balance is never served.

var damageClock = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// scene is a data directory of a stopped server, and what is in it.
type scene struct {
	dir string
	// earlier is what the directory was before the last charge to each account.
	earlier string
	tenants []string
	events  uint64
	lines   int
	// remaining is what every account of every tenant has: they differ, so that a mix-up shows.
	remaining map[string]credit.Amount
}

func newScene(t *testing.T, tenants int) *scene {
	t.Helper()
	s := &scene{dir: t.TempDir(), earlier: t.TempDir(), remaining: make(map[string]credit.Amount)}
	n := s.start(t, s.dir, nil)
	for i := range tenants {
		name := fmt.Sprintf("t%d", i)
		s.tenants = append(s.tenants, name)
		if err := n.AddTenant(t.Context(), name, 1); err != nil {
			t.Fatal(err)
		}
		tenant, err := n.Accounts().Tenant(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tenant.Publish(t.Context(), []byte(catalog), "ana"); err != nil {
			t.Fatal(err)
		}
		s.do(t, tenant, "open", func(a int) rules.Command {
			return &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: credit.Amount(1000_00 + 100*i + a)}}}
		})
		s.do(t, tenant, "first", func(int) rules.Command { return &rules.Use{Meter: "call", Quantity: 1} })
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	copyTree(t, s.dir, s.earlier)
	n = s.start(t, s.dir, nil)
	for _, name := range s.tenants {
		tenant, err := n.Accounts().Tenant(name)
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, tenant, "last", func(int) rules.Command { return &rules.Use{Meter: "call", Quantity: 2} })
		for a := range 2 {
			got, _, _, err := tenant.Account(fmt.Sprint("a", a))
			if err != nil {
				t.Fatal(err)
			}
			s.remaining[fmt.Sprintf("%s/a%d", name, a)] = got.Pool("bought").Terms.Remaining
		}
	}
	report, err := n.Verify(t.Context(), s.tenants[0], nil)
	if err != nil || !report.OK {
		t.Fatalf("the scene is not sound: %+v, %v", report, err)
	}
	s.events, s.lines = report.Journals[0].Events, 3
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// do asks the same of both accounts of a tenant, in one commit.
func (s *scene) do(t *testing.T, tenant *accounts.Tenant, key string, command func(int) rules.Command) {
	t.Helper()
	var requests []accounts.Request
	for a := range 2 {
		requests = append(requests, accounts.Request{Account: fmt.Sprint("a", a), Key: key, Hash: credit.Hash{1}, Command: command(a)})
	}
	for _, answer := range tenant.DoAll(t.Context(), requests) {
		if answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
}

func (s *scene) start(t *testing.T, dir string, log *slog.Logger) *Node {
	t.Helper()
	n, err := Start(t.Context(), Config{Data: dir, TestClock: damageClock, Logger: log})
	if err != nil {
		t.Fatalf("damage stopped the server: %v", err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func (s *scene) copy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, s.dir, dir)
	return dir
}

// copyTree copies a directory with everything in it, for its owner alone.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"pepper", headKeyFile} {
		if err := os.Chmod(filepath.Join(to, secret), 0o600); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// finding is what a server made of one tenant of a damaged directory.
type finding struct {
	barred string // why it is not served at all
	failed string // what could not be answered
	wrong  string // what was answered, and is not so
	verify string // what verify found
	lost   bool   // the journal is not whole
}

func (f finding) String() string {
	return fmt.Sprintf("barred=%q failed=%q wrong=%q verify=%q lost=%v", f.barred, f.failed, f.wrong, f.verify, f.lost)
}

// look asks a server for everything that it says about each tenant.
func (s *scene) look(ctx context.Context, n *Node) map[string]finding {
	found := make(map[string]finding)
	barred := make(map[string]string)
	for _, b := range n.Accounts().Barred() {
		barred[b.Tenant] = b.Reason.Error()
	}
	for _, name := range s.tenants {
		f := finding{barred: barred[name]}
		tenant, err := n.Accounts().Tenant(name)
		if err != nil && f.barred == "" {
			f.wrong = err.Error()
		}
		if err == nil {
			s.ask(ctx, n, tenant, &f)
			report, err := n.Verify(ctx, name, nil)
			if err != nil {
				f.verify = err.Error()
			} else if !report.OK {
				f.verify = fmt.Sprintf("%+v %+v %+v", report.Journals[0].Faults, report.Journals[0].Differences, report.Journals[0].Views)
			} else {
				f.lost = report.Journals[0].Events != s.events
			}
		}
		found[name] = f
	}
	return found
}

func (s *scene) ask(ctx context.Context, n *Node, tenant *accounts.Tenant, f *finding) {
	name := journal.Name{Tenant: tenant.Name()}
	for a := range 2 {
		account := fmt.Sprint("a", a)
		got, _, at, err := tenant.Account(account)
		switch pool := got.Pool("bought"); {
		case err != nil:
			f.failed += err.Error() + "; "
		case pool == nil:
			f.wrong += account + " has nothing; "
		case pool.Terms.Remaining != s.remaining[tenant.Name()+"/"+account]:
			f.wrong += fmt.Sprintf("%s has %d; ", account, pool.Terms.Remaining)
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		if err := n.Runner().WaitFor(ctx, "statement", name, at.Sequence); err != nil {
			f.failed += err.Error() + "; "
			cancel()
			continue
		}
		cancel()
		view, err := statement.Of(n.views.statement, name)
		if err != nil {
			f.failed += err.Error() + "; "
			continue
		}
		page, err := view.History(statement.Query{Account: account})
		if err != nil {
			f.failed += err.Error() + "; "
		} else if len(page.Lines) != s.lines {
			f.wrong += fmt.Sprintf("%s has %d lines; ", account, len(page.Lines))
		}
	}
}
