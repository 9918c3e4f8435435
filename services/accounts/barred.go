package accounts

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Barred is a tenant that has a journal here and is not served, because its balances cannot be trusted.
type Barred struct {
	Tenant string
	// Reason names the shard and, where there is one, the commit.
	Reason error
	// Advice is what an operator can do about it.
	Advice string
	Since  time.Time
}

// Bar ends the serving of a tenant, or keeps it from beginning: whoever asks for it gets ErrUnavailable, and all
// other tenants go on. It returns the tenant as it was served, whose shards the caller stops; nil when it was not.
// A tenant that is barred already keeps its first reason.
func (s *Service) Bar(name string, reason error, advice string) *Tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	served := s.tenants[name]
	delete(s.tenants, name)
	if _, already := s.barred[name]; !already {
		s.barred[name] = Barred{Tenant: name, Reason: reason, Advice: advice, Since: s.clock.Now()}
	}
	return served
}

// Barred are the tenants that are not served, by name.
func (s *Service) Barred() []Barred {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := slices.Collect(maps.Values(s.barred))
	slices.SortFunc(all, func(a, b Barred) int { return strings.Compare(a.Tenant, b.Tenant) })
	return all
}
