// Package load puts a server under load and then checks its books: `credits bench`.
//
// A run has three parts. Accounts are opened with enough credits. Clients charge them, in slices of time:
// in a closed loop (each asks, waits for its answer and asks again) or in an open one (requests are due at
// a fixed rate, whoever is slow, and their latency counts from when they were due). Between the slices,
// while nothing else uses the disk, a probe measures what one durable kilobyte costs there, so that the
// figures can be quoted in units of that and compared between machines. Then the journal is folded from
// its start by an independent path and compared, charge by charge, with what the clients were told.
//
// Start reading at Run; profiles.go has what a client does in each profile, process.go, nats.go and http.go
// the doors that it goes through, openloop.go the fixed rate, wheel_linux.go how all clients of the HTTP door
// share a goroutine. The server runs in this process or, with Config.Serve, in one of its own, as that of a
// peer does.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"creditstream/projections/statement"
	"creditstream/projections/usage"
)

// Config says what to run. Zero values stand for the defaults given.
type Config struct {
	Profile  string        // see Profiles
	Door     string        // how the clients reach the server: process, nats, http; default: the profile's
	Duration time.Duration // of the measured slices together; default 10 s
	WarmUp   time.Duration // before them; default 1.5 s
	Clients  int           // requests under way at once; default 256; 8 for bulk, 1 for matrix
	Batch    int           // charges per request; default 1; 1000 for bulk
	Accounts int           // default 10,000; 1 for hot, 100 for matrix
	Lots     int           // of each account at the start; default 1
	// WorkingSet is how many of the accounts are charged; default all of them.
	WorkingSet int
	// Zipf is the exponent by which some accounts are charged more than others, above 1; 0 charges all
	// alike. Default 1.1 for mixed.
	Zipf float64
	// Rate, when set, is how many charges a second are due, whatever becomes of those before.
	Rate int
	// Connections is how many connections the clients share at the NATS door; default one for 64 clients, and four
	// for more than 192.
	Connections int
	Dir         string    // where the data directory is made; default: the current one
	Keep        bool      // leave the data directory there
	Views       []string  // views that are folded beside accounts while the load runs; default none
	Shards      int       // journals of the tenant; default 1
	InFlight    int       // commits under way at once; 0: the server's default
	Profiled    io.Writer // gets a CPU profile of the measured slices; nil: none is made
	// ProfiledServer is a file for the CPU profile of a server in a process of its own, from its start to its stop.
	ProfiledServer string
	Progress       func(string) // says what is being done
	// Serve is a command line that runs Serve, for a server in a process of its own; empty runs it in this one.
	Serve []string
}

// usualConnections is how many connections the clients share at most by themselves. Each more makes what leaves in one
// write smaller.
const usualConnections = 4

// Check reports what no run could be made of.
func (c Config) Check() error { return c.setDefaults() }

func (c *Config) setDefaults() error {
	p, ok := profiles[c.Profile]
	if !ok {
		return fmt.Errorf("there is no profile %q; choose one of %v", c.Profile, Profiles())
	}
	orInt := func(value *int, otherwise ...int) {
		for _, o := range otherwise {
			if *value == 0 {
				*value = o
			}
		}
	}
	orInt(&c.Batch, p.batch, 1)
	orInt(&c.Clients, p.clients, 256)
	orInt(&c.Accounts, p.accounts, 10_000)
	orInt(&c.Lots, 1)
	orInt(&c.Shards, 1)
	orInt(&c.WorkingSet, c.Accounts)
	orInt(&c.Connections, min((c.Clients+63)/64, usualConnections))
	if c.Duration == 0 {
		c.Duration = 10 * time.Second
	}
	if c.WarmUp == 0 {
		c.WarmUp = 3 * longestSlice
	}
	if c.Zipf == 0 {
		c.Zipf = p.zipf
	}
	if c.Door == "" {
		c.Door = doorProcess
		if len(p.doors) > 0 {
			c.Door = p.doors[0]
		}
	}
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c.check(p)
}

// besideAccounts are the views that Config.Views may name.
var besideAccounts = []string{statement.Fold{}.Name(), usage.Fold{}.Name()}

func (c *Config) check(p profile) error {
	switch {
	case c.Clients < 1 || c.Clients > 4000 || c.Batch < 1 || c.Batch > 10_000 || c.Accounts < 1:
		return errors.New("clients must be 1 to 4000, batch 1 to 10000, accounts at least 1")
	case c.Lots < 1 || c.Lots > 800 || c.WorkingSet < 1 || c.WorkingSet > c.Accounts:
		return errors.New("lots must be 1 to 800 (an import is one entry), the working set at most all accounts")
	case c.Shards < 1 || c.Shards > 64:
		return fmt.Errorf("shards must be 1 to 64, not %d", c.Shards)
	case c.Zipf != 0 && c.Zipf <= 1:
		return fmt.Errorf("the exponent of Zipf's law is above 1 (1.1 is common), not %g", c.Zipf)
	case c.Rate < 0:
		return fmt.Errorf("the rate must be positive, or 0 for a closed loop, not %d", c.Rate)
	case c.Rate > 0 && p.rebuilds:
		return fmt.Errorf("profile %s measures rebuilds, which have no rate to keep", c.Profile)
	case c.Connections < 1 || c.Connections > c.Clients:
		return errors.New("the connections must be at least 1, and no more than the clients")
	case !p.through(c.Door):
		return fmt.Errorf("profile %s goes through the door %v, not %q", c.Profile, p.doorNames(), c.Door)
	case len(c.Serve) > 0 && (p.inside || c.Door == doorProcess):
		return fmt.Errorf("profile %s through the door %q needs the server in this process", c.Profile, c.Door)
	}
	for _, view := range c.Views {
		if !slices.Contains(besideAccounts, view) {
			return fmt.Errorf("there is no view %q to fold beside accounts; choose of %v", view, besideAccounts)
		}
	}
	return nil
}

// Run makes a data directory, runs the profile and checks the books.
func Run(ctx context.Context, cfg Config) (result Result, err error) {
	if err := cfg.setDefaults(); err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "credits-bench-")
	if err != nil {
		return Result{}, fmt.Errorf("make a data directory: %w", err)
	}
	if !cfg.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	probe, err := NewProbe(dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, probe.Close()) }()
	t, err := startTarget(ctx, cfg, dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, t.close()) }()

	run := &run{cfg: cfg, profile: profiles[cfg.Profile], target: t, probe: probe, whole: newMeasured()}
	cfg.Progress(fmt.Sprintf("opening %d accounts", cfg.Accounts))
	start := time.Now()
	if err := t.openAccounts(ctx); err != nil {
		return Result{}, err
	}
	run.opened = float64(cfg.Accounts) / time.Since(start).Seconds()
	if err := run.load(ctx); err != nil {
		return Result{}, err
	}
	result = run.result()
	cfg.Progress("folding the journal again")
	if err := t.openBooks(ctx); err != nil {
		return Result{}, err
	}
	if err := t.check(ctx, &run.acknowledged, &result); err != nil {
		return Result{}, err
	}
	if run.profile.rebuilds {
		return result, t.rebuildViews(ctx, &result)
	}
	return result, nil
}

// Drive loads a server of another kind, whose process is given, in the same way: the same clients, keys and
// accounts, which are there already, the same slices and the same probe of the same disk. The doors are the
// caller's, and so are the books: Acknowledged is all that it needs for them, the warm-up included. Of the
// settings only the profiles that charge make sense.
func Drive(ctx context.Context, cfg Config, pid int, open func(client int) (Door, error)) (result Result, err error) {
	if err := cfg.setDefaults(); err != nil {
		return Result{}, err
	}
	probe, err := NewProbe(cfg.Dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, probe.Close()) }()
	t := &target{cfg: cfg, another: &another{pid: pid, open: open}}
	t.nameAccounts()
	run := &run{cfg: cfg, profile: profiles[cfg.Profile], target: t, probe: probe, whole: newMeasured()}
	if err := run.load(ctx); err != nil {
		return Result{}, err
	}
	result = run.result()
	run.acknowledged.each(func(int, uint64) { result.Acknowledged++ })
	return result, nil
}
