package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/services/vitals"
)

// busy is how many requests a second are too many to time each.
const busy = 2000

// tallies count what was acknowledged since the start, by tenant: two additions for each commit.
type tallies struct {
	mu      sync.Mutex
	tenants map[string]*tally
}

type tally struct{ commits, events atomic.Uint64 }

// of is the tally of a tenant, the same one for all its shards.
func (t *tallies) of(tenant string) *tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tenants == nil {
		t.tenants = make(map[string]*tally)
	}
	counts := t.tenants[tenant]
	if counts == nil {
		counts = new(tally)
		t.tenants[tenant] = counts
	}
	return counts
}

func (t *tally) add(entries []credit.Entry) {
	events := 0
	for i := range entries {
		events += len(entries[i].Facts)
	}
	t.commits.Add(1)
	t.events.Add(uint64(events))
}

// reading is what the counters stand at.
func (n *Node) reading() vitals.Reading {
	r := vitals.Reading{Tenants: make(map[string]uint64), Latency: n.accounts.Latency().Counts()}
	n.tallies.mu.Lock()
	for tenant, counts := range n.tallies.tenants {
		events := counts.events.Load()
		r.Tenants[tenant] = events
		r.Events += events
		r.Commits += counts.commits.Load()
	}
	n.tallies.mu.Unlock()
	for _, t := range n.accounts.Tenants() {
		for _, s := range t.Shards() {
			r.Queue += s.Waiting()
		}
	}
	r.Lag = n.views.runner.Lag()
	return r
}

// openVitals starts the sampling, and lets GET /metrics show the same.
func (n *Node) openVitals(registry prometheus.Registerer) error {
	n.vitals = vitals.Start(vitals.Config{Read: n.reading, Sampled: func(s vitals.Sample) {
		n.accounts.Latency().Thin(s.Events > busy)
	}})
	return registry.Register(vitals.Collector{Read: n.reading})
}

// BusState asks the NATS server how it does.
func (n *Node) BusState(ctx context.Context) (bus.State, error) {
	if n.bus == nil {
		return bus.StateOf(ctx, n.services)
	}
	return n.bus.State()
}

// Disk measures the file system of the data directory. It writes and syncs a kilobyte.
func (n *Node) Disk() (vitals.Disk, error) {
	disk := vitals.Disk{Dir: n.cfg.Data}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(n.cfg.Data, &stat); err != nil {
		return disk, fmt.Errorf("ask how much room %s has: %w", n.cfg.Data, err)
	}
	disk.Free, disk.Size = stat.Bavail*uint64(stat.Bsize), stat.Blocks*uint64(stat.Bsize)
	n.probing.Lock()
	defer n.probing.Unlock()
	file, err := os.Create(filepath.Join(n.cfg.Data, "fsync.probe"))
	if err != nil {
		return disk, fmt.Errorf("measure fsync: %w", err)
	}
	began := time.Now()
	_, err = file.Write(make([]byte, 1024))
	err = errors.Join(err, file.Sync())
	disk.Fsync = time.Since(began)
	if err = errors.Join(err, file.Close(), os.Remove(file.Name())); err != nil {
		return disk, fmt.Errorf("measure fsync: %w", err)
	}
	return disk, nil
}
