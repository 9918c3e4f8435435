package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
)

// knownTenants are those of the streams, and those that an anchor or a view knows: a journal whose stream is gone
// must not look like a tenant that never was.
func (n *Node) knownTenants(ctx context.Context) ([]string, error) {
	known, err := journalsOf(ctx, n.services, n.cfg.Data)
	if err != nil {
		return nil, err
	}
	for _, store := range n.views.stores {
		names, err := store.Journals()
		if err != nil {
			n.log.Warn("a view store does not say which journals it knows", "error", err)
		}
		for _, name := range names {
			if n.views.runner.Knows(name).Sequence > 0 {
				known[name] = true
			}
		}
	}
	tenants := make(map[string]bool)
	for name := range known {
		tenants[name.Tenant] = true
	}
	return slices.Sorted(maps.Keys(tenants)), nil
}

// journalsOf are the journals that are streams of the NATS server, or that an anchor in the data directory
// knows a commit of.
func journalsOf(ctx context.Context, nc *nats.Conn, data string) (map[journal.Name]bool, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	known := make(map[journal.Name]bool)
	names := js.StreamNames(ctx)
	for stream := range names.Name() {
		if name, ok := nameOf(stream); ok {
			known[name] = true
		}
	}
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, fmt.Errorf("list the journals: %w", err)
	}
	files, err := os.ReadDir(filepath.Join(data, "anchors"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, file := range files {
		stem, ok := strings.CutSuffix(file.Name(), ".json")
		name, is := parseName(stem)
		if !ok || !is {
			continue
		}
		if _, head, err := journal.ReadAnchor(anchorPath(data, name)); err != nil || head.Sequence > 0 {
			known[name] = true
		}
	}
	return known, nil
}

// nameOf is the journal that a stream has, if it has one.
func nameOf(stream string) (journal.Name, bool) {
	rest, ok := strings.CutPrefix(stream, "JOURNAL_")
	if !ok {
		return journal.Name{}, false
	}
	return parseName(rest)
}

// openJournals are those that are open, by name.
func (n *Node) openJournals() []*journal.Journal {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := slices.Collect(maps.Values(n.journals))
	slices.SortFunc(all, func(a, b *journal.Journal) int { return compareNames(a.Name(), b.Name()) })
	return all
}

func compareNames(a, b journal.Name) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), a.Shard-b.Shard)
}

// connector is who gives connections that may read journals.
type connector interface {
	Connect(name string) (*nats.Conn, error)
}

// Connect gives a connection of its own to whoever inspects journals beside the server. Close it.
func (n *Node) Connect(name string) (*nats.Conn, error) { return n.connect(context.Background(), name) }

// parseName reads "<tenant>_<shard>".
func parseName(text string) (journal.Name, bool) {
	tenant, number, ok := strings.Cut(text, "_")
	shard, err := strconv.Atoi(number)
	return journal.Name{Tenant: tenant, Shard: shard}, ok && err == nil && shard >= 0 && tenant != ""
}

func anchorPath(data string, name journal.Name) string {
	return filepath.Join(data, "anchors", fmt.Sprintf("%s_%d.json", name.Tenant, name.Shard))
}

// bar stops serving a tenant and says so.
func (n *Node) bar(tenant string, reason error) {
	advice := adviceOn(reason)
	n.log.Error("a tenant is not served", "tenant", tenant, "reason", reason, "advice", advice)
	if served := n.accounts.Bar(tenant, reason, advice); served != nil {
		for _, shard := range served.Shards() {
			shard.Stop()
		}
	}
}

// adviceOn is what an operator can do about a tenant that is not served.
func adviceOn(reason error) string {
	switch {
	case errors.Is(reason, credit.ErrNewer):
		return "a newer program wrote this journal: start that one, or a newer one"
	case errors.Is(reason, journal.ErrAnchorLost):
		return "look at it with credits verify --data DIR; when nothing is missing, start once with --accept-lost-anchors"
	case errors.Is(reason, journal.ErrUnsafe):
		return "set the stream's configuration right, and restart"
	case errors.Is(reason, journal.ErrDamaged), errors.Is(reason, journal.ErrOtherJournal):
		return "keep a copy of the data directory, look at it with credits verify --data DIR, and restore this journal from the newest backup; docs/OPERATIONS.md says what to do when there is none"
	case errors.As(reason, new(*projections.Nonsense)):
		return "look at it with credits verify --data DIR: the journal holds something that no rule decided; report it, and restore the journal from a backup made before"
	}
	if errors.Is(reason, projections.ErrDamaged) {
		return "restart the server: the view is built anew from the journal; then run credits verify, and look at what was decided since the last round of the patrol"
	}
	return "see the log for what came before; restart when its cause is gone"
}
