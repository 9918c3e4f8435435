package console

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"creditstream/events/journal"
	"creditstream/projections/statement"
	"creditstream/services/accounts"
)

// tenantRow is one tenant in the list.
type tenantRow struct {
	Name     string
	Shards   int
	Catalog  uint32
	Commits  uint64
	Rate     uint64 // events a second
	Counted  bool   // Totals is known
	Totals   statement.Totals
	State    string // "serving", "stopped" or "barred"
	Why      string
	Advice   string // what an operator can do about it
	Language string
}

func (v *visit) tenants() error {
	wanted := strings.TrimSpace(v.r.URL.Query().Get("q"))
	var rows []tenantRow
	v.count(v.cfg.Accounts.Tenants())
	for _, t := range v.cfg.Accounts.Tenants() {
		if strings.Contains(t.Name(), wanted) {
			rows = append(rows, v.tenantRow(t))
		}
	}
	for _, b := range v.barred() {
		if strings.Contains(b.Tenant, wanted) {
			rows = append(rows, tenantRow{Name: b.Tenant, State: "barred", Why: b.Why, Advice: b.Advice})
		}
	}
	slices.SortFunc(rows, func(a, b tenantRow) int { return strings.Compare(a.Name, b.Name) })
	more := max(0, len(rows)-maxRows)
	return v.write(http.StatusOK, "tenants", "Tenants", map[string]any{"Rows": rows[:len(rows)-more], "More": more, "Q": wanted})
}

// maxRows bounds a list that has no pages.
const maxRows = 500

func (v *visit) tenantRow(t *accounts.Tenant) tenantRow {
	row := tenantRow{Name: t.Name(), Shards: len(t.Shards()), Rate: v.cfg.Vitals.Rate(t.Name()), State: "serving"}
	if catalog := t.Books().Current(); catalog != nil {
		row.Catalog, row.Language = catalog.Version, catalog.Language
	}
	for _, s := range t.Shards() {
		row.Commits += s.Head()
		if err := s.Failed(); err != nil {
			row.State, row.Why = "stopped", err.Error()
		}
	}
	row.Totals, row.Counted = v.counted(t)
	return row
}

// barred are the tenants that are not served.
func (c *Console) barred() []barred {
	var list []barred
	for _, b := range c.cfg.Accounts.Barred() {
		list = append(list, barred{Tenant: b.Tenant, Why: b.Reason.Error(), Advice: b.Advice, Since: b.Since})
	}
	return list
}

// Counting goes over all accounts of a tenant: it is done behind the pages, at most so often and so far. A
// page waits a moment for it.
const (
	countAgain = 10 * time.Second
	countMost  = 1_000_000
	countWait  = 300 * time.Millisecond
)

// census is the last count of each tenant.
type census struct {
	mu      sync.Mutex
	tenants map[string]counted
	running chan struct{} // closed when the present round has ended; nil while none runs
}

type counted struct {
	statement.Totals
	at   time.Time
	head uint64 // of all shards, when it was counted
}

func headOf(t *accounts.Tenant) (head uint64) {
	for _, s := range t.Shards() {
		head += s.Head()
	}
	return head
}

// counted is the last count of a tenant.
func (c *Console) counted(t *accounts.Tenant) (statement.Totals, bool) {
	c.census.mu.Lock()
	defer c.census.mu.Unlock()
	last, known := c.census.tenants[t.Name()]
	return last.Totals, known
}

// count has the tenants counted that wrote something since, behind the page, and waits a moment.
func (v *visit) count(tenants []*accounts.Tenant) {
	v.census.mu.Lock()
	var stale []*accounts.Tenant
	for _, t := range tenants {
		last, known := v.census.tenants[t.Name()]
		if !known || last.head != headOf(t) && v.cfg.Now().Sub(last.at) > countAgain {
			stale = append(stale, t)
		}
	}
	if len(stale) > 0 && v.census.running == nil && v.cfg.Statement != nil && v.Console.ctx.Err() == nil {
		ended := make(chan struct{})
		v.census.running = ended
		v.behind.Go(func() { v.Console.recount(stale, ended) })
	}
	running := v.census.running
	v.census.mu.Unlock()
	if running == nil {
		return
	}
	select {
	case <-running:
	case <-time.After(countWait):
	case <-v.ctx.Done():
	}
}

func (c *Console) recount(tenants []*accounts.Tenant, ended chan struct{}) {
	for _, t := range tenants {
		next := counted{at: c.cfg.Now(), head: headOf(t)}
		if err := c.add(&next.Totals, t); err != nil {
			c.log.Warn("count the accounts of a tenant", "tenant", t.Name(), "error", err)
			continue
		}
		c.census.mu.Lock()
		if c.census.tenants == nil {
			c.census.tenants = make(map[string]counted)
		}
		c.census.tenants[t.Name()] = next
		c.census.mu.Unlock()
	}
	c.census.mu.Lock()
	c.census.running = nil
	c.census.mu.Unlock()
	close(ended)
}

// add counts all shards of a tenant.
func (c *Console) add(sum *statement.Totals, t *accounts.Tenant) error {
	for shard := range t.Shards() {
		view, err := c.cfg.Statement(journal.Name{Tenant: t.Name(), Shard: shard})
		if err != nil {
			return err
		}
		part, err := view.Totals(c.ctx, countMost-min(countMost, sum.Accounts))
		if err != nil {
			return err
		}
		sum.Accounts, sum.Facts, sum.More = sum.Accounts+part.Accounts, sum.Facts+part.Facts, sum.More || part.More
	}
	return nil
}

func (v *visit) tenantStart() error { return v.goTo(home + "/t/" + v.tenant.Name() + "/accounts") }
