package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/console"
	"creditstream/services/cycles"
	"creditstream/services/front"
	"creditstream/services/intake"
	"creditstream/services/pages"
	"creditstream/services/purchases"
)

// doors is where the outside comes in, and what turns it into commands.
type doors struct {
	address   string
	listener  net.Listener
	http      *front.Front
	served    chan error
	api       *api.API
	nats      *api.NATSDoor
	intake    *intake.Intake
	sweeper   *cycles.Sweeper
	purchases *purchases.Service
	sandbox   *purchases.Sandbox
	pages     *pages.Pages
	console   *console.Console
}

func (n *Node) openDoors(ctx context.Context) error {
	d := &n.doors
	if err := d.listen(n.cfg); err != nil {
		return err
	}
	n.openPurchases()
	var err error
	d.intake, err = intake.Start(ctx, intake.Config{
		NATS: n.services, Accounts: n.accounts, Decode: api.DecodeIntake, Replicas: n.cfg.External.Replicas, Logger: n.log,
		SyncNames: n.syncNames(intake.StreamName), SyncRefusedNames: n.syncNames(intake.RefusedStreamName),
	})
	if err != nil {
		return err
	}
	for _, tenant := range n.accounts.Tenants() {
		if err := n.openFeeds(ctx, tenant.Name(), len(tenant.Shards())); err != nil {
			return err
		}
	}
	d.api = api.New(n.doorConfig())
	if err := n.openVitals(d.api.Metrics()); err != nil {
		return err
	}
	d.nats = d.api.OpenNATS()
	if err := n.openEntrances(ctx); err != nil {
		return err
	}
	d.sweeper = cycles.Start(n.accounts, cycles.Config{Logger: n.log})
	if d.listener != nil {
		handler, err := n.openPages(d.api)
		if err != nil {
			return err
		}
		d.http = front.New(front.Config{Server: api.Server(handler), Often: d.api.Often, Logger: n.log})
		d.served = make(chan error, 1)
		go func() { d.served <- d.http.Serve(d.listener) }()
	}
	d.purchases.Resume()
	n.openPatrol()
	return nil
}

func (d *doors) listen(cfg Config) error {
	if cfg.Listen == "" {
		return nil
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("open the HTTP door: %w", err)
	}
	if cfg.Dev && !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.Join(fmt.Errorf("development mode takes requests without a key, so it listens on loopback addresses only, not on %s", cfg.Listen), listener.Close())
	}
	d.listener, d.address = listener, "http://"+listener.Addr().String()
	return nil
}

// openPurchases starts the sandbox provider where it may settle payments: it gives credits for no money.
func (n *Node) openPurchases() {
	d := &n.doors
	var providers []purchases.Provider
	if d.address != "" && (n.cfg.Dev || n.cfg.AllowSandbox) {
		d.sandbox = purchases.StartSandbox(purchases.SandboxConfig{URL: d.address, Clock: n.clock.Now, Logger: n.log})
		providers = append(providers, d.sandbox)
	}
	d.purchases = purchases.New(purchases.Config{Accounts: n.accounts, Codes: n.credentials, Providers: providers, Logger: n.log})
}

func (n *Node) doorConfig() api.Config {
	clock, _ := n.clock.(*accounts.TestClock)
	return api.Config{
		Accounts: n.accounts, Credentials: n.credentials, Personal: n.personal, Logger: n.log, Dev: n.cfg.Dev, AllowSandbox: n.cfg.AllowSandbox, Limits: n.cfg.Limits,
		TestClock: clock, Purchases: n.doors.purchases, Sandbox: n.doors.sandbox, Intake: n.doors.intake,
		Advance:   func(ctx context.Context) error { return cycles.Advance(ctx, n.accounts) },
		AddTenant: n.AddTenant,
		Views:     n.views.runner,
		Statement: func(name journal.Name) (*statement.View, error) { return statement.Of(n.views.statement, name) },
		Usage:     func(name journal.Name) (*usage.View, error) { return usage.Of(n.views.usage, name) },
		Journal:   n.Journal,
		Backup:    n.Backup,
		Verify: func(ctx context.Context, v api.Verify) (any, error) {
			return n.VerifyBooks(ctx, Verifying{Tenant: v.Tenant, Shard: v.Shard, Heads: v.Heads, Progress: v.Progress})
		},
		SignedHeads: n.SignedHeads,
		Patrol: func() *projections.PatrolStatus {
			if n.patrol == nil {
				return nil
			}
			status := n.patrol.Status()
			return &status
		},
	}
}

// close stops the doors first and then what stands behind them. Whoever was let in is answered, or cut short
// when ctx ends. The error is api.ErrBusy when somebody is still there after that: then the views are in use.
func (d *doors) close(ctx context.Context) error {
	var fromNATS error
	var closing sync.WaitGroup
	if d.nats != nil {
		closing.Go(func() { fromNATS = d.nats.Close(ctx) })
	}
	var fromHTTP error
	if d.http != nil {
		fromHTTP = d.closeHTTP(ctx)
	} else if d.listener != nil {
		fromHTTP = d.listener.Close()
	}
	if d.console != nil {
		d.console.Close()
	}
	var inside error
	if d.api != nil {
		inside = d.api.Close(ctx)
	}
	closing.Wait()
	if d.pages != nil {
		d.pages.Close()
	}
	if d.intake != nil {
		d.intake.Stop()
	}
	if d.sweeper != nil {
		d.sweeper.Stop()
	}
	if d.sandbox != nil {
		d.sandbox.Close()
	}
	if d.purchases != nil {
		d.purchases.Close()
	}
	return errors.Join(fromHTTP, fromNATS, inside)
}

// closeHTTP hangs up on whoever is still connected when ctx ends; that he was is no fault.
func (d *doors) closeHTTP(ctx context.Context) error {
	err := d.http.Shutdown(ctx)
	if err != nil && ctx.Err() != nil {
		err = d.http.Close()
	}
	if served := <-d.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
