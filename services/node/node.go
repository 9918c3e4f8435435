package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/projections"
	accountsview "creditstream/projections/accounts"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/credentials"
	"creditstream/services/personal"
	"creditstream/services/vitals"
)

// Config says how a node runs. The zero value of every field but Data is usable.
type Config struct {
	// Data is the directory of everything: nats/ (the journals), views/, anchors/, the pepper.
	Data string
	// Listen is the address of the HTTP door; port 0 picks a free one, "" opens none.
	Listen string
	// NATSListen is the address of the embedded server for other processes; port 0 picks a free one, ""
	// lets none in.
	NATSListen string
	// External is a JetStream server to use instead of the embedded one.
	External External
	// Catalogs is a directory of catalog files, "" for none: each is published for the tenant of its name
	// when it changed since it was last published from there.
	Catalogs string
	// Shards is how many journals a tenant gets that is made here; default 1.
	Shards int
	// Dev takes requests without a key as the operator's. Only for loopback addresses.
	Dev bool
	// AcceptLostAnchors serves journals whose anchor is lost, and makes new ones: an operator's word that
	// nothing is missing at their ends.
	AcceptLostAnchors bool
	// Heads is a file, in a place of its own, to which signed heads of the journals are appended every
	// HeadsEvery (default 1 min); "" for none. HeadKey is the file of the ed25519 key (PKCS #8, PEM); "" for the
	// one in Data, which is made at the first start.
	Heads      string
	HeadsEvery time.Duration
	HeadKey    string
	// PatrolShare is the share of one processor that the continuous check of the books may take, from 0 to 1; 0
	// switches it off.
	PatrolShare float64
	// AllowSandbox lets sandbox payments be settled by hand outside Dev, too.
	AllowSandbox bool
	// TestClock, when set, is where a clock starts that only moves when it is told to; at the latest entry of
	// the journals if that is later.
	TestClock time.Time
	// Clock, when set, tells the time instead of the machine's.
	Clock accounts.Clock
	// Views are folded beside accounts; nil means all of them.
	Views []string
	// CacheBytes is Pebble's block cache, shared by all views; default 32 MiB.
	CacheBytes int64
	// CachedAccounts is how many accounts each shard keeps in memory; 0: the default.
	CachedAccounts int
	// InFlight is how many commits of one shard may be under way at once, beside one that is full; 0: one, or two to an
	// external server.
	InFlight int
	// Reserve is how many bytes have to be free on the disk of Data for new work to be taken; default 256 MiB,
	// less than 0 for no reserve.
	Reserve int64
	// UnsafeNoSync lets the embedded server acknowledge what is not on disk yet. It is for the tests of
	// durability, which have to notice; it loses data on a power cut.
	UnsafeNoSync bool
	// Trap, when set, is called at the points that packages accounts and projections name Trapped: tests end
	// the process there.
	Trap func(point string)
	// Limits bound what one client may ask for.
	Limits api.Limits
	// Drain is how long requests under way may take when the node stops; then they are cut short. Default 10 s.
	Drain time.Duration
	// Logger gets what an operator may want to know; nil discards it.
	Logger *slog.Logger
}

// Node is a running server.
type Node struct {
	cfg         Config
	log         *slog.Logger
	clock       accounts.Clock
	bus         *bus.Server
	writer      *nats.Conn // the only one that may publish to journals
	services    *nats.Conn
	entrances   entrances
	credentials *credentials.Store
	personal    *personal.Store
	views       views
	accounts    *accounts.Service
	heads       signer
	patrol      *projections.Patrol // nil when it is off
	doors       doors
	logins      logins
	tallies     tallies
	vitals      *vitals.Vitals
	probing     sync.Mutex // one measurement of the disk at a time
	watch       *watch     // of the disk
	marks       *marks     // nil with a NATS server elsewhere

	keys    atomic.Pointer[credentials.Store] // the same as credentials, for the goroutines of the NATS server
	serving chan struct{}                     // closed when start has ended, well or not
	unlock  func() error
	closing sync.Once
	closed  error

	backing  sync.Mutex // one backup at a time
	adding   sync.Mutex
	catching sync.Mutex // see catchUp
	mu       sync.Mutex
	journals map[journal.Name]*journal.Journal
	shards   map[journal.Name]*accounts.Shard
}

// Start opens everything under cfg.Data and returns when the node serves.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	cfg.CacheBytes = cmp.Or(cfg.CacheBytes, 32<<20)
	cfg.Shards = cmp.Or(cfg.Shards, 1)
	cfg.Reserve = cmp.Or(cfg.Reserve, defaultReserve)
	cfg.Drain = cmp.Or(cfg.Drain, 10*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, log: cfg.Logger, journals: make(map[journal.Name]*journal.Journal), shards: make(map[journal.Name]*accounts.Shard), serving: make(chan struct{})}
	n.logins.changed = make(chan struct{}, 1)
	if n.clock = cfg.Clock; n.clock == nil {
		n.clock = accounts.NewSystemClock()
	}
	if !cfg.TestClock.IsZero() {
		n.clock = accounts.NewTestClock(cfg.TestClock)
	}
	err := n.start(ctx)
	close(n.serving)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start on %s: %w", cfg.Data, err), n.Close())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) (err error) {
	if err := refuseHalfRestored(n.cfg.Data); err != nil {
		return err
	}
	for _, dir := range []string{"nats", "views", "anchors"} {
		if err := os.MkdirAll(filepath.Join(n.cfg.Data, dir), 0o700); err != nil {
			return err
		}
	}
	for _, dir := range []string{n.cfg.Data, filepath.Join(n.cfg.Data, "nats")} {
		if err := bus.SyncName(dir); err != nil {
			return err
		}
	}
	if err := n.openBus(ctx); err != nil {
		return err
	}
	if n.bus != nil {
		if err := n.refuseLostRecords(ctx); err != nil {
			return err
		}
	}
	n.credentials, err = credentials.Open(ctx, n.services, credentials.Config{
		PepperFile: filepath.Join(n.cfg.Data, "pepper"), Now: n.clock.Now, Log: n.log,
		Replicas: n.cfg.External.Replicas, KeysChanged: n.logins.keysChanged, SyncNames: n.syncNames(credentials.StreamName),
	})
	if err != nil {
		return err
	}
	n.keys.Store(n.credentials)
	n.personal, err = personal.Open(ctx, n.services, personal.Config{
		Secret: n.credentials.Secret("personal"), Replicas: n.cfg.External.Replicas, Now: n.clock.Now,
		SyncNames: n.syncNames(personal.StreamName), Erasing: n.erasing,
	})
	if err != nil {
		return err
	}
	if n.bus != nil {
		if err := n.openMarks(ctx); err != nil {
			return err
		}
	}
	if n.views, err = openViews(n.cfg, n.log); err != nil {
		return err
	}
	n.accounts = accounts.NewService(n.clock)
	if err := n.openTenants(ctx); err != nil {
		return err
	}
	if err := n.publishCatalogs(ctx); err != nil {
		return err
	}
	if err := n.openHeads(); err != nil {
		return err
	}
	n.openLogins()
	if err := n.openDoors(ctx); err != nil {
		return err
	}
	n.watchDisk()
	if n.cfg.External.isSet() {
		return n.warnOfWeakDurability(ctx)
	}
	return nil
}

// openBus locks the data directory and starts the embedded server, or connects to the external one. What
// a killed process left in the page cache is synced once, before anything of it is answered.
func (n *Node) openBus(ctx context.Context) (err error) {
	if n.unlock, err = bus.LockDir(n.cfg.Data); err != nil {
		return err
	}
	if err := claimFormat(n.cfg.Data); err != nil {
		return err
	}
	if !n.cfg.External.isSet() {
		if err := n.distrust(ctx); err != nil {
			return err
		}
		n.bus, err = bus.Start(ctx, bus.Config{
			StoreDir: filepath.Join(n.cfg.Data, "nats"), Listen: n.cfg.NATSListen, DevTenantless: n.cfg.Dev && n.cfg.NATSListen != "",
			Authenticate: n.authenticateNATS, Logger: n.log, UnsafeNoSync: n.cfg.UnsafeNoSync,
		})
		if err != nil {
			return err
		}
	}
	if n.writer, err = n.connectWriter(ctx, "creditstream-writer"); err != nil {
		return err
	}
	if n.services, err = n.connect(ctx, "creditstream-services"); err != nil {
		return err
	}
	if n.bus != nil {
		return bus.SyncDir(ctx, n.bus.StoreDir())
	}
	return n.checkLogins()
}

func (n *Node) connect(ctx context.Context, name string) (*nats.Conn, error) {
	if n.bus == nil {
		return n.cfg.External.connect(ctx, n, name)
	}
	return n.bus.Connect(name)
}

func (n *Node) connectWriter(ctx context.Context, name string) (*nats.Conn, error) {
	if n.bus == nil {
		return n.cfg.External.connectWriter(ctx, n, name)
	}
	return n.bus.ConnectWriter(name)
}

// syncNames is bus.SyncNames for a stream that many change at once; nil with a NATS server elsewhere.
func (n *Node) syncNames(stream string) func() error {
	if n.bus == nil {
		return nil
	}
	sync, one := n.bus.SyncNames(stream), make(chan struct{}, 1)
	return func() error {
		one <- struct{}{}
		defer func() { <-one }()
		return sync()
	}
}

// Accounts is the service that the doors use.
func (n *Node) Accounts() *accounts.Service { return n.accounts }

// Credentials are the API keys and codes of all tenants.
func (n *Node) Credentials() *credentials.Store { return n.credentials }

// Runner keeps the views.
func (n *Node) Runner() *projections.Runner { return n.views.runner }

// Journal returns an open journal, or nil.
func (n *Node) Journal(tenant string, shard int) *journal.Journal {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.journals[journal.Name{Tenant: tenant, Shard: shard}]
}

// HTTP is the address of the HTTP door as "http://host:port", or "".
func (n *Node) HTTP() string { return n.doors.address }

// NATS is the address of the NATS server as "nats://host:port", without credentials, or "" when it lets
// nobody in.
func (n *Node) NATS() string {
	if n.bus == nil {
		return bus.Redact(n.cfg.External.URL)
	}
	return n.bus.Addr()
}

// views is the stores of all kinds of view and what keeps them up to date.
type views struct {
	accounts, statement, usage *projections.Store
	stores                     []*projections.Store
	runner                     *projections.Runner
}

// foldedShelf is the room for the latest records of a view that is folded beside the loop, in bytes.
const foldedShelf = 8 << 20

func openViews(cfg Config, log *slog.Logger) (v views, err error) {
	cache := projections.NewCache(cfg.CacheBytes)
	defer cache.Unref()
	var kinds []projections.Kind
	for _, kind := range []struct {
		fold  projections.Fold
		store **projections.Store
		block int
		shelf int
	}{{accountsview.Fold{}, &v.accounts, 0, 0}, {statement.Fold{}, &v.statement, statement.Block, foldedShelf}, {usage.Fold{}, &v.usage, 0, foldedShelf}} {
		name := kind.fold.Name()
		written := kind.store == &v.accounts
		if !written && cfg.Views != nil && !slices.Contains(cfg.Views, name) {
			continue
		}
		*kind.store, err = projections.Open(projections.Config{Dir: filepath.Join(cfg.Data, "views"), View: name, Cache: cache, Block: kind.block, Shelf: kind.shelf, MergeLate: !written, Logger: log})
		if err != nil {
			return v, err
		}
		v.stores = append(v.stores, *kind.store)
		kinds = append(kinds, projections.Kind{Fold: kind.fold, Store: *kind.store, Written: written})
	}
	v.runner = projections.NewRunner(projections.RunnerConfig{Kinds: kinds, Logger: log, Trap: cfg.Trap})
	return v, nil
}

func (v *views) close() error {
	if v.runner != nil {
		v.runner.Close()
	}
	var faults []error
	for _, store := range v.stores {
		faults = append(faults, store.Close())
	}
	return errors.Join(faults...)
}
