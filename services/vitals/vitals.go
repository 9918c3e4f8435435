package vitals

import (
	"context"
	"sync"
	"time"
)

// Reading is what counters stood at, at one moment. All but Queue and Lag only grow.
type Reading struct {
	Commits uint64
	Events  uint64
	// Queue is how many requests wait for a decision or its commit.
	Queue int
	// Lag is by how many commits the view that is furthest behind is behind its journal.
	Lag uint64
	// Latency counts requests by how long they took, see Latency.
	Latency Counts
	// Tenants are the events of each tenant.
	Tenants map[string]uint64
}

// Sample is what happened in one interval.
type Sample struct {
	At time.Time
	// Commits and Events are numbers per second.
	Commits, Events uint64
	// P50 and P99 are how long requests waited for their answer, a batch as one; 0 when there was none.
	P50, P99 time.Duration
	Queue    int
	Lag      uint64
}

// Config says what to read and how much to keep. Zero numbers stand for their defaults.
type Config struct {
	// Read reads the counters. It is called from one goroutine.
	Read func() Reading
	// Sampled, which may be nil, is told each sample.
	Sampled func(Sample)
	// Every is the interval; default a second.
	Every time.Duration
	// Keep is how many samples are kept; default 600.
	Keep int
	// Now is the time that samples carry; default time.Now.
	Now func() time.Time
}

// tenantWindow is over how many intervals a tenant's rate is taken.
const tenantWindow = 5

// Vitals keeps the samples. It may be asked concurrently.
type Vitals struct {
	cfg   Config
	stop  context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	ring   []Sample
	next   int       // where the next sample goes
	latest []reading // at least one; the newest comes last
}

type reading struct {
	Reading
	at time.Time
}

// Start samples until Close.
func Start(cfg Config) *Vitals {
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Keep == 0 {
		cfg.Keep = 600
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	ctx, stop := context.WithCancel(context.Background())
	v := &Vitals{cfg: cfg, stop: stop, ended: make(chan struct{}), ring: make([]Sample, 0, cfg.Keep)}
	v.latest = []reading{{cfg.Read(), cfg.Now()}}
	go v.run(ctx)
	return v
}

func (v *Vitals) run(ctx context.Context) {
	defer close(v.ended)
	ticker := time.NewTicker(v.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if sample, ok := v.take(v.cfg.Read(), v.cfg.Now()); ok && v.cfg.Sampled != nil {
				v.cfg.Sampled(sample)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the sampling. What was sampled can still be asked for.
func (v *Vitals) Close() {
	v.stop()
	<-v.ended
}

// take adds what changed since the reading before.
func (v *Vitals) take(now Reading, at time.Time) (Sample, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.latest[len(v.latest)-1]
	took := at.Sub(before.at)
	if took <= 0 {
		return Sample{}, false
	}
	timed := now.Latency.minus(before.Latency)
	sample := Sample{
		At: at, Commits: perSecond(now.Commits-before.Commits, took), Events: perSecond(now.Events-before.Events, took),
		P50: timed.Quantile(50), P99: timed.Quantile(99), Queue: now.Queue, Lag: now.Lag,
	}
	v.add(sample)
	if v.latest = append(v.latest, reading{now, at}); len(v.latest) > tenantWindow+1 {
		v.latest = v.latest[1:]
	}
	return sample, true
}

func (v *Vitals) add(s Sample) {
	if len(v.ring) < v.cfg.Keep {
		v.ring = append(v.ring, s)
		return
	}
	v.ring[v.next] = s
	v.next = (v.next + 1) % v.cfg.Keep
}

// perSecond is n in that time as a rate, rounded to the nearest.
func perSecond(n uint64, in time.Duration) uint64 {
	return (n*uint64(time.Second) + uint64(in)/2) / uint64(in)
}

// Since returns the samples after an instant, oldest first.
func (v *Vitals) Since(after time.Time) []Sample {
	v.mu.Lock()
	defer v.mu.Unlock()
	samples := make([]Sample, 0, len(v.ring))
	for i := range v.ring {
		s := v.ring[(v.next+i)%len(v.ring)]
		if s.At.After(after) {
			samples = append(samples, s)
		}
	}
	return samples
}

// Every is the interval between two samples.
func (v *Vitals) Every() time.Duration { return v.cfg.Every }

// Rate is how many events a second a tenant's journals took lately.
func (v *Vitals) Rate(tenant string) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	first, last := v.latest[0], v.latest[len(v.latest)-1]
	span := last.at.Sub(first.at)
	if span <= 0 {
		return 0
	}
	return perSecond(last.Tenants[tenant]-first.Tenants[tenant], span)
}

// Disk is how the file system of the data directory does.
type Disk struct {
	Dir string
	// Free and Size are bytes; Free is what this process may still use.
	Free, Size uint64
	// Fsync is how long it took to append 1 KiB and sync it.
	Fsync time.Duration
}
