// Package peers measures Creditstream beside what one would build instead, on the same machine, disk, accounts
// and lots: a PostgreSQL function and a Redis script that keep the same promises (an idempotency key with its
// content, lots drawn down in burn order, a line of history, and all of it on disk before the answer), each in
// the shape that those who know it best would choose. All speak over loopback TCP to a server in a process of
// its own, and are driven by the same clients (load.Drive). Beside them stand the raw limits: what JetStream,
// Pebble and the disk do alone.
//
// Start reading at Run. postgres.sql and redis.lua are the peers' ledgers.
package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"creditstream/cmd/internal/load"
)

const (
	meter = "unit"
	price = 1_000_000 // of a charge, in the smallest unit: one credit of six decimals
	// fortune is what each account has at the start; more than a run spends, and exact in the numbers of Lua.
	fortune int64 = 1e15
	// contentHash stands for the hash of a request's content: 32 bytes, as one would store them.
	contentHash = "0123456789abcdef0123456789abcdef"
)

// Config says what to measure. Zero values stand for the defaults given.
type Config struct {
	Dir      string        // on whose disk everything is kept; default: the current directory
	Duration time.Duration // of each measurement; default 5 s
	WarmUp   time.Duration // default 1 s
	Rounds   int           // how often each shape is measured, all in turn; default 3
	Accounts int           // default 10,000
	Lots     int           // of each account; default 1
	Views    []string      // that Creditstream folds meanwhile, beside accounts
	Only     []string      // names of shapes; default all
	Quick    bool          // do not try concurrencies: take the first
	Serve    []string      // the command line of load.Serve
	Progress func(string)
}

func (c *Config) setDefaults() {
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.Duration == 0 {
		c.Duration = 5 * time.Second
	}
	if c.WarmUp == 0 {
		c.WarmUp = time.Second
	}
	c.Rounds, c.Accounts, c.Lots = max(c.Rounds, 1), max(c.Accounts, 1), max(c.Lots, 1)
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
}

// shape is one way to use one system.
type shape struct {
	name    string // by which targets and --only name it
	how     string
	measure func(ctx context.Context) (load.Result, string, error)
}

// Measured is what the rounds of a shape came to.
type Measured struct {
	Name      string      `json:"name"`
	How       string      `json:"how"`
	PerSecond load.Spread `json:"events_per_second"`
	P50       load.Spread `json:"p50_us"`
	P99       load.Spread `json:"p99_us"`
	CPU       float64     `json:"cpu_us_per_event"` // median
	Fsync     float64     `json:"fsync_p50_us"`     // median
	Books     string      `json:"books"`            // of the last round; a round whose books do not close ends the run
}

// Report is all that was found out.
type Report struct {
	Rounds   int        `json:"rounds"`
	Seconds  float64    `json:"seconds"` // of each measurement
	Accounts int        `json:"accounts"`
	Lots     int        `json:"lots"`
	Views    []string   `json:"views"` // folded by Creditstream beside accounts
	Shapes   []Measured `json:"shapes"`
	Missing  []string   `json:"missing"` // what is not installed, and how to install it
	Targets  []Target   `json:"targets"`
}

// contest is a run under way.
type contest struct {
	Config
	postgres *postgres
	report   Report
}

// Run measures all shapes, one after the other, as many rounds as were asked for.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	cfg.setDefaults()
	c := &contest{Config: cfg, report: Report{Rounds: cfg.Rounds, Seconds: cfg.Duration.Seconds(), Accounts: cfg.Accounts, Lots: cfg.Lots, Views: append([]string{}, cfg.Views...), Missing: []string{}}}
	absolute, err := filepath.Abs(cfg.Dir) // servers are started in directories of their own
	if err != nil {
		return Report{}, err
	}
	dir, remove, err := scratch(absolute)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	c.Dir = dir
	shapes, err := c.shapes(ctx)
	if c.postgres != nil {
		defer func() { err = errors.Join(err, c.postgres.stop()) }()
	}
	if err != nil {
		return Report{}, err
	}
	results := make([][]load.Result, len(shapes))
	books := make([]string, len(shapes))
	for round := range cfg.Rounds {
		for i, s := range shapes {
			c.Progress(fmt.Sprintf("round %d of %d: %s", round+1, cfg.Rounds, s.name))
			result, told, err := s.measure(ctx)
			if err != nil {
				return Report{}, fmt.Errorf("%s: %w", s.name, err)
			}
			results[i], books[i] = append(results[i], result), told
		}
	}
	for i, s := range shapes {
		c.report.Shapes = append(c.report.Shapes, measuredOf(s, results[i], books[i]))
	}
	c.report.Targets = targetsOf(c.report.Shapes)
	return c.report, nil
}

func measuredOf(s shape, results []load.Result, books string) Measured {
	spread := func(figure func(load.Result) float64) load.Spread {
		figures := make([]float64, len(results))
		for i, r := range results {
			figures[i] = figure(r)
		}
		return load.SpreadOf(figures)
	}
	return Measured{
		Name: s.name, How: s.how, Books: books,
		PerSecond: spread(func(r load.Result) float64 { return r.EventsPerSecond }),
		P50:       spread(func(r load.Result) float64 { return r.P50 }),
		P99:       spread(func(r load.Result) float64 { return r.P99 }),
		CPU:       spread(func(r load.Result) float64 { return r.CPU }).Median,
		Fsync:     spread(func(r load.Result) float64 { return r.FsyncP50 }).Median,
	}
}

// base is what all measurements have in common.
func (c *contest) base(clients, batch int) load.Config {
	return load.Config{
		Profile: "spend", Clients: clients, Batch: batch, Accounts: c.Accounts, Lots: c.Lots,
		Duration: c.Duration, WarmUp: c.WarmUp, Dir: c.Dir,
	}
}

// wanted says whether a shape was asked for.
func (c *contest) wanted(name string) bool { return len(c.Only) == 0 || slices.Contains(c.Only, name) }

// shapes lists what is measured, like beside like, so that what drifts on the machine drifts for both.
func (c *contest) shapes(ctx context.Context) ([]shape, error) {
	var all []shape
	add := func(s shape) {
		if c.wanted(s.name) {
			all = append(all, s)
		}
	}
	redis, err := c.redisShapes(ctx)
	if err != nil {
		return nil, err
	}
	pg, err := c.postgresShapes(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range c.creditstream() {
		add(s)
		for _, peer := range slices.Concat(redis[s.name], pg[s.name]) {
			add(peer)
		}
	}
	for _, s := range c.raw() {
		add(s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("nothing is left to measure of %v", c.Only)
	}
	return all, nil
}

// The names of shapes.
const (
	nats256, nats1000, natsBatches, http256 = "creditstream nats 256", "creditstream nats 1000", "creditstream nats batches", "creditstream http"
	redis256, redis1000, redisPipelines     = "redis 256", "redis 1000", "redis pipelines"
	postgresOne, postgresMany               = "postgres", "postgres bulks"
	inProcess, inProcessBatches             = "creditstream in process", "creditstream in process batches"
	rawSpend, rawBulk                       = "its parts", "its parts batches"
	rawJetStream, rawPebble, rawFsync       = "jetstream alone", "pebble alone", "fsync alone"
	batchClients, batchSize                 = 8, 1000
)

// creditstream is our own doors.
func (c *contest) creditstream() []shape {
	through := func(name, how, profile string, clients, batch int) shape {
		return shape{name: name, how: how, measure: func(ctx context.Context) (load.Result, string, error) {
			cfg := c.base(clients, batch)
			cfg.Profile, cfg.Views, cfg.Serve = profile, c.Views, c.Serve
			if profile == "spend" {
				cfg.Serve = nil
			}
			r, err := load.Run(ctx, cfg)
			if err == nil && r.Lost+r.Doubled+r.Overdrawn > 0 {
				err = fmt.Errorf("the books do not close: %d lost, %d doubled, %d overdrawn", r.Lost, r.Doubled, r.Overdrawn)
			}
			return r, fmt.Sprintf("%d acknowledged, lost, doubled and overdrawn 0", r.Acknowledged), err
		}}
	}
	return []shape{
		through(inProcess, "one event a call, 256 clients in the process", "spend", 256, 1),
		through(inProcessBatches, "batches of 1000, 8 clients in the process", "spend", batchClients, batchSize),
		through(nats256, "NATS, one event a request, 256 in flight", "nats", 256, 1),
		through(nats1000, "NATS, one event a request, 1000 in flight", "nats", 1000, 1),
		through(natsBatches, "NATS, batches of 1000, 8 in flight", "nats", batchClients, batchSize),
		through(http256, "HTTP, one event a request, 256 connections", "http", 256, 1),
	}
}

// redisShapes are those of Redis by the shape of ours that they are like.
func (c *contest) redisShapes(ctx context.Context) (map[string][]shape, error) {
	like := map[string]shape{
		nats256:     {name: redis256, how: "Lua script, one a request, 256 in flight"},
		nats1000:    {name: redis1000, how: "Lua script, one a request, 1000 in flight"},
		natsBatches: {name: redisPipelines, how: "Lua script, pipelines of 1000, 8 in flight"},
	}
	clients := map[string]load.Config{nats256: c.base(256, 1), nats1000: c.base(1000, 1), natsBatches: c.base(batchClients, batchSize)}
	found := make(map[string][]shape)
	for ours, s := range like {
		if !c.wanted(s.name) {
			continue
		}
		cfg, multiplex := clients[ours], multiplexes[0]
		if err := installed("redis-server", "Redis is not installed: apt-get install -y redis-server"); err != nil {
			c.report.Missing = append(c.report.Missing, err.Error())
			return nil, nil
		}
		if !c.Quick {
			c.Progress("trying how many connections are best for " + s.name)
			var err error
			if multiplex, err = bestRedis(ctx, c.Dir, cfg); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		s.how += fmt.Sprintf(", over %d connections", 1<<multiplex)
		s.measure = func(ctx context.Context) (load.Result, string, error) {
			return measureRedis(ctx, c.Dir, cfg, multiplex)
		}
		found[ours] = []shape{s}
	}
	return found, nil
}

// postgresShapes are those of PostgreSQL by the shape of ours that they are like.
func (c *contest) postgresShapes(ctx context.Context) (map[string][]shape, error) {
	if !c.wanted(postgresOne) && !c.wanted(postgresMany) {
		return nil, nil
	}
	if _, err := postgresBinary(); err != nil {
		c.report.Missing = append(c.report.Missing, err.Error())
		return nil, nil
	}
	var err error
	if c.postgres, err = startPostgres(ctx, c.Dir); err != nil {
		return nil, err
	}
	of := func(name, how string, batch int, tries []int) ([]shape, error) {
		if !c.wanted(name) {
			return nil, nil
		}
		cfg, delay := c.base(tries[0], batch), 0
		if !c.Quick {
			c.Progress("trying which concurrency is best for " + name)
			if cfg.Clients, delay, err = c.postgres.best(ctx, cfg, tries); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		how += fmt.Sprintf(", %d connections, commit_delay %d µs", cfg.Clients, delay)
		return []shape{{name: name, how: how, measure: func(ctx context.Context) (load.Result, string, error) {
			return c.postgres.measure(ctx, cfg, delay)
		}}}, nil
	}
	one, err := of(postgresOne, "function, one a call", 1, triesOfOne)
	if err != nil {
		return nil, err
	}
	many, err := of(postgresMany, "function by sets, 1000 a call", batchSize, triesOfMany)
	return map[string][]shape{http256: one, natsBatches: many}, err
}

// allRecorded returns an error unless every charge was.
func allRecorded(statuses []string, n int) error {
	if len(statuses) != n {
		return fmt.Errorf("%d answers to %d charges", len(statuses), n)
	}
	for _, s := range statuses {
		if s != "recorded" {
			return fmt.Errorf("a charge was %s", s)
		}
	}
	return nil
}

// scratch makes a directory, and says how to remove it.
func scratch(parent string) (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp(parent, "credits-peers-"); err != nil {
		return "", nil, fmt.Errorf("make a directory: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, os.Chmod(dir, 0o711)
}
