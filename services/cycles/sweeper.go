package cycles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"creditstream/services/accounts"
)

// Config says how the sweeper is paced. Zero numbers stand for their defaults.
type Config struct {
	// Every is how often the tenants are looked at while nothing is due. Default 1 s.
	Every time.Duration
	// Batch is how many accounts of one shard are settled at once: what a customer's request may have to
	// wait for, about 10 µs each. Default 100.
	Batch int
	// RestFactor is how many times as long as a batch took the sweeper rests after it, so that a
	// midnight that everybody shares takes a fixed part of the machine. Default 3, which is a quarter.
	RestFactor int
	Logger     *slog.Logger
}

// Sweeper is the goroutine that books what fell due.
type Sweeper struct {
	cfg      Config
	accounts *accounts.Service
	log      *slog.Logger
	cancel   context.CancelFunc
	done     chan struct{}
	failing  map[string]bool // tenants whose last sweep failed: said once, not every second
}

// Start sweeps all tenants of the service until Stop, those added later included.
func Start(service *accounts.Service, cfg Config) *Sweeper {
	cfg.Every = cmp.Or(cfg.Every, time.Second)
	cfg.Batch = cmp.Or(cfg.Batch, 100)
	cfg.RestFactor = cmp.Or(cfg.RestFactor, 3)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sweeper{cfg: cfg, accounts: service, log: cfg.Logger, cancel: cancel, done: make(chan struct{}), failing: make(map[string]bool)}
	go s.run(ctx)
	return s
}

// Stop ends the sweeper; a batch under way is finished first.
func (s *Sweeper) Stop() {
	s.cancel()
	<-s.done
}

// run goes round the tenants, one batch of each at a time, so that none of them keeps the others waiting;
// after a round that found nothing it rests for Every.
func (s *Sweeper) run(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		found := false
		for _, t := range s.accounts.Tenants() {
			started := time.Now()
			if s.sweep(ctx, t) == 0 {
				continue
			}
			found = true
			s.rest(ctx, time.Duration(s.cfg.RestFactor)*time.Since(started))
		}
		if !found {
			s.rest(ctx, s.cfg.Every)
		}
	}
}

func (s *Sweeper) sweep(ctx context.Context, t *accounts.Tenant) int {
	settled, err := t.Sweep(ctx, s.cfg.Batch)
	switch {
	case err == nil:
		delete(s.failing, t.Name())
	case ctx.Err() != nil:
	case !s.failing[t.Name()]:
		s.failing[t.Name()] = true
		s.log.Warn("what fell due cannot be booked at the moment; whoever asks is answered as if it were", "tenant", t.Name(), "error", err)
	}
	if err != nil {
		return 0
	}
	return settled
}

func (s *Sweeper) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// advanceBatch is how many accounts of a shard Advance settles at once.
const advanceBatch = 2000

// Advance books everything that is due in all tenants, and returns when nothing is: what a test clock
// calls after it was set. The first fault ends the work of its tenant, not of the others.
func Advance(ctx context.Context, service *accounts.Service) error {
	var faults []error
	for _, t := range service.Tenants() {
		for {
			settled, err := t.Sweep(ctx, advanceBatch)
			if err != nil {
				faults = append(faults, fmt.Errorf("book what is due for %s: %w", t.Name(), err))
				break
			}
			if settled == 0 {
				break
			}
		}
	}
	return errors.Join(faults...)
}
