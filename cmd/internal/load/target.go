package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/node"
)

const (
	tenantName = "bench"
	meter      = "unit"
	scale      = 6 // decimals of an amount
)

// fortune is what each account has at the start: more than any run can spend.
const fortune = credit.Amount(1e15)

// target is the server under load: a node in this process, or a child process.
type target struct {
	cfg        Config
	settings   settings
	node       *node.Node // nil while the server has a process of its own
	tenant     *accounts.Tenant
	child      *Child
	http, nats string   // where the doors are
	lines      []*line  // that clients share
	names      []string // of the working set
	another    *another // a server that is not ours; nil otherwise
}

// another is a server of another kind, that Drive measures.
type another struct {
	pid  int
	open func(client int) (Door, error)
}

func startTarget(ctx context.Context, cfg Config, dir string) (t *target, err error) {
	t = &target{cfg: cfg}
	p := profiles[cfg.Profile]
	t.settings = settings{Data: filepath.Join(dir, "data"), Views: append([]string{}, cfg.Views...), Shards: cfg.Shards, InFlight: cfg.InFlight, Doors: cfg.Door != doorProcess, Meters: p.meters}
	if p.rebuilds {
		t.settings.Views = nil
	}
	if len(cfg.Serve) > 0 {
		t.settings.Profile = cfg.ProfiledServer
		if t.child, err = StartChild(ctx, cfg.Serve, t.settings.text()); err != nil {
			return nil, err
		}
		t.http, t.nats = t.child.HTTP, t.child.NATS
		return t, nil
	}
	if t.node, err = t.settings.start(ctx); err != nil {
		return nil, err
	}
	t.http, t.nats = t.node.HTTP(), t.node.NATS()
	if t.tenant, err = t.node.Accounts().Tenant(tenantName); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// open opens the way in for one client.
func (t *target) open(_ context.Context, client int) (Door, error) {
	if t.another != nil {
		return t.another.open(client)
	}
	switch t.cfg.Door {
	case doorNATS:
		return t.openNATS(client)
	case doorHTTP:
		return newOverHTTP(t.http), nil
	}
	return &inProcess{tenant: t.tenant}, nil
}

// openBooks brings the journal into this process, if it is not in it.
func (t *target) openBooks(ctx context.Context) (err error) {
	if t.child == nil {
		return nil
	}
	t.disconnect()
	if err := t.child.Stop(); err != nil {
		return err
	}
	t.child = nil
	t.settings.Doors = false
	if t.node, err = t.settings.start(ctx); err != nil {
		return err
	}
	t.tenant, err = t.node.Accounts().Tenant(tenantName)
	return err
}

func (t *target) disconnect() {
	for _, l := range t.lines {
		l.close()
	}
	t.lines = nil
}

func (t *target) close() error {
	t.disconnect()
	var faults []error
	if t.child != nil {
		faults = append(faults, t.child.Stop())
	}
	if t.node != nil {
		faults = append(faults, t.node.Close())
	}
	return errors.Join(faults...)
}

// pid is the server's process.
func (t *target) pid() int {
	switch {
	case t.another != nil:
		return t.another.pid
	case t.child != nil:
		return t.child.Pid()
	}
	return os.Getpid()
}

// memory is what the server's process uses.
func (t *target) memory() memory { return memoryOf(t.pid()) }

// processorTime is what clients and server have used so far, on all processors.
func (t *target) processorTime() time.Duration {
	used := processorTime(os.Getpid())
	if server := t.pid(); server != os.Getpid() {
		used += processorTime(server)
		for _, child := range childrenOf(server) {
			used += processorTime(child)
		}
	}
	return used
}

// settings are what a server under load is started with, in this process or in another.
type settings struct {
	Data     string   `json:"data"`
	Views    []string `json:"views"`  // nil for all
	Shards   int      `json:"shards"` // of each tenant; 0 for one
	InFlight int      `json:"in_flight"`
	Doors    bool     `json:"doors"`
	Meters   int      `json:"meters"`  // of the catalog, beside the one that is charged
	Tenants  int      `json:"tenants"` // beside the one that is charged
	Quiet    bool     `json:"quiet"`   // only errors are logged
	Profile  string   `json:"profile"` // a file for a CPU profile of a process of its own; "" for none
}

// start starts a node with one tenant that has a catalog.
func (s settings) start(ctx context.Context) (*node.Node, error) {
	level := slog.LevelWarn
	if s.Quiet {
		level = slog.LevelError
	}
	c := node.Config{
		Data: s.Data, Views: s.Views, InFlight: s.InFlight,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	if s.Doors {
		c.Listen, c.NATSListen, c.Dev = "127.0.0.1:0", "127.0.0.1:0", true
	}
	n, err := node.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	err = s.addTenant(ctx, n, tenantName)
	for i := 0; i < s.Tenants && err == nil; i++ {
		err = s.addTenant(ctx, n, tenantName+"-"+strconv.Itoa(i))
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// addTenant makes sure that there is a tenant with a catalog.
func (s settings) addTenant(ctx context.Context, n *node.Node, name string) error {
	tenant, err := n.Accounts().Tenant(name)
	if errors.Is(err, accounts.ErrUnknownTenant) {
		if err := n.AddTenant(ctx, name, s.Shards); err != nil {
			return err
		}
		tenant, err = n.Accounts().Tenant(name)
	}
	if err != nil {
		return err
	}
	_, _, err = tenant.Publish(ctx, catalog(s.Meters), "bench")
	return err
}

// catalog is the programme that is put under load: one pool, one meter, and others beside it.
func catalog(others int) []byte {
	text := []byte(`
name: Bench
timezone: UTC
currency: USD
scale: ` + strconv.Itoa(scale) + `
pools:
  credits: {priority: 1, expires: never}
without_plan: {grants: [credits]}
meters:
  ` + meter + `: {price: "1", needs_plan: false}
`)
	for i := range others {
		text = fmt.Appendf(text, "  %s%d: {price: \"1\", needs_plan: false}\n", meter, i)
	}
	return text
}
