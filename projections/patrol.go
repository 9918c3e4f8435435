package projections

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
)

// PatrolConfig says how the continuous check goes.
type PatrolConfig struct {
	// Share of one processor that it may take, above 0 and at most 1.
	Share float64
	// Busy reports whether the server has work waiting; then the patrol takes a tenth of its share. nil: never.
	Busy func() bool
	// Between is the least time from one round to the next; 0 means a second: a journal of ten commits need not
	// be read all the time.
	Between time.Duration
	// Found is told each difference, on the patrol's goroutine. The journal is left alone from then on when it
	// is the journal that is damaged.
	Found func(Finding)
	// Now tells the time of a round's end; nil is time.Now.
	Now func() time.Time
	// Logger gets what the patrol could not look at; nil discards it.
	Logger *slog.Logger
}

// Finding is one thing that is not as the journal says.
type Finding struct {
	Name Name
	// View is where it is; "" for the journal itself.
	View string
	// Err names tenant, shard and the commit or the records.
	Err error
	// Differences describes records of a view.
	Differences []Difference
}

// PatrolStatus is how far the patrol is.
type PatrolStatus struct {
	// Position of Total commits, over all journals, were checked in the present round.
	Position, Total uint64
	// Rounds counts the full ones; LastRound is when the last one ended.
	Rounds    uint64
	LastRound time.Time
	// Compared counts the accounts whose records were compared with their refold, Found the differences.
	Compared, Found uint64
}

// Patrol walks all journals of a runner round and round, at a rate that leaves the processor to others. It
// checks the chain, commit by commit, and holds the views' records of some accounts against a refold of these:
// other accounts in each round. Its memory is bounded: it holds one slice of commits, and the entries of
// sampledAccounts accounts in a store in memory, each up to sampledEntries.
type Patrol struct {
	cfg    PatrolConfig
	runner *Runner
	stop   context.CancelFunc
	ended  chan struct{}
	left   map[Name]bool           // journals that are damaged
	sample map[Name]map[string]int // accounts to compare in this round, with the entries seen of each

	mu     sync.Mutex
	status PatrolStatus
}

// Bounds of what one visit to a journal holds and does between two pauses.
const (
	sampledAccounts = 16
	sampledEntries  = 10_000
	patrolSlice     = 64 // commits
)

// Patrol starts one. Close it before the runner.
func (r *Runner) Patrol(cfg PatrolConfig) *Patrol {
	if cfg.Busy == nil {
		cfg.Busy = func() bool { return false }
	}
	if cfg.Between == 0 {
		cfg.Between = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Patrol{cfg: cfg, runner: r, stop: stop, ended: make(chan struct{}), left: make(map[Name]bool), sample: make(map[Name]map[string]int)}
	go func() {
		defer close(p.ended)
		p.run(ctx)
	}()
	return p
}

// Close ends it and returns when it is over.
func (p *Patrol) Close() {
	p.stop()
	<-p.ended
}

// Status is how far it is.
func (p *Patrol) Status() PatrolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *Patrol) note(change func(*PatrolStatus)) {
	p.mu.Lock()
	change(&p.status)
	p.mu.Unlock()
}

func (p *Patrol) run(ctx context.Context) {
	for ctx.Err() == nil {
		beats := p.beats()
		p.note(func(s *PatrolStatus) {
			s.Position, s.Total = 0, 0
			for _, b := range beats {
				s.Total += b.journal.Head().Sequence
			}
		})
		for _, b := range beats {
			if ctx.Err() == nil {
				p.walk(ctx, b)
			}
		}
		if ctx.Err() == nil {
			p.note(func(s *PatrolStatus) { s.Rounds, s.LastRound = s.Rounds+1, p.cfg.Now() })
		}
		p.sleep(ctx, p.cfg.Between)
	}
}

func (p *Patrol) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// beat is one journal with its views.
type beat struct {
	name    Name
	journal Journal
	views   []*shard
	kinds   []*kind
}

// beats are the journals that the runner keeps views of, but for those that are known to be damaged.
func (p *Patrol) beats() []*beat {
	byName := make(map[Name]*beat)
	var all []*beat
	for _, k := range p.runner.kinds {
		k.mu.Lock()
		for name, s := range k.shards {
			b := byName[name]
			if b == nil && !p.left[name] {
				b = &beat{name: name, journal: s.journal}
				byName[name] = b
				all = append(all, b)
			}
			if b != nil && s.err == nil {
				b.views, b.kinds = append(b.views, s), append(b.kinds, k)
			}
		}
		k.mu.Unlock()
	}
	return all
}

// walk goes over one journal from its start to its end, and compares the sample of accounts at the end.
func (p *Patrol) walk(ctx context.Context, b *beat) {
	r := &refold{beat: b, accounts: p.sample[b.name], next: newPick(), at: b.journal.Start()}
	defer r.close()
	err := r.open()
	if err == nil {
		err = p.advance(ctx, r, b.journal.Head())
	}
	if err == nil && len(r.accounts) > 0 {
		err = p.compare(ctx, r)
	}
	p.sample[b.name] = r.next.accounts()
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, journal.ErrDamaged) || errors.Is(err, ErrDamaged):
		p.left[b.name] = true
		p.found(Finding{Name: b.name, Err: err})
	case err != nil:
		p.cfg.Logger.Warn("the patrol could not look at a journal to its end", "journal", b.name.String(), "reason", err)
	}
}

func (p *Patrol) found(f Finding) {
	p.note(func(s *PatrolStatus) { s.Found++ })
	p.cfg.Logger.Error("the patrol found a difference", "journal", f.Name.String(), "view", f.View, "reason", f.Err)
	if p.cfg.Found != nil {
		p.cfg.Found(f)
	}
}

// advance reads up to a place, slice by slice, and pauses after each. Nothing is held during a pause.
func (p *Patrol) advance(ctx context.Context, r *refold, to Head) error {
	for failures := 0; r.at.Sequence < to.Sequence; {
		began := time.Now()
		before := r.at.Sequence
		err := r.slice(ctx, to.Sequence)
		p.note(func(s *PatrolStatus) { s.Position += r.at.Sequence - before })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// What the disk or the network did to one reading is not in the journal: damage is there again.
			if failures++; failures == 3 {
				return err
			}
		} else {
			failures = 0
		}
		share := p.cfg.Share
		if p.cfg.Busy() {
			share /= 10
		}
		p.sleep(ctx, time.Duration(float64(time.Since(began))*(1-share)/share))
	}
	if r.at.Sequence == to.Sequence && r.at != to {
		return &journal.At{Sequence: to.Sequence, Err: fmt.Errorf("journal %s: %w: it has hash %s, and %s was acknowledged", r.beat.name, journal.ErrDamaged, r.at.Hash, to.Hash)}
	}
	return nil
}

// refold is a walk under way: where it is, and the views of the sampled accounts alone, in memory.
type refold struct {
	beat     *beat
	at       Head
	accounts map[string]int
	next     *pick
	stores   []*Store
	folds    []*folding
	decoder  credit.Decoder
	upTo     []uint64 // for each fold, where its view is; 0: not known yet
}

func (r *refold) close() {
	for _, f := range r.folds {
		f.close()
	}
	for _, s := range r.stores {
		_ = s.Close() // it is in memory
	}
}

// slice reads some commits. After an error it can be called again.
func (r *refold) slice(ctx context.Context, to uint64) error {
	n := 0
	for c, err := range r.beat.journal.Read(ctx, r.at.Sequence+1) {
		if err != nil {
			return err
		}
		digest := sha256.New()
		digest.Write(r.at.Hash[:])
		digest.Write(c.Body)
		if c.Sequence != r.at.Sequence+1 || [sha256.Size]byte(digest.Sum(nil)) != c.Hash {
			return &journal.At{Sequence: c.Sequence, Err: fmt.Errorf("journal %s: %w: its hash is not that of its body and of the commit before it", r.beat.name, journal.ErrDamaged)}
		}
		if err := r.add(c); err != nil {
			return err
		}
		r.at = c.Head
		if n++; n == patrolSlice || r.at.Sequence == to {
			break
		}
	}
	return nil
}

// add folds what a commit says about the sampled accounts, and picks accounts for the next round.
func (r *refold) add(c journal.Commit) error {
	entries, err := r.decoder.Decode(c.Body)
	if err != nil {
		return &journal.At{Sequence: c.Sequence, Err: fmt.Errorf("journal %s: %w: %w", r.beat.name, journal.ErrDamaged, err)}
	}
	for i := range entries {
		e := &entries[i]
		if e.Account == "" {
			continue
		}
		r.next.offer(e.Account)
		seen, sampled := r.accounts[e.Account]
		if !sampled || seen >= sampledEntries {
			continue
		}
		r.accounts[e.Account] = seen + 1
		for k, f := range r.folds {
			if up := r.upTo[k]; up > 0 && c.Sequence > up {
				continue
			}
			if err := f.apply(Position{c.Sequence, uint32(i)}, e); err != nil {
				return err
			}
			f.commits++
		}
	}
	for _, f := range r.folds {
		if f.batch.Len() >= batchBytes/8 || f.work.Full() {
			if err := f.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}
