package accounts

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
	"creditstream/services/vitals"
)

// ErrUnknownTenant says that no tenant of that name was opened here.
var ErrUnknownTenant = errors.New("unknown_tenant")

// Service is all tenants of one server.
type Service struct {
	clock   Clock
	gate    Gate
	mu      sync.RWMutex
	tenants map[string]*Tenant
	barred  map[string]Barred
	latency vitals.Latency
}

// NewService returns a service without tenants.
func NewService(clock Clock) *Service {
	return &Service{clock: clock, tenants: make(map[string]*Tenant), barred: make(map[string]Barred)}
}

// Clock is the time that all tenants go by.
func (s *Service) Clock() Clock { return s.clock }

// Latency counts how long requests waited for their answers, each batch as one.
func (s *Service) Latency() *vitals.Latency { return &s.latency }

// Gate keeps new work out of all shards that were started with it.
func (s *Service) Gate() *Gate { return &s.gate }

// Tenant returns a tenant. Errors: ErrUnknownTenant, or ErrUnavailable for one that was barred.
func (s *Service) Tenant(name string) (*Tenant, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.tenants[name]; t != nil {
		return t, nil
	}
	if _, barred := s.barred[name]; barred {
		return nil, fmt.Errorf("%w: tenant %s is not served: its books need an operator", ErrUnavailable, name)
	}
	return nil, fmt.Errorf("%w: there is no tenant %.40q", ErrUnknownTenant, name)
}

// Tenants returns all tenants by name.
func (s *Service) Tenants() []*Tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tenants := slices.Collect(maps.Values(s.tenants))
	slices.SortFunc(tenants, func(a, b *Tenant) int { return strings.Compare(a.name, b.name) })
	return tenants
}

// Add makes a tenant reachable whose shards run already. The shards are in the order of their numbers.
func (s *Service) Add(name string, shards []*Shard) (*Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[name] != nil {
		return nil, fmt.Errorf("tenant %s is open already", name)
	}
	t := &Tenant{name: name, shards: shards, clock: s.clock, latency: &s.latency}
	s.tenants[name] = t
	delete(s.barred, name)
	return t, nil
}

// Stop stops all shards: what is under way is answered.
func (s *Service) Stop() {
	for _, t := range s.Tenants() {
		for _, shard := range t.shards {
			shard.Stop()
		}
	}
}

// Tenant is one business: its shards, and nothing shared with any other.
type Tenant struct {
	name       string
	clock      Clock
	shards     []*Shard
	latency    *vitals.Latency
	publishing sync.Mutex
}

// Name is the tenant's name.
func (t *Tenant) Name() string { return t.name }

// Shards are the tenant's shards by number.
func (t *Tenant) Shards() []*Shard { return t.shards }

// Shard is where an account lives, for ever: the FNV-1a hash of its id, modulo the number of shards.
func (t *Tenant) Shard(account string) *Shard {
	if len(t.shards) == 1 {
		return t.shards[0]
	}
	h := fnv.New32a()
	h.Write([]byte(account))
	return t.shards[h.Sum32()%uint32(len(t.shards))]
}

// Do carries out one request.
func (t *Tenant) Do(ctx context.Context, r Request) Answer {
	began := t.latency.Begin()
	answer := t.Shard(r.Account).Do(ctx, r)
	t.latency.End(began)
	return answer
}

// DoAll carries out many requests, each for itself, those of one account in the order given.
func (t *Tenant) DoAll(ctx context.Context, requests []Request) []Answer {
	defer t.latency.End(t.latency.Begin())
	if len(t.shards) == 1 {
		return t.shards[0].DoAll(ctx, requests)
	}
	answers := make([]Answer, len(requests))
	indexes := make(map[*Shard][]int)
	for i := range requests {
		shard := t.Shard(requests[i].Account)
		indexes[shard] = append(indexes[shard], i)
	}
	var wait sync.WaitGroup
	for shard, at := range indexes {
		wait.Go(func() {
			part := make([]Request, len(at))
			for i, index := range at {
				part[i] = requests[index]
			}
			for i, answer := range shard.DoAll(ctx, part) {
				answers[at[i]] = answer
			}
		})
	}
	wait.Wait()
	return answers
}

// Books are the tenant's catalogs as acknowledged.
func (t *Tenant) Books() *rules.Book { return t.shards[0].Books() }

// Now is the time that a read goes by: the clock's.
func (t *Tenant) Now() time.Time { return t.clock.Now() }

// Account reads an account as acknowledged, settled virtually up to the clock's now: what fell due is
// in it whether or not a sweep has booked it. The account is the caller's own copy; it does not Exist
// when it was never opened. The position is that of the view it was read from.
func (t *Tenant) Account(account string) (a *credit.Account, now time.Time, at Position, err error) {
	shard := t.Shard(account)
	at = Position{Shard: shard.cfg.Number, Sequence: shard.Head()}
	if a, err = shard.View().Load(account); err != nil {
		return nil, time.Time{}, Position{}, fmt.Errorf("load account %s: %w", account, err)
	}
	now = t.clock.Now()
	if due := a.NextDue(); a.Exists() && !due.IsZero() && !now.Before(due) {
		rules.Settle(a, shard.Books(), now)
	}
	return a, now, at, nil
}

// Publish puts a catalog in force in every shard and returns its version and what changed, in words. A
// catalog equal to the one in force changes nothing.
func (t *Tenant) Publish(ctx context.Context, source []byte, actor string) (version uint32, changes []string, err error) {
	c, err := rules.ParseCatalog(source)
	if err != nil {
		return 0, nil, err
	}
	t.publishing.Lock()
	defer t.publishing.Unlock()
	if err := t.Books().Accepts(c); err != nil {
		return 0, nil, err
	}
	next := uint32(1)
	if current := t.Books().Current(); current != nil {
		if string(current.Source) == string(c.Source) && t.agreed(current.Version) {
			return current.Version, nil, nil
		}
		changes = rules.Diff(current, c)
		next = current.Version + 1
	}
	for _, shard := range t.shards {
		if v := shard.Books().Current(); v != nil && v.Version >= next {
			next = v.Version + 1
		}
	}
	c.Version = next
	for _, shard := range t.shards {
		if _, err := shard.Publish(ctx, c, changes, actor); err != nil {
			return 0, nil, fmt.Errorf("publish catalog %d in shard %d: %w", next, shard.cfg.Number, err)
		}
	}
	return next, changes, nil
}

// Level publishes the latest catalog to the shards that lack it: a publication that was cut off may have
// reached only some of them. It is called once the tenant is open.
func (t *Tenant) Level(ctx context.Context) error {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	var latest *rules.Catalog
	for _, shard := range t.shards {
		if c := shard.Books().Current(); c != nil && (latest == nil || c.Version > latest.Version) {
			latest = c
		}
	}
	for _, shard := range t.shards {
		current := shard.Books().Current()
		if latest == nil || current != nil && current.Version == latest.Version {
			continue
		}
		if _, err := shard.Publish(ctx, latest, nil, "system"); err != nil {
			return fmt.Errorf("publish catalog %d in shard %d: %w", latest.Version, shard.cfg.Number, err)
		}
	}
	return nil
}

// agreed reports whether all shards have the version in force: an earlier publication may have reached
// only some of them.
func (t *Tenant) agreed(version uint32) bool {
	for _, shard := range t.shards {
		if c := shard.Books().Current(); c == nil || c.Version != version {
			return false
		}
	}
	return true
}

// Sweep books what fell due for at most limit accounts of each shard and returns how many it settled.
func (t *Tenant) Sweep(ctx context.Context, limit int) (int, error) {
	settled := 0
	var faults []error
	for _, shard := range t.shards {
		n, err := shard.Sweep(ctx, t.clock.Now(), limit)
		settled += n
		if err != nil {
			faults = append(faults, fmt.Errorf("sweep %s/%d: %w", t.name, shard.cfg.Number, err))
		}
	}
	return settled, errors.Join(faults...)
}
