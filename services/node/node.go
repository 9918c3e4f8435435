package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/projections"
	accountsview "creditstream/projections/accounts"
	"creditstream/services/accounts"
)

// Config says how a node runs. The zero value of every field but Data is usable.
type Config struct {
	// Data is the directory of everything: nats/ (the journals), views/, anchors/, the pepper.
	Data string
	// InFlight is how many commits of one shard may be under way at once; 0: the default.
	InFlight int
	// Views are folded beside accounts; nil means all.
	Views []string
	// CacheBytes is Pebble's block cache, shared by all views; default 64 MiB.
	CacheBytes int64
	// CachedAccounts is how many accounts each shard keeps in memory; 0: the default.
	CachedAccounts int
	// TestClock, when set, is where a clock starts that only moves when it is told to.
	TestClock time.Time
	// Logger gets what an operator may want to know; nil discards it.
	Logger *slog.Logger
}

// Node is a running server.
type Node struct {
	cfg      Config
	log      *slog.Logger
	bus      *bus.Server
	writer   *nats.Conn // the only one that may publish to journals
	services *nats.Conn
	store    *projections.Store
	accounts *accounts.Service

	closing sync.Once
	closed  error

	mu       sync.Mutex
	journals map[journal.Name]*journal.Journal
}

// Start opens everything under cfg.Data and returns when the node serves.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	cfg.CacheBytes = cmp.Or(cfg.CacheBytes, 64<<20)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, log: cfg.Logger, journals: make(map[journal.Name]*journal.Journal)}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start on %s: %w", cfg.Data, err), n.Close())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) (err error) {
	for _, dir := range []string{"nats", "views", "anchors"} {
		if err := os.MkdirAll(filepath.Join(n.cfg.Data, dir), 0o700); err != nil {
			return err
		}
	}
	if n.bus, err = bus.Start(ctx, bus.Config{StoreDir: filepath.Join(n.cfg.Data, "nats"), Logger: n.log}); err != nil {
		return err
	}
	if n.writer, err = n.bus.ConnectWriter("creditstream-writer"); err != nil {
		return err
	}
	if n.services, err = n.bus.Connect("creditstream-services"); err != nil {
		return err
	}
	cache := projections.NewCache(n.cfg.CacheBytes)
	defer cache.Unref()
	if n.store, err = projections.Open(projections.Config{Dir: filepath.Join(n.cfg.Data, "views"), View: accountsview.Fold{}.Name(), Cache: cache, Logger: n.log}); err != nil {
		return err
	}
	n.accounts = accounts.NewService(n.clock())
	// What a killed process left in the page cache is synced once, before anything of it is answered.
	if err := bus.SyncDir(ctx, n.bus.StoreDir()); err != nil {
		return err
	}
	return n.openTenants(ctx)
}

func (n *Node) clock() accounts.Clock {
	if n.cfg.TestClock.IsZero() {
		return accounts.NewSystemClock()
	}
	return accounts.NewTestClock(n.cfg.TestClock)
}

// Accounts is the service that the doors use.
func (n *Node) Accounts() *accounts.Service { return n.accounts }

// Journal returns an open journal, or nil.
func (n *Node) Journal(tenant string, shard int) *journal.Journal {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.journals[journal.Name{Tenant: tenant, Shard: shard}]
}

// Close answers what is under way, refuses the rest, and closes everything. Closing again does nothing.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closed = n.close() })
	return n.closed
}

func (n *Node) close() error {
	var faults []error
	if n.accounts != nil {
		n.accounts.Stop()
	}
	for _, j := range n.journals {
		faults = append(faults, j.Close())
	}
	if n.store != nil {
		faults = append(faults, n.store.Close())
	}
	for _, conn := range []*nats.Conn{n.writer, n.services} {
		if conn != nil {
			conn.Close()
		}
	}
	if n.bus != nil {
		n.bus.Shutdown()
	}
	return errors.Join(faults...)
}

func anchorPath(data string, name journal.Name) string {
	return filepath.Join(data, "anchors", strings.ReplaceAll(name.String(), "/", "_")+".json")
}
