package accounts

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"creditstream/events/credit"
	"creditstream/events/journal"
	view "creditstream/projections/accounts"
	"creditstream/services/rules"
)

// Config is how one shard is run. The zero value of each number stands for its default.
type Config struct {
	Tenant string
	Number int

	Journal *journal.Journal
	View    *view.View
	Clock   Clock
	Logger  *slog.Logger

	// Feed gets each commit after it was applied and answered. It must not block and must not change
	// what it gets.
	Feed func(head journal.Head, entries []credit.Entry, body []byte)

	// Gate keeps new work out while it is closed; nil never does.
	Gate *Gate
	// Trap, when set, is called at each of the points named Trapped below: tests end the process there.
	Trap func(point string)

	// Texts seals what people write before it comes into the journal; nil leaves it readable.
	Texts Texts

	// CommitTarget is the size in bytes at which a commit takes no further entry. Default 256 KiB.
	CommitTarget int
	// InFlight is how many commits may be on their way to the disk at once. Default 1: what is decided meanwhile
	// goes together when the ack arrives. More pay where the way to the journal is long.
	InFlight int
	// CachedAccounts is how many accounts stay in memory. Default 50,000.
	CachedAccounts int
	// QueueLimit is how many requests may wait; beyond it the shard is unavailable. Default 100,000.
	QueueLimit int
}

// The points of Trap, in the order in which a command passes them. What happened by then is on its way (the
// journal's message may not have left the process), not known to anyone outside.
const (
	TrappedDecided      = "decided"      // folded into the account in memory, in the open commit
	TrappedPublished    = "published"    // given to the journal, not acknowledged
	TrappedAcknowledged = "acknowledged" // durable, not in the view
	TrappedApplied      = "applied"      // answered, and in the view; nothing of that is synced
)

func (c *Config) setDefaults() {
	if c.CommitTarget == 0 {
		c.CommitTarget = 256 << 10
	}
	if c.InFlight == 0 {
		c.InFlight = 1
	}
	if c.CachedAccounts == 0 {
		c.CachedAccounts = 50_000
	}
	if c.QueueLimit == 0 {
		c.QueueLimit = 100_000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Shard is the writer of one journal. Fields above mu belong to the loop's goroutine.
type Shard struct {
	cfg      Config
	log      *slog.Logger
	journal  *journal.Journal
	view     *view.View
	time     *shardTime
	books    *rules.Book
	cache    *cache
	encoder  credit.Encoder
	ids      ids
	recent   *recent
	denials  denials
	open     *commit
	sent     []*commit
	stages   []*view.Stage // empty ones
	spare    []*commit     // retired ones, whose memory is used again
	sequence uint64        // of the latest commit sent
	backlog  []*call
	next     int // index of the request of backlog[0] to decide next
	decided  uint
	looked   uint // how many decisions' accounts were looked at ahead
	ahead    ahead
	applying []*commit // that were acknowledged and are not retired yet
	retired  uint64    // the latest commit of which that is all done
	failed   error

	mu       sync.Mutex
	queue    []*call
	low      []*call
	waiting  int
	acks     []ack
	taken    []ack
	applied  []*commit
	toRetire []*commit
	closed   bool
	gaveUp   bool // nothing more may be applied

	arrived    atomic.Bool // an ack, or the end of an application, waits for the loop
	toApply    chan *commit
	appliedAll chan struct{}

	wake    chan struct{}
	stopped chan struct{}
	cancel  context.CancelFunc
	head    atomic.Uint64              // the latest sequence applied
	durable atomic.Uint64              // the latest sequence that may have been answered
	applies sync.Cond                  // with its own lock: head grew
	shared  atomic.Pointer[rules.Book] // the catalogs as acknowledged
	state   atomic.Pointer[error]      // why the shard stopped writing
}

// ack is what the journal said of a commit.
type ack struct {
	commit *commit
	err    error
}

// publication is a catalog on its way into the journal.
type publication struct {
	actor   string
	event   *credit.CatalogPublished
	catalog *rules.Catalog
}

// Start runs the loop of one shard. The view must stand at the journal's head (a runner brought it
// there) and the journal must have been taken over. books are the catalogs that the view knows, and
// latest is the recorded time of the latest entry.
func Start(cfg Config, books *rules.Book, latest time.Time) (*Shard, error) {
	cfg.setDefaults()
	head := cfg.Journal.Head()
	checkpoint, err := cfg.View.Checkpoint()
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint of the accounts view of %s/%d: %w", cfg.Tenant, cfg.Number, err)
	}
	if checkpoint != head {
		return nil, fmt.Errorf("the accounts view of %s/%d stands at %d and its journal at %d", cfg.Tenant, cfg.Number, checkpoint.Sequence, head.Sequence)
	}
	floor, err := cfg.View.LastKey()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shard{
		cfg: cfg, log: cfg.Logger.With("tenant", cfg.Tenant, "shard", cfg.Number),
		journal: cfg.Journal, view: cfg.View, time: newShardTime(cfg.Clock, latest), books: books,
		cache: newCache(cfg.CachedAccounts), encoder: credit.Encoder{Source: fmt.Sprintf("/creditstream/%s/%d", cfg.Tenant, cfg.Number)},
		ids: newIDs(), recent: newRecent(floor), open: newCommit(nil), sequence: head.Sequence, retired: head.Sequence,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}), cancel: cancel,
	}
	s.head.Store(head.Sequence)
	s.durable.Store(head.Sequence)
	s.applies.L = new(sync.Mutex)
	s.shared.Store(books)
	s.toApply, s.appliedAll = make(chan *commit, s.cfg.InFlight+maxApplying), make(chan struct{})
	go s.apply()
	go s.run(ctx)
	return s, nil
}

// Stop takes no more requests, answers those that wait and returns when the loop has ended.
func (s *Shard) Stop() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	<-s.stopped
}

// Failed is why the shard stopped writing, or nil.
func (s *Shard) Failed() error {
	if err := s.state.Load(); err != nil {
		return *err
	}
	return nil
}

// Head is the sequence of the latest commit that was acknowledged by now; it may be read.
func (s *Shard) Head() uint64 {
	s.caughtUp()
	return s.head.Load()
}

// Books are the tenant's catalogs as acknowledged.
func (s *Shard) Books() *rules.Book { return s.shared.Load() }

// View is the accounts view. It shows everything that was acknowledged by now, and nothing in flight.
func (s *Shard) View() *view.View {
	s.caughtUp()
	return s.view
}

// acked is called by the journal, in order.
func (s *Shard) acked(o *commit, head journal.Head, err error) {
	if err != nil {
		err = fmt.Errorf("append to the journal: %w", err)
	} else if head.Sequence != o.sequence {
		err = fmt.Errorf("commit %d was acknowledged as %d", o.sequence, head.Sequence)
	}
	s.mu.Lock()
	s.acks = append(s.acks, ack{o, err})
	if err == nil {
		o.head, o.durable = head, true
		s.handOn(o)
	}
	s.mu.Unlock()
	s.arrived.Store(true)
	s.nudge()
}

// staged says that what a commit changes is ready to be applied.
func (s *Shard) staged(o *commit) {
	s.mu.Lock()
	o.staged = true
	s.handOn(o)
	s.mu.Unlock()
}

// handOn has a commit answered and applied once it is both durable and staged. The channel has room for
// all that may be under way. It is called with mu held.
func (s *Shard) handOn(o *commit) {
	if o.durable && o.staged && !s.gaveUp {
		s.toApply <- o
	}
}

func (s *Shard) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// submit hands a call to the loop and waits for its answers. After an error the answers must not be
// read: the outcome is unknown.
func (s *Shard) submit(ctx context.Context, c *call) error {
	if err := s.cfg.Gate.Err(); err != nil && c.pause == nil {
		return err
	}
	n := max(len(c.requests), 1)
	c.waiting.Store(int32(n))
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return fmt.Errorf("%w: the server is stopping", ErrUnavailable)
	case s.waiting+n > s.cfg.QueueLimit && s.waiting > 0:
		s.mu.Unlock()
		return fmt.Errorf("%w: %d requests are waiting already; slow down", ErrUnavailable, s.waiting)
	}
	s.waiting += n
	c.given.Store(false)
	if c.sweep {
		s.low = append(s.low, c)
	} else {
		s.queue = append(s.queue, c)
	}
	first := len(s.queue)+len(s.low) == 1
	s.mu.Unlock()
	if first {
		s.nudge()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.given.CompareAndSwap(false, true) {
			// It waits without us, and counts until the loop is through with it.
			return fmt.Errorf("%w: gave up waiting: %w", ErrUnavailable, context.Cause(ctx))
		}
		<-c.done // the answer came just now
	}
	s.leave(n)
	return nil
}

// leave counts off requests that were answered.
func (s *Shard) leave(n int) {
	s.mu.Lock()
	s.waiting -= n
	s.mu.Unlock()
}

// Waiting is how many requests wait for a decision or for their commit.
func (s *Shard) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// answered notes one answer; the last one goes to whoever waits, if he still does.
func (s *Shard) answered(c *call) {
	if c.waiting.Add(-1) != 0 {
		return
	}
	if c.given.CompareAndSwap(false, true) {
		c.done <- struct{}{}
	} else {
		s.leave(max(len(c.requests), 1))
	}
}

// Do carries out one request. The answer's error, when it is not a *rules.Refusal or a *Conflict,
// leaves the outcome unknown.
func (s *Shard) Do(ctx context.Context, r Request) Answer {
	r, err := s.sealed(ctx, r, false)
	if err != nil {
		return Answer{Err: err}
	}
	c := calls.Get().(*call)
	c.one[0] = r
	c.requests, c.answers = c.one[:], c.oneReply[:]
	if err := s.submit(ctx, c); err != nil {
		return Answer{Err: err}
	}
	answer := c.answers[0]
	c.one[0], c.oneReply[0], c.requests, c.answers = Request{}, Answer{}, nil, nil
	calls.Put(c)
	read := reading{shard: s}
	read.resolve(ctx, &answer)
	return answer
}

// DoAll carries out many requests in order, each for itself: one that is refused does not stop the
// others. Once ctx has ended, the requests must not be changed: they may be decided later.
func (s *Shard) DoAll(ctx context.Context, requests []Request) []Answer {
	if len(requests) == 0 {
		return nil
	}
	n := len(requests)
	requests, err := s.allSealed(ctx, requests)
	c := &call{requests: requests, answers: make([]Answer, n), done: make(chan struct{}, 1)}
	if err == nil {
		err = s.submit(ctx, c)
	}
	if err != nil {
		unknown := make([]Answer, n) // the call's own may be written still
		for i := range unknown {
			unknown[i].Err = err
		}
		return unknown
	}
	read := reading{shard: s}
	for i := range c.answers {
		read.resolve(ctx, &c.answers[i])
	}
	return c.answers
}

// reading reads original entries back from the journal, for repeated requests. Those that are repeated
// together were mostly recorded together, so it keeps the commit that it read last.
type reading struct {
	shard    *Shard
	sequence uint64
	entries  []credit.Entry
}

// resolve completes the answer to a repeated request.
func (r *reading) resolve(ctx context.Context, a *Answer) {
	if a.replay == nil {
		return
	}
	entry, err := r.entry(ctx, a.replay.sequence, a.replay.offset)
	if err != nil {
		*a = Answer{Err: fmt.Errorf("%w: read the original answer: %w", ErrUnavailable, err)}
		return
	}
	a.Facts, a.replay = entry.Facts, nil
}

func (r *reading) entry(ctx context.Context, sequence uint64, offset uint32) (credit.Entry, error) {
	if r.sequence != sequence || r.entries == nil {
		commit, err := r.shard.journal.Get(ctx, sequence)
		if err != nil {
			return credit.Entry{}, err
		}
		if r.entries, err = credit.DecodeCommit(commit.Body); err != nil {
			return credit.Entry{}, fmt.Errorf("commit %d: %w", sequence, err)
		}
		r.sequence = sequence
	}
	if offset >= uint32(len(r.entries)) {
		return credit.Entry{}, fmt.Errorf("commit %d has no entry at %d", sequence, offset)
	}
	return r.entries[offset], nil
}

// Entry reads the offset-th entry of a commit.
func (s *Shard) Entry(ctx context.Context, sequence uint64, offset uint32) (credit.Entry, error) {
	read := reading{shard: s}
	return read.entry(ctx, sequence, offset)
}

// Used finds what a use was charged, by its key: for a reversal. ok is false when no use has the key.
func (s *Shard) Used(ctx context.Context, account, key string) (used *credit.UsageRecorded, at time.Time, ok bool, err error) {
	k, ok, err := s.View().Lookup(account, key)
	if err != nil || !ok {
		return nil, time.Time{}, false, err
	}
	entry, err := s.Entry(ctx, k.Sequence, k.Offset)
	if err != nil {
		return nil, time.Time{}, false, err
	}
	for i := range entry.Facts {
		switch e := entry.Facts[i].Event.(type) {
		case *credit.UsageRecorded:
			return e, entry.Facts[i].At, true, nil
		case *credit.HoldCaptured:
			return &credit.UsageRecorded{Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Draws: append(append([]credit.Draw(nil), e.Draws...), e.Excess...), Debt: e.Debt, Unpaid: e.Unpaid, Carry: e.Carry, Remaining: e.Remaining, Catalog: e.Catalog}, entry.Facts[i].At, true, nil
		}
	}
	return nil, time.Time{}, false, nil
}

// Publish puts a catalog in force and returns when its commit is acknowledged.
func (s *Shard) Publish(ctx context.Context, c *rules.Catalog, changes []string, actor string) (Position, error) {
	event := &credit.CatalogPublished{Version: c.Version, Source: string(c.Source), Changes: changes}
	answer, err := s.alone(ctx, &call{publish: &publication{actor: actor, event: event, catalog: c}})
	if err != nil {
		return Position{}, err
	}
	return answer.Position, answer.Err
}

// Between runs f on the loop's goroutine while nothing is under way, and forgets the accounts in memory:
// the place to switch a view.
func (s *Shard) Between(ctx context.Context, f func() error) error {
	answer, err := s.alone(ctx, &call{pause: f})
	if err != nil {
		return err
	}
	return answer.Err
}

func (s *Shard) alone(ctx context.Context, c *call) (Answer, error) {
	c.answers, c.done = make([]Answer, 1), make(chan struct{}, 1)
	if err := s.submit(ctx, c); err != nil {
		return Answer{}, err
	}
	return c.answers[0], nil
}

// Sweep books what fell due before now for at most limit accounts, and as many counts of refusals, after
// everything that customers ask for, and returns how many it booked. It decides nothing: whoever touches an
// account settles it first anyway.
func (s *Shard) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	due, err := s.View().Due(now, limit)
	if err != nil {
		return 0, err
	}
	requests := s.denials.overdue(now, limit)
	for _, account := range due {
		requests = append(requests, Request{Account: account})
	}
	if len(requests) == 0 {
		return 0, nil
	}
	c := &call{requests: requests, answers: make([]Answer, len(requests)), done: make(chan struct{}, 1), sweep: true}
	if err := s.submit(ctx, c); err != nil {
		return 0, err
	}
	var faults []error
	for i := range c.answers {
		faults = append(faults, c.answers[i].Err)
	}
	return len(requests), errors.Join(faults...)
}

// ids makes UUIDs of version 7 (RFC 9562 §5.7): milliseconds, then a counter, then what is this
// process's own.
type ids struct {
	counter uint64 // 42 bits are used
	process uint32
}

func newIDs() ids { return ids{counter: rand.Uint64() >> 24, process: rand.Uint32()} }

func (g *ids) next(now time.Time) (id uuid.UUID) {
	g.counter++
	c := g.counter
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|0x7000|(c>>30)&0xfff)
	binary.BigEndian.PutUint32(id[8:12], 0x80000000|uint32(c)&0x3fffffff)
	binary.BigEndian.PutUint32(id[12:], g.process)
	return id
}
