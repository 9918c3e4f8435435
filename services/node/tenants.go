package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	accountsview "creditstream/projections/accounts"
	"creditstream/services/accounts"
	"creditstream/services/personal"
	"creditstream/services/rules"
)

// openTenants serves every tenant that has a journal here, or had one.
func (n *Node) openTenants(ctx context.Context) error {
	tenants, err := n.knownTenants(ctx)
	if err != nil {
		return err
	}
	n.adding.Lock()
	defer n.adding.Unlock()
	return atOnce(tenants, func(tenant string) error {
		err := n.addTenant(ctx, tenant, 0)
		if ctx.Err() != nil {
			return fmt.Errorf("open tenant %s: %w", tenant, err)
		}
		if err != nil {
			// Balances that cannot be trusted are not served; nobody else's have to suffer for them.
			n.bar(tenant, err)
		}
		return nil
	})
}

// openedAtOnce is how many tenants are opened at a time: a takeover waits for the disk, and what several wait for
// goes to the disk together.
const openedAtOnce = 16

// atOnce calls open for all tenants, for some at a time, and returns the first error; after one no other is begun.
func atOnce(tenants []string, open func(tenant string) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var opening sync.WaitGroup
	for range min(len(tenants), openedAtOnce) {
		opening.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(tenants)) && failed.Load() == nil; n = next.Add(1) - 1 {
				if err := open(tenants[n]); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	opening.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// AddTenant opens a tenant's journals, or creates them with that many shards (0: the configured number),
// and serves it.
func (n *Node) AddTenant(ctx context.Context, name string, shards int) error {
	n.adding.Lock()
	defer n.adding.Unlock()
	return n.addTenant(ctx, name, shards)
}

// addTenant is AddTenant, under its lock: several tenants may be opened at a time, and each only once.
func (n *Node) addTenant(ctx context.Context, name string, shards int) error {
	if _, err := n.accounts.Tenant(name); err == nil {
		return fmt.Errorf("tenant %s is there already", name)
	}
	if n.bus != nil {
		if err := n.bus.AddTenant(name); err != nil {
			return err
		}
	}
	var running []*accounts.Shard
	for i := 0; i == 0 || i < shards; i++ {
		s, of, err := n.openShard(ctx, journal.Name{Tenant: name, Shard: i}, shards)
		if err != nil {
			return err
		}
		running, shards = append(running, s), of
	}
	if n.doors.intake != nil { // else openDoors opens the feeds of all
		if err := n.openFeeds(ctx, name, len(running)); err != nil {
			return err
		}
	}
	t, err := n.accounts.Add(name, running)
	if err == nil {
		err = t.Level(ctx)
	}
	return err
}

// openShard opens or creates one journal of a tenant and runs it, and says how many the tenant has. One that
// runs already, since the tenant's making was broken off, goes on running.
func (n *Node) openShard(ctx context.Context, name journal.Name, shards int) (s *accounts.Shard, of int, err error) {
	n.mu.Lock()
	j, s := n.journals[name], n.shards[name]
	n.mu.Unlock()
	if s != nil {
		if shards != 0 && shards != j.Shards() {
			return nil, 0, fmt.Errorf("journal %s was created as one of %d shards, not %d: the count is fixed", name, j.Shards(), shards)
		}
		return s, j.Shards(), nil
	}
	if j, err = n.openJournal(ctx, name, shards); err != nil {
		return nil, 0, err
	}
	if s, err = n.startShard(ctx, j); err != nil {
		return nil, 0, errors.Join(err, j.Close())
	}
	n.mu.Lock()
	n.journals[name], n.shards[name] = j, s
	n.mu.Unlock()
	return s, j.Shards(), nil
}

// openJournal opens a journal that is there with as many shards as it has, or creates it with shards (0: the
// configured number).
func (n *Node) openJournal(ctx context.Context, name journal.Name, shards int) (*journal.Journal, error) {
	cfg := journal.Config{
		Name: name, Shards: shards, Replicas: n.cfg.External.Replicas, Logger: n.log, AcceptLostAnchor: n.cfg.AcceptLostAnchors,
		Anchor: anchorPath(n.cfg.Data, name), MaxPending: max(n.inFlight()+accounts.BesideInFlight, 8),
	}
	if n.bus != nil {
		cfg.SyncNames, cfg.Fault, cfg.Blocks = n.bus.SyncNames(name.Stream()), n.bus.Fault, blocksOf(n.bus, name)
	}
	j, err := journal.Open(ctx, n.writer, cfg)
	if !errors.Is(err, journal.ErrNotFound) || errors.Is(err, journal.ErrDamaged) {
		return j, err
	}
	// The anchor, which the journal asks before it is made, may be gone the same way.
	if known := n.views.runner.Knows(name); known.Sequence > 0 {
		return nil, fmt.Errorf("open journal %s: %w", name, &journal.At{Sequence: known.Sequence, Err: fmt.Errorf("%w: the stream is not there, but a view knows this commit of journal %s", journal.ErrDamaged, known.Journal)})
	}
	cfg.Create, cfg.Shards = true, shards
	if shards == 0 {
		cfg.Shards = n.cfg.Shards
	}
	return journal.Open(ctx, n.writer, cfg)
}

// blocksOf reads a journal from the files of the server that has it.
func blocksOf(server *bus.Server, name journal.Name) func() journal.Blocks {
	return func() journal.Blocks { return server.Blocks(name.Stream(), name.Subject()) }
}

func (n *Node) startShard(ctx context.Context, j *journal.Journal) (*accounts.Shard, error) {
	// Asked before anything is appended, which could cover up a journal that lost its end.
	if err := n.views.runner.Check(ctx, j); err != nil {
		return nil, err
	}
	if _, err := j.TakeOver(ctx); err != nil {
		return nil, err
	}
	view, err := accountsview.Of(n.views.accounts, j.Name())
	if err != nil {
		return nil, err
	}
	if err := n.catchUp(ctx, view, j); err != nil {
		return nil, err
	}
	books, err := booksOf(view)
	if err != nil {
		return nil, err
	}
	latest, err := latestEntry(ctx, j)
	if err != nil {
		return nil, err
	}
	if now := n.clock.Now(); !latest.IsZero() && (now.Sub(latest) > time.Hour || latest.After(now)) {
		n.log.Info("the clock and the latest entry of a journal are apart", "journal", j.Name().String(), "now", now, "latest", latest)
	}
	if err := n.catchUpClock(latest); err != nil {
		return nil, err
	}
	name, runner, counts := j.Name(), n.views.runner, n.tallies.of(j.Name().Tenant)
	shard, err := accounts.Start(accounts.Config{
		Tenant: name.Tenant, Number: name.Shard, Journal: j, View: view, Clock: n.clock, Logger: n.log,
		Texts: personal.Texts{Store: n.personal}, InFlight: n.inFlight(), CachedAccounts: n.cfg.CachedAccounts, Trap: n.cfg.Trap, Gate: n.accounts.Gate(),
		Feed: func(head journal.Head, entries []credit.Entry, body []byte) {
			counts.add(entries)
			runner.Feed(name, projections.Commit{Head: head, Entries: entries, Body: body})
		},
	}, books, latest)
	if err != nil {
		return nil, err
	}
	if err := runner.Add(j, shard); err != nil {
		shard.Stop()
		return nil, err
	}
	return shard, nil
}

// catchUp brings an accounts view to its journal's head: one view at a time, since one that is built anew takes some 200 MiB.
func (n *Node) catchUp(ctx context.Context, view *accountsview.View, j *journal.Journal) error {
	n.catching.Lock()
	defer n.catching.Unlock()
	return projections.CatchUp(ctx, accountsview.Fold{}, view.View, j, n.log, nil)
}

// catchUpClock lets a node that is started again with the instant of its first start go on where it was.
func (n *Node) catchUpClock(latest time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if clock, ok := n.clock.(*accounts.TestClock); ok && latest.After(clock.Now()) {
		return clock.Set(latest)
	}
	return nil
}

// booksOf reads the tenant's catalogs back from the view.
func booksOf(view *accountsview.View) (*rules.Book, error) {
	published, err := view.Catalogs()
	if err != nil {
		return nil, err
	}
	books := new(rules.Book)
	for _, p := range published {
		c, err := rules.ParseCatalog([]byte(p.Source))
		if err != nil {
			return nil, fmt.Errorf("catalog %d of %s: %w", p.Version, view.Name(), err)
		}
		c.Version = p.Version
		books.Publish(p.At, c)
	}
	return books, nil
}

// latestEntry finds when the journal's latest entry was recorded: the time of decisions goes on from
// there. The last commits may be empty ones, of takeovers.
func latestEntry(ctx context.Context, j *journal.Journal) (time.Time, error) {
	// Each start leaves an empty commit, so behind the last entry of a tenant that does nothing may be many.
	for last, many := j.Head().Sequence, uint64(1); last > 0; many = min(8*many, maxLooked) {
		from := last - min(many, last) + 1
		at, err := latestOf(ctx, j, from, last)
		if err != nil || !at.IsZero() {
			return at, err
		}
		last = from - 1
	}
	return time.Time{}, nil
}

// maxLooked bounds how many commits are read at a time to find the latest entry.
const maxLooked = 4096

// latestOf is when the latest entry of some commits was recorded; zero when they have none.
func latestOf(ctx context.Context, j *journal.Journal, from, last uint64) (time.Time, error) {
	var latest journal.Commit
	for c, err := range j.Read(ctx, from) {
		if err != nil {
			return time.Time{}, err
		}
		if len(c.Body) > len("[]") {
			latest = c
		}
		if c.Sequence >= last {
			break
		}
	}
	if latest.Sequence == 0 {
		return time.Time{}, nil
	}
	entries, err := credit.DecodeCommit(latest.Body)
	if err != nil {
		return time.Time{}, fmt.Errorf("commit %d of %s: %w", latest.Sequence, j.Name(), err)
	}
	if len(entries) == 0 {
		return time.Time{}, fmt.Errorf("commit %d of %s has a body and no entry: %w", latest.Sequence, j.Name(), journal.ErrDamaged)
	}
	return entries[len(entries)-1].Recorded, nil
}

// publishCatalogs publishes each file of the catalogs' directory for the tenant of its name, when the
// tenant has no catalog or the file changed since it was last published from there. So what was published
// over HTTP stays in force over a restart.
func (n *Node) publishCatalogs(ctx context.Context) error {
	if n.cfg.Catalogs == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(n.cfg.Catalogs, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no catalogs (*.yaml) in %s", n.cfg.Catalogs)
	}
	for _, file := range files {
		if err := n.publishFile(ctx, strings.TrimSuffix(filepath.Base(file), ".yaml"), file); err != nil {
			return fmt.Errorf("publish %s: %w", file, err)
		}
	}
	return nil
}

func (n *Node) publishFile(ctx context.Context, name, file string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := n.accounts.Tenant(name); errors.Is(err, accounts.ErrUnknownTenant) {
		if err := n.AddTenant(ctx, name, 0); err != nil {
			return err
		}
	}
	tenant, err := n.accounts.Tenant(name)
	if errors.Is(err, accounts.ErrUnavailable) {
		return nil // not served, which was said when it was found
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256(source)
	text := hex.EncodeToString(sum[:])
	seen := filepath.Join(n.cfg.Data, "catalogs", name+".sha256")
	if last, err := os.ReadFile(seen); err == nil && string(last) == text && tenant.Books().Current() != nil {
		return nil
	}
	version, changes, err := tenant.Publish(ctx, source, "catalogs")
	if err != nil {
		return err
	}
	n.log.Info("catalog in force", "tenant", name, "version", version, "changes", len(changes))
	if err := os.MkdirAll(filepath.Dir(seen), 0o700); err != nil {
		return err
	}
	return os.WriteFile(seen, []byte(text), 0o600)
}

// inFlight hides the way to an external server and back, which the disk would else wait for.
func (n *Node) inFlight() int {
	if n.cfg.InFlight == 0 && n.cfg.External.isSet() {
		return 2
	}
	return n.cfg.InFlight
}
