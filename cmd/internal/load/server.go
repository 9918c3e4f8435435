package load

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"creditstream/services/node"
)

// Server is a server in a process of its own, with a data directory that outlives it: what a measurement of
// growth starts, fills, stops, kills and starts again.
type Server struct {
	Started  time.Duration // from its start until it served
	Read     int64         // bytes that it read meanwhile, from the disk or the page cache
	Resident float64       // memory in MiB, when it served
	target   *target
	sent     atomic.Uint64
}

// ServerConfig says what to start. All views are folded.
type ServerConfig struct {
	Serve   []string // the command line of Serve
	Data    string   // the data directory; it may be there
	Tenants int      // beside the one that is charged
}

// settings log errors only: each start after a crash, of each tenant, has warnings that say so.
func (c ServerConfig) settings() settings {
	return settings{Data: c.Data, Tenants: c.Tenants, Quiet: true}
}

// StartServer returns when the server serves. Of one data directory there may be several, one after the other;
// first numbers the keys of this one, and must be beyond what those before charged.
func StartServer(ctx context.Context, c ServerConfig, first uint64) (*Server, error) {
	start := time.Now()
	s := c.settings()
	s.Doors = true
	child, err := StartChild(ctx, c.Serve, s.text())
	if err != nil {
		return nil, err
	}
	server := &Server{Started: time.Since(start), Read: BytesRead(child.Pid()), Resident: Resident(child.Pid())}
	server.target = &target{cfg: Config{Connections: growClients, Door: doorNATS}, child: child, http: child.HTTP, nats: child.NATS}
	server.sent.Store(first)
	return server, nil
}

// Memory is what the server uses now, in MiB.
func (s *Server) Memory() float64 { return Resident(s.target.child.Pid()) }

// Sent is where the keys of the next server start.
func (s *Server) Sent() uint64 { return s.sent.Load() }

// Stop stops the server in good order.
func (s *Server) Stop() error {
	s.target.disconnect()
	return s.target.child.Stop()
}

// Kill ends it as a crash does.
func (s *Server) Kill() error {
	s.target.disconnect()
	return s.target.child.Kill()
}

// Open opens the accounts from one number up to, and without, another.
func (s *Server) Open(ctx context.Context, from, to, lots int) error {
	return s.target.postAccounts(ctx, from, to, lots)
}

// Grant gives an account more lots, one by one: what one import cannot hold.
func (s *Server) Grant(ctx context.Context, account, lots int) error {
	door := newOverHTTP(s.target.http)
	defer door.Close()
	for i := range lots {
		door.body = append(door.body[:0], `{"pool":"credits","credits":"1000","reason":"growth","kind":"goodwill"}`...)
		if _, err := door.ask(ctx, "/accounts/"+AccountName(account)+"/grants", "application/json", "\r\nIdempotency-Key: grant-"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// How Charge asks.
const (
	growClients = 4
	growBatch   = 1000
)

// Charge charges one of the first accounts at random, events times, in batches over NATS, and returns how many
// a second were acknowledged.
func (s *Server) Charge(ctx context.Context, accounts, events int) (perSecond float64, err error) {
	doors := make([]Door, growClients)
	for i := range doors {
		if doors[i], err = s.target.open(ctx, i); err != nil {
			return 0, err
		}
	}
	var left atomic.Int64
	left.Store(int64(events))
	faults := make([]error, growClients)
	start := time.Now()
	var wait sync.WaitGroup
	for i, door := range doors {
		wait.Go(func() { faults[i] = s.chargeSome(ctx, door, accounts, &left) })
	}
	wait.Wait()
	return float64(events) / time.Since(start).Seconds(), firstOf(faults)
}

func (s *Server) chargeSome(ctx context.Context, door Door, accounts int, left *atomic.Int64) error {
	random := rand.New(rand.NewPCG(s.sent.Load(), uint64(accounts)))
	batch := make([]Charge, 0, growBatch)
	for {
		rest := left.Add(-growBatch) + growBatch
		if rest <= 0 {
			return nil
		}
		batch = batch[:0]
		for range min(rest, growBatch) {
			batch = append(batch, Charge{Account: AccountName(random.IntN(accounts)), Key: KeyOf(time.Now(), 0, s.sent.Add(1))})
		}
		if err := door.Charge(ctx, batch); err != nil {
			return err
		}
	}
}

// Verify folds the journals of a stopped server's directory by code of its own, compares its views, and returns
// how long that took and how many events it read.
func Verify(ctx context.Context, c ServerConfig) (took time.Duration, events uint64, err error) {
	s := c.settings()
	s.Views = nil // all
	n, err := s.start(ctx)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	found, err := n.Verify(ctx, tenantName, nil)
	took = time.Since(start)
	if err := errors.Join(err, n.Close()); err != nil {
		return 0, 0, err
	}
	if err := sound(found); err != nil {
		return 0, 0, err
	}
	return took, found.Journals[0].Events, nil
}

func sound(v node.Verification) error {
	if !v.OK || len(v.Journals) != 1 {
		return fmt.Errorf("the verification found faults: %+v", v)
	}
	return nil
}

// DirSize is the size of all files under a directory, in bytes.
func DirSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
