package accounts

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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

	// CommitTarget is how many bytes a commit may take when it takes no further entry, as its entries were measured.
	// Default, and at most, 640 KiB: some 1200 uses. The bytes go to the disk at its own pace, but a commit costs a sync whatever
	// it carries.
	CommitTarget int
	// InFlight is how many commits may be on their way to the disk at once, beside one that is full. Default 1: what
	// is decided meanwhile goes together when the ack arrives. More pay where the way to the journal is long.
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
	const most = journal.MaxBody * 5 / 6
	c.CommitTarget = min(cmp.Or(c.CommitTarget, most), most)
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
	ids      ids
	recent   *recent
	denials  denials
	open     *commit
	sent     []*commit
	stages   []*view.Stage // empty ones
	spare    []*commit     // retired ones, whose memory is used again
	sequence uint64        // of the latest commit sent
	backlog  []*call
	next     int       // index of the request of backlog[0] to decide next
	held     *decision // of that one, which waits until the open commit was sent
	decided  uint
	looked   uint // how many decisions' accounts were looked at ahead
	ahead    ahead
	applying []*commit // that were acknowledged and are not retired yet
	retired  uint64    // the latest commit of which that is all done
	failed   error
	patience *time.Timer

	encoder credit.Encoder // appendAll's

	mu       sync.Mutex
	queue    []*call
	low      []*call
	queued   int // requests in queue
	enough   int // how many of them wake the loop
	acks     []ack
	taken    []ack
	applied  []*commit
	toRetire []*commit
	closed   bool
	gaveUp   bool // nothing more may be applied

	waiting     atomic.Int64 // requests that were handed over and not answered
	arrived     atomic.Bool  // an ack, or the end of an application, waits for the loop
	toAppend    chan part
	appendedAll chan struct{}
	toApply     chan *commit
	appliedAll  chan struct{}

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
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shard{
		cfg: cfg, log: cfg.Logger.With("tenant", cfg.Tenant, "shard", cfg.Number),
		journal: cfg.Journal, view: cfg.View, time: newShardTime(cfg.Clock, latest), books: books,
		cache: newCache(cfg.CachedAccounts), encoder: credit.Encoder{Source: fmt.Sprintf("/creditstream/%s/%d", cfg.Tenant, cfg.Number)},
		ids: newIDs(), recent: newRecent(), open: newCommit(nil), sequence: head.Sequence, retired: head.Sequence,
		patience: newPatience(), wake: make(chan struct{}, 1), stopped: make(chan struct{}), cancel: cancel,
	}
	s.head.Store(head.Sequence)
	s.durable.Store(head.Sequence)
	s.applies.L = new(sync.Mutex)
	s.shared.Store(books)
	s.toAppend, s.appendedAll = make(chan part, s.cfg.InFlight+BesideInFlight+mostEarly), make(chan struct{})
	s.toApply, s.appliedAll = make(chan *commit, s.cfg.InFlight+BesideInFlight+maxApplying), make(chan struct{})
	go s.appendAll()
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
		o.head = head
		if !s.gaveUp {
			s.toApply <- o // it has room for all that may be under way
		}
	}
	s.mu.Unlock()
	s.arrived.Store(true)
	s.nudge()
}

func (s *Shard) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
