// Package trial is a small server for the tests of the services: a real bus, real journals, views and
// credentials in a directory of the test, and a clock that stands still. It has no doors; the tests open
// those that they are about. What it wires is what services/node wires, and nothing is a stand-in.
package trial

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	accountsview "creditstream/projections/accounts"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// Noon is when the clock of a Server starts.
var Noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// Server is everything but doors.
type Server struct {
	t           testing.TB
	dir         string
	Clock       *accounts.TestClock
	Bus         *bus.Server
	NATS        *nats.Conn // a service's
	Accounts    *accounts.Service
	Credentials *credentials.Store

	shards   int
	names    []string
	writer   *nats.Conn
	views    *projections.Store
	journals []*journal.Journal
	running  bool
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), Clock: accounts.NewTestClock(Noon), shards: 1}
	s.Open()
	t.Cleanup(s.Stop)
	return s
}

// Must stops the test on an error.
func Must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Open starts the server on what is in its directory; after Stop it is a restart.
func (s *Server) Open() {
	s.t.Helper()
	ctx := s.t.Context()
	s.Bus = Must(bus.Start(ctx, bus.Config{
		StoreDir: filepath.Join(s.dir, "nats"), Listen: "127.0.0.1:0", Authenticate: s.authenticate,
	}))(s.t)
	s.writer = Must(s.Bus.ConnectWriter("writer"))(s.t)
	s.NATS = Must(s.Bus.Connect("services"))(s.t)
	s.Credentials = Must(credentials.Open(ctx, s.NATS, credentials.Config{PepperFile: filepath.Join(s.dir, "pepper"), Now: s.Clock.Now}))(s.t)
	cache := projections.NewCache(32 << 20)
	defer cache.Unref()
	s.views = Must(projections.Open(projections.Config{Dir: filepath.Join(s.dir, "views"), View: accountsview.Fold{}.Name(), Cache: cache}))(s.t)
	s.Accounts = accounts.NewService(s.Clock)
	s.running = true
	for _, name := range s.names {
		s.open(name)
	}
}

// authenticate is a client whose token is its tenant's name.
func (s *Server) authenticate(_, token string) (string, bool) { return token, true }

// Stop ends the server; its directory stays. Stopping again does nothing.
func (s *Server) Stop() {
	if !s.running {
		return
	}
	s.running = false
	s.Accounts.Stop()
	for _, j := range s.journals {
		if err := j.Close(); err != nil {
			s.t.Error(err)
		}
	}
	s.journals = nil
	if err := s.views.Close(); err != nil {
		s.t.Error(err)
	}
	s.Credentials.Close()
	s.NATS.Close()
	s.writer.Close()
	s.Bus.Shutdown()
}

// Tenant makes a tenant with one of the shipped catalogs, by its name, or with the catalog itself.
func (s *Server) Tenant(name, catalog string) *accounts.Tenant {
	s.t.Helper()
	s.names = append(s.names, name)
	tenant := s.open(name)
	source := []byte(catalog)
	if catalog == "tecpet" || catalog == "adtech" || catalog == "wanclouds" {
		source = Must(os.ReadFile(filepath.Join("..", "..", "deploy", "catalogs", catalog+".yaml")))(s.t)
	}
	if _, _, err := tenant.Publish(s.t.Context(), source, "test"); err != nil {
		s.t.Fatal(err)
	}
	return tenant
}

func (s *Server) open(name string) *accounts.Tenant {
	s.t.Helper()
	if err := s.Bus.AddTenant(name); err != nil {
		s.t.Fatal(err)
	}
	running := make([]*accounts.Shard, s.shards)
	for i := range running {
		running[i] = s.shard(journal.Name{Tenant: name, Shard: i})
	}
	return Must(s.Accounts.Add(name, running))(s.t)
}

func (s *Server) shard(name journal.Name) *accounts.Shard {
	ctx := s.t.Context()
	j := Must(journal.Open(ctx, s.writer, journal.Config{
		Name: name, Create: true, Shards: s.shards,
		Anchor: filepath.Join(s.dir, fmt.Sprintf("anchor-%s-%d.json", name.Tenant, name.Shard)),
	}))(s.t)
	s.journals = append(s.journals, j)
	Must(j.TakeOver(ctx))(s.t)
	view := Must(accountsview.Of(s.views, name))(s.t)
	if err := projections.CatchUp(ctx, accountsview.Fold{}, view.View, j, nil, nil); err != nil {
		s.t.Fatal(err)
	}
	books := new(rules.Book)
	for _, published := range Must(view.Catalogs())(s.t) {
		c := Must(rules.ParseCatalog([]byte(published.Source)))(s.t)
		c.Version = published.Version
		books.Publish(published.At, c)
	}
	return Must(accounts.Start(accounts.Config{Tenant: name.Tenant, Number: name.Shard, Journal: j, View: view, Clock: s.Clock}, books, s.Clock.Now()))(s.t)
}

// Find finds a tenant again after a restart.
func (s *Server) Find(name string) *accounts.Tenant {
	s.t.Helper()
	return Must(s.Accounts.Tenant(name))(s.t)
}

// Do carries out a command and stops the test when it is refused.
func (s *Server) Do(t *accounts.Tenant, account string, command rules.Command) accounts.Answer {
	s.t.Helper()
	answer := t.Do(s.t.Context(), accounts.Request{Account: account, Actor: "test", Command: command})
	if answer.Err != nil {
		s.t.Fatalf("%T: %v", command, answer.Err)
	}
	return answer
}

// Remaining is the credits that an account may use now.
func (s *Server) Remaining(t *accounts.Tenant, account string) string {
	s.t.Helper()
	a, now, _, err := t.Account(account)
	if err != nil {
		s.t.Fatal(err)
	}
	return rules.BalanceOf(a, t.Books(), now).Remaining.Format(t.Books().Current().Scale)
}

// Eventually waits until something holds that happens on its own, at most half a minute.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: it does not come about", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Entries reads a tenant's journals from their start.
func (s *Server) Entries(tenant string) []credit.Entry {
	s.t.Helper()
	var all []credit.Entry
	for _, j := range s.journals {
		if j.Name().Tenant != tenant {
			continue
		}
		for commit, err := range j.Read(s.t.Context(), 1) {
			if err != nil {
				s.t.Fatal(err)
			}
			all = append(all, Must(credit.DecodeCommit(commit.Body))(s.t)...)
		}
	}
	return all
}
