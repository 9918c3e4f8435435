package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

const (
	longestSlice = 500 * time.Millisecond
	probesASlice = 40
)

// run is one run under way.
type run struct {
	cfg          Config
	profile      profile
	target       *target
	probe        *Probe
	recorded     *recorded // what of the intake was recorded; nil in other profiles
	wheel        *wheel    // drives the clients instead of a goroutine each; nil for most doors
	tallies      *tallies
	whole        measured // of all measured slices
	slices       []Slice
	acknowledged marks
	elapsed      time.Duration
	cpu          time.Duration
	opened       float64 // accounts per second
	memory       memory
}

// slice is how long a slice is: what is measured may be shorter than one.
func (c *Config) slice() time.Duration { return min(longestSlice, c.Duration) }

func (r *run) load(ctx context.Context) error {
	r.tallies = newTallies()
	if r.cfg.Profile == "intake" {
		var stop func() error
		r.recorded, stop = followRecorded(ctx, r.target)
		defer func() { _ = stop() }() // a fault was told by settle
	}
	clients, err := r.clients(ctx)
	defer func() {
		for _, c := range clients {
			c.door.Close()
		}
	}()
	if err != nil {
		return err
	}
	if r.wheel, err = r.newWheel(ctx, clients); err != nil {
		return err
	}
	if r.wheel != nil {
		defer func() { _ = r.wheel.close() }() // all answers were read
	}
	warm, measured := int(r.cfg.WarmUp/r.cfg.slice()), int(r.cfg.Duration/r.cfg.slice())
	if r.cfg.Profiled != nil {
		defer pprof.StopCPUProfile()
	}
	r.cfg.Progress(r.describe())
	for n := range warm + measured {
		if n == warm {
			if err := r.startMeasuring(); err != nil {
				return err
			}
		}
		if err := r.slice(ctx, clients); err != nil {
			return err
		}
	}
	r.memory = r.target.memory()
	for _, c := range clients {
		r.acknowledged.merge(c.number, c.acknowledged)
	}
	return nil
}

// clients makes them; those of the NATS door share connections.
func (r *run) clients(ctx context.Context) ([]*client, error) {
	clients := make([]*client, 0, r.cfg.Clients)
	for i := range r.cfg.Clients {
		c := &client{number: i, target: r.target, profile: r.profile, tallies: r.tallies, recorded: r.recorded, random: rand.New(rand.NewPCG(uint64(i), 1))}
		if r.cfg.Zipf != 0 {
			c.zipf = rand.NewZipf(c.random, r.cfg.Zipf, 1, uint64(r.cfg.WorkingSet-1))
		}
		var err error
		if c.door, err = r.target.open(ctx, i); err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func (r *run) describe() string {
	how := "a closed loop"
	if r.cfg.Rate > 0 {
		how = fmt.Sprintf("%d a second", r.cfg.Rate)
	}
	return fmt.Sprintf("%s through the door %s: %d clients, batches of %d, %s, %v", r.cfg.Profile, r.cfg.Door, r.cfg.Clients, r.cfg.Batch, how, r.cfg.Duration)
}

// startMeasuring forgets the warm-up.
func (r *run) startMeasuring() error {
	r.whole, r.slices, r.elapsed, r.cpu = newMeasured(), nil, 0, 0
	if r.recorded != nil {
		r.recorded.reset()
	}
	if r.cfg.Profiled == nil || r.profile.rebuilds { // whose rebuilds are what is profiled
		return nil
	}
	if err := pprof.StartCPUProfile(r.cfg.Profiled); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}

// slice probes the disk, lets all clients run for a while, and waits until each has its last answer.
func (r *run) slice(ctx context.Context, clients []*client) error {
	runtime.GC()
	fsync, err := r.probe.Run(probesASlice)
	if err != nil {
		return err
	}
	start, cpu := time.Now(), r.target.processorTime()
	until := start.Add(r.cfg.slice())
	if err := r.ask(ctx, clients, start, until); err != nil {
		return err
	}
	if r.recorded != nil {
		if err := r.recorded.settle(ctx); err != nil {
			return err
		}
	}
	took := time.Since(start)
	r.elapsed += took
	r.cpu += r.target.processorTime() - cpu
	r.note(took, fsync)
	return nil
}

// ask has all clients ask from start to until, and returns when they have their answers.
func (r *run) ask(ctx context.Context, clients []*client, start, until time.Time) error {
	var every time.Duration // in an open loop
	if r.cfg.Rate > 0 {
		every = time.Second * time.Duration(r.cfg.Batch) / time.Duration(r.cfg.Rate)
	}
	giveUp := until.Add(giveUpAfter)
	if r.wheel != nil {
		return r.wheel.turn(ctx, start, until, every, giveUp)
	}
	faults := make([]error, len(clients))
	var wait sync.WaitGroup
	if every > 0 {
		due := make(chan time.Time, r.due())
		wait.Go(func() { pace(ctx, start, until, every, due) })
		for i, c := range clients {
			wait.Go(func() { faults[i] = c.keepPace(ctx, due, giveUp) })
		}
	} else {
		for i, c := range clients {
			wait.Go(func() { faults[i] = c.run(ctx, until) })
		}
	}
	wait.Wait()
	return firstOf(faults)
}

// firstOf is one error for all: what many clients meet is mostly the same.
func firstOf(faults []error) error {
	faults = slices.DeleteFunc(faults, func(err error) bool { return err == nil })
	if len(faults) > 1 {
		return fmt.Errorf("%w (and %d clients more met errors)", faults[0], len(faults)-1)
	}
	return errors.Join(faults...)
}

// note keeps what a slice measured.
func (r *run) note(took, fsync time.Duration) {
	m := r.tallies.take()
	r.slices = append(r.slices, Slice{
		At: (r.elapsed - took).Seconds(), EventsPerSecond: float64(m.counted) / took.Seconds(),
		P50: float64(m.latency.ValueAtQuantile(50)), P99: float64(m.latency.ValueAtQuantile(99)), Fsync: micros(fsync),
	})
	r.whole.move(&m)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
