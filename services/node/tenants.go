package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/credit"
	"creditstream/events/journal"
	accountsview "creditstream/projections/accounts"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// openTenants serves every tenant that has a journal here.
func (n *Node) openTenants(ctx context.Context) error {
	js, err := jetstream.New(n.services)
	if err != nil {
		return err
	}
	names := js.StreamNames(ctx)
	var tenants []string
	for stream := range names.Name() {
		rest, ok := strings.CutPrefix(stream, "JOURNAL_")
		if tenant, first := strings.CutSuffix(rest, "_0"); ok && first {
			tenants = append(tenants, tenant)
		}
	}
	if err := names.Err(); err != nil {
		return fmt.Errorf("list the journals: %w", err)
	}
	slices.Sort(tenants)
	for _, tenant := range tenants {
		if err := n.AddTenant(ctx, tenant, 0); err != nil {
			return fmt.Errorf("open tenant %s: %w", tenant, err)
		}
	}
	return nil
}

// AddTenant opens a tenant's journals, or creates them with that many shards, and serves it.
func (n *Node) AddTenant(ctx context.Context, name string, shards int) error {
	if err := n.bus.AddTenant(name); err != nil {
		return err
	}
	first, err := n.openJournal(ctx, journal.Name{Tenant: name}, shards)
	if err != nil {
		return err
	}
	running := make([]*accounts.Shard, first.Shards())
	for i := range running {
		j := first
		if i > 0 {
			if j, err = n.openJournal(ctx, journal.Name{Tenant: name, Shard: i}, first.Shards()); err != nil {
				return err
			}
		}
		if running[i], err = n.startShard(ctx, j); err != nil {
			return err
		}
	}
	_, err = n.accounts.Add(name, running)
	return err
}

func (n *Node) openJournal(ctx context.Context, name journal.Name, shards int) (*journal.Journal, error) {
	j, err := journal.Open(ctx, n.writer, journal.Config{
		Name: name, Create: true, Shards: shards, Anchor: anchorPath(n.cfg.Data, name), Logger: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.journals[name] = j
	n.mu.Unlock()
	return j, nil
}

func (n *Node) startShard(ctx context.Context, j *journal.Journal) (*accounts.Shard, error) {
	if _, err := j.TakeOver(ctx); err != nil {
		return nil, err
	}
	view, err := accountsview.Of(n.store, j.Name())
	if err != nil {
		return nil, err
	}
	if err := catchUp(ctx, view, j); err != nil {
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
	return accounts.Start(accounts.Config{
		Tenant: j.Name().Tenant, Number: j.Name().Shard, Journal: j, View: view, Clock: n.accounts.Clock(), Logger: n.log,
		InFlight: n.cfg.InFlight, CachedAccounts: n.cfg.CachedAccounts,
	}, books, latest)
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
	for sequence := j.Head().Sequence; sequence > 0; sequence-- {
		commit, err := j.Get(ctx, sequence)
		if err != nil {
			return time.Time{}, err
		}
		entries, err := credit.DecodeCommit(commit.Body)
		if err != nil {
			return time.Time{}, fmt.Errorf("commit %d of %s: %w", sequence, j.Name(), err)
		}
		if len(entries) > 0 {
			return entries[len(entries)-1].Recorded, nil
		}
	}
	return time.Time{}, nil
}
