// Package load puts a server under load and then checks its books: `credits bench`.
//
// A run has three parts. Accounts are opened with enough credits. Clients in a closed loop charge them,
// in slices of time; between the slices, while nothing else uses the disk, a probe measures what one
// durable kilobyte costs there, so that the figures can be quoted in units of that and compared between
// machines. Then the journal is folded from its start by an independent path and compared, charge by
// charge, with what the clients were told.
//
// Start reading at Run; profiles.go has what a client does in each profile.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
)

// Config says what to run. Zero values stand for the defaults given.
type Config struct {
	Profile  string        // see Profiles
	Duration time.Duration // of the measured slices together; default 10 s
	Clients  int           // default 256; 8 for bulk
	Batch    int           // charges per request; default 1; 1000 for bulk
	Accounts int           // default 10,000; 1 for hot
	Lots     int           // of each account at the start; default 1
	// WorkingSet is how many of the accounts are charged; default all of them.
	WorkingSet int
	Dir        string       // where the data directory is made; default: the current one
	Keep       bool         // leave the data directory there
	Views      []string     // views that are folded beside accounts while the load runs; default none
	InFlight   int          // commits under way at once; 0: the server's default
	Profiled   io.Writer    // gets a CPU profile of the measured slices; nil: none is made
	Progress   func(string) // says what is being done
}

// Result is what a run found out. Times are in microseconds.
type Result struct {
	Profile         string  `json:"profile"`
	EventsPerSecond float64 `json:"events_per_second"`
	P50             float64 `json:"p50_us"`
	P99             float64 `json:"p99_us"`
	Max             float64 `json:"max_us"`
	Clients         int     `json:"clients"`
	Batch           int     `json:"batch"`
	Accounts        int     `json:"accounts"`
	FsyncPerCommit  bool    `json:"fsync_per_commit"`
	FsyncP50        float64 `json:"fsync_p50_us"`
	EventsPerCommit float64 `json:"events_per_commit"`
	CPU             float64 `json:"cpu_us_per_event"` // of the whole process, clients included; steadier than the clock on a shared machine
	RSS             float64 `json:"rss_mb"`           // of the whole process at the end of the load, clients included
	PeakRSS         float64 `json:"rss_peak_mb"`      // at most so far, the opening of the accounts included
	Lots            int     `json:"lots"`
	WorkingSet      int     `json:"working_set"`
	Opened          float64 `json:"accounts_opened_per_second"`

	// In units of the disk's own fsync.
	EventsPerFsync float64 `json:"events_per_fsync"`
	P50Fsyncs      float64 `json:"p50_fsyncs"`

	// The books, after the journal was folded again.
	Acknowledged int64 `json:"acknowledged"`
	InJournal    int64 `json:"in_journal"`
	Lost         int64 `json:"lost"`
	Doubled      int64 `json:"doubled"`
	Overdrawn    int64 `json:"overdrawn"`

	// Rebuilds is how many charges per second each view was rebuilt with (profile rebuild; its
	// events_per_second is the slowest).
	Rebuilds map[string]float64 `json:"rebuilds,omitempty"`

	Seconds float64  `json:"seconds"`
	Views   []string `json:"views"`
}

const (
	slice         = 500 * time.Millisecond
	probesASlice  = 40
	warmUpSlices  = 3
	highestMicros = 60_000_000
)

func (c *Config) setDefaults() error {
	if _, ok := profiles[c.Profile]; !ok {
		return fmt.Errorf("there is no profile %q; choose one of %v", c.Profile, Profiles())
	}
	if c.Duration == 0 {
		c.Duration = 10 * time.Second
	}
	bulk := c.Profile == "bulk" || c.Profile == "rebuild"
	if c.Batch == 0 {
		c.Batch = 1
		if bulk {
			c.Batch = 1000
		}
	}
	if c.Clients == 0 {
		c.Clients = 256
		if bulk {
			c.Clients = 8
		}
	}
	if c.Accounts == 0 {
		c.Accounts = 10_000
		if c.Profile == "hot" {
			c.Accounts = 1
		}
	}
	if c.Lots == 0 {
		c.Lots = 1
	}
	if c.WorkingSet == 0 {
		c.WorkingSet = c.Accounts
	}
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Clients < 1 || c.Clients > 4000 || c.Batch < 1 || c.Batch > 10_000 || c.Accounts < 1 {
		return errors.New("clients must be 1 to 4000, batch 1 to 10000, accounts at least 1")
	}
	if c.Lots < 1 || c.Lots > 1000 || c.WorkingSet < 1 || c.WorkingSet > c.Accounts {
		return errors.New("lots must be 1 to 1000, the working set at most all accounts")
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
	probe, err := newProbe(dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, probe.close()) }()
	t, err := startTarget(ctx, cfg, dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, t.close()) }()

	run := &run{cfg: cfg, target: t, probe: probe, latency: newHistogram()}
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
	if err := t.check(ctx, &run.acknowledged, &result); err != nil {
		return Result{}, err
	}
	if cfg.Profile == "rebuild" {
		return result, t.rebuildViews(ctx, &result)
	}
	return result, nil
}

// run is one run under way.
type run struct {
	cfg          Config
	target       *target
	probe        *probe
	latency      *hdrhistogram.Histogram
	acknowledged marks
	counted      int64 // charges acknowledged in measured slices
	elapsed      time.Duration
	cpu          time.Duration
	commits      uint64
	opened       float64 // accounts per second
	memory       memory
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, highestMicros, 3) }

func (r *run) load(ctx context.Context) error {
	clients := make([]*client, r.cfg.Clients)
	for i := range clients {
		clients[i] = &client{number: i, target: r.target, random: rand.New(rand.NewPCG(uint64(i), 1)), latency: newHistogram()}
	}
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	measured := max(int(r.cfg.Duration/slice), 1)
	if r.cfg.Profiled != nil {
		defer pprof.StopCPUProfile()
	}
	for n := range warmUpSlices + measured {
		if n == warmUpSlices {
			r.commits = r.target.head()
			for _, c := range clients {
				c.latency.Reset()
				c.counted = 0
			}
			r.elapsed, r.cpu = 0, 0
			if r.cfg.Profiled != nil {
				if err := pprof.StartCPUProfile(r.cfg.Profiled); err != nil {
					return fmt.Errorf("profile: %w", err)
				}
			}
		}
		if n == 0 {
			r.cfg.Progress(fmt.Sprintf("%s: %d clients, %v", r.cfg.Profile, r.cfg.Clients, r.cfg.Duration))
		}
		runtime.GC()
		if err := r.probe.run(probesASlice); err != nil {
			return err
		}
		if err := r.slice(ctx, clients); err != nil {
			return err
		}
	}
	r.commits = r.target.head() - r.commits
	r.memory = memoryNow()
	for _, c := range clients {
		r.latency.Merge(c.latency)
		r.counted += c.counted
		r.acknowledged.merge(c.number, &c.acknowledged)
	}
	return nil
}

// slice lets all clients run for a while, and waits until each has its last answer.
func (r *run) slice(ctx context.Context, clients []*client) error {
	start, cpu := time.Now(), processorTime()
	until := start.Add(slice)
	faults := make([]error, len(clients))
	var wait sync.WaitGroup
	for i, c := range clients {
		wait.Go(func() { faults[i] = c.run(ctx, profiles[r.cfg.Profile], until) })
	}
	wait.Wait()
	r.elapsed += time.Since(start)
	r.cpu += processorTime() - cpu
	return errors.Join(faults...)
}

func (r *run) result() Result {
	fsync := r.probe.median()
	result := Result{
		Profile: r.cfg.Profile, Clients: r.cfg.Clients, Batch: r.cfg.Batch, Accounts: r.cfg.Accounts, Views: r.cfg.Views,
		EventsPerSecond: float64(r.counted) / r.elapsed.Seconds(), Seconds: r.elapsed.Seconds(),
		P50: float64(r.latency.ValueAtQuantile(50)), P99: float64(r.latency.ValueAtQuantile(99)), Max: float64(r.latency.Max()),
		FsyncPerCommit: true, FsyncP50: float64(fsync.Nanoseconds()) / 1000,
		RSS: r.memory.resident, PeakRSS: r.memory.peak, Lots: r.cfg.Lots, WorkingSet: r.cfg.WorkingSet, Opened: r.opened,
	}
	if r.counted > 0 {
		result.CPU = float64(r.cpu.Nanoseconds()) / 1000 / float64(r.counted)
	}
	if r.commits > 0 {
		result.EventsPerCommit = float64(r.counted) / float64(r.commits)
	}
	result.EventsPerFsync = result.EventsPerSecond * fsync.Seconds()
	if result.FsyncP50 > 0 {
		result.P50Fsyncs = result.P50 / result.FsyncP50
	}
	return result
}

// client is one client in a closed loop: it asks, waits for the answer, and asks again.
type client struct {
	number       int
	target       *target
	random       *rand.Rand
	latency      *hdrhistogram.Histogram
	acknowledged marks
	sent         uint64
	counted      int64
	nats         *nats.Conn
	body         []byte
}

func (c *client) close() {
	if c.nats != nil {
		c.nats.Close()
	}
}

func (c *client) run(ctx context.Context, p profile, until time.Time) error {
	for {
		start := time.Now()
		if !start.Before(until) {
			return nil
		}
		n, err := p(ctx, c, start)
		if err != nil {
			return err
		}
		if err := c.latency.RecordValue(max(time.Since(start).Microseconds(), 1)); err != nil {
			return err
		}
		c.counted += int64(n)
	}
}
