package journal

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxBody is the most that one commit's body may have, in bytes.
const MaxBody = 768 << 10

// headerRoom is more than the headers of a commit have, in bytes.
const headerRoom = 1 << 10

// Config says which journal to open, and how.
type Config struct {
	Name
	// Create makes the journal when it is not there.
	Create bool
	// Shards is how many the tenant has. It is fixed when the journal is created
	// (0 means 1); afterwards 0 accepts whatever it is.
	Shards int
	// Replicas of a new journal; 0 means 1.
	Replicas int

	// Anchor is the path of the anchor file, on another disk or at least outside
	// the directory of the streams; empty means none. See anchor.go.
	Anchor string
	// AcceptLostAnchor opens the journal though its anchor is absent or
	// unreadable, with a warning, and makes a new one.
	AcceptLostAnchor bool

	// Inspect opens the journal to look at what is wrong with it: an end that is unreadable
	// or not where the anchor says is no error here (CheckAnchor tells), nothing is
	// written, and nothing can be appended.
	Inspect bool

	// SyncStore is called by TakeOver before it appends. It has to sync what the
	// server recovered from the page cache after a crash; nil when that is
	// another machine's business.
	SyncStore func(context.Context) error
	// SyncNames is called before an ack is believed. It has to see to it that the files of the stream are found
	// under their names after a power cut; nil when that is another machine's business. While it fails, appends
	// stall.
	SyncNames func() error
	// Fault says why the server's disk refuses writes at the moment, or nil. What looks like a damaged journal
	// then may be what the failed write left in the server's memory: appends stall until the fault is over.
	Fault func() error
	// Blocks makes a reader of the server's own files for one goroutine. Nil where the files are another machine's.
	Blocks func() Blocks
	// AckTimeout is how long an append waits before it is sent again; 0 means 2 s.
	AckTimeout time.Duration
	// MaxPending is how many appends may wait for their outcome; 0 means 8.
	MaxPending int
	// Logger gets stalls, their ends, and warnings; nil discards them.
	Logger *slog.Logger
}

// Blocks reads a stream from the files of its server.
type Blocks interface {
	// Read yields the messages from one sequence to another in order, until yield returns false; header and body are
	// yield's to keep. It may end early, for whatever reason. What it says with an error that has the method
	// Damaged() (file string, first, last uint64, problem string) is that these messages, which were stored, are in no
	// file any more, and could not be read when they were read again.
	Read(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error
	// File is the path of the file that was read from last.
	File() string
	// Into lets each message be read into what memory returns for so many bytes: then that is what header and body are
	// parts of.
	Into(memory func(size int) []byte)
}

// Journal is an open journal. One goroutine at a time may append; everything
// else may be called concurrently.
type Journal struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	cfg    Config
	id     identity
	start  Hash
	anchor *anchor
	begun  begun // of the goroutine that appends

	// wire is held while attempts are made, changed or published: that is in order. Who wants mu as well takes it second.
	wire sync.Mutex

	mu      sync.Mutex
	head    Head // last acknowledged
	tail    Head // of the last pending append; head when there is none
	pending pendingRing
	stall   string        // why there is no ack; empty while all is well
	dead    error         // why there will be no more appends
	moved   chan struct{} // closed when head moves or dead is set; nil when nobody waits for that

	writer *writer // nil until the first append
}

// Open opens a journal, or creates it. It takes nothing over: a journal that is
// open may be read at once, and be appended to after TakeOver.
//
// Errors: ErrNotFound; ErrUnsafe; ErrDamaged when the end is unreadable or does
// not contain the anchor; ErrAnchorLost. nc stays the caller's, and has to outlive
// the journal.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Journal, error) {
	cfg.AckTimeout = cmp.Or(cfg.AckTimeout, 2*time.Second)
	cfg.MaxPending = cmp.Or(cfg.MaxPending, 8)
	cfg.Replicas = cmp.Or(cfg.Replicas, 1)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("journal", cfg.Name.String())
	j := &Journal{nc: nc, cfg: cfg}
	if err := j.open(ctx); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", cfg.Name, err)
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) error {
	if err := j.cfg.Name.check(); err != nil {
		return err
	}
	if shards := cmp.Or(j.cfg.Shards, 1); j.cfg.Create && j.cfg.Shard >= shards {
		return fmt.Errorf("shard %d of %d: shards count from 0", j.cfg.Shard, shards)
	}
	if limit := j.nc.MaxPayload(); limit < MaxBody+headerRoom {
		return fmt.Errorf("the server takes messages of %d bytes, a commit may need %d: raise its max_payload",
			limit, MaxBody+headerRoom)
	}
	var err error
	if j.js, err = jetstream.New(j.nc); err != nil {
		return err
	}
	info, err := findStream(ctx, j.js, j.cfg)
	if err != nil {
		return err
	}
	if err := refuseUnsafe(j.cfg.Name, info.Config); err != nil {
		return err
	}
	if j.id, err = readIdentity(j.cfg, info.Config.Metadata); err != nil {
		return err
	}
	j.start = startHash(j.cfg.Name, j.id.journal)
	last, err := j.readLast(ctx, info.State)
	if j.cfg.Inspect {
		j.dead = fmt.Errorf("journal %s is open for inspection: %w", j.cfg.Name, ErrClosed)
		if err != nil {
			last.Head = Head{Journal: j.id.journal, Sequence: info.State.LastSeq}
		}
		j.head, j.tail = last.Head, last.Head
		return nil
	}
	if err != nil {
		return err
	}
	j.head, j.tail = last.Head, last.Head
	j.pending = newPendingRing(j.cfg.Name.Subject(), j.cfg.MaxPending, info.Config.Replicas, last.id)
	return j.openAnchor(ctx)
}

// readLast reads the last commit, and that the first ones are there. Before the
// first commit it is the start, without a body.
func (j *Journal) readLast(ctx context.Context, state jetstream.StreamState) (Commit, error) {
	if state.LastSeq == 0 {
		return Commit{Head: j.Start()}, nil
	}
	if state.FirstSeq != 1 {
		return Commit{}, &At{1, fmt.Errorf("%w: commits 1 to %d are gone", ErrDamaged, state.FirstSeq-1)}
	}
	last, err := j.Get(ctx, state.LastSeq)
	if err != nil {
		return Commit{}, damagedIfAbsent(err)
	}
	return last, nil
}

// Name says which journal it is.
func (j *Journal) Name() Name { return j.cfg.Name }

// Shards is how many shards the tenant has, as fixed at creation.
func (j *Journal) Shards() int { return j.id.shards }

// Start is the place before the first commit: where a new view begins.
func (j *Journal) Start() Head { return Head{Journal: j.id.journal, Hash: j.start} }

// Head is the last place that is known to be durable: of the newest acknowledged
// append, or the journal's end when it was opened.
func (j *Journal) Head() Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// State is what a journal's writer can say about itself.
type State struct {
	// Head is the last acknowledged place.
	Head Head
	// Pending counts the appends without an outcome.
	Pending int
	// Stall says why no acks come, while appends are repeated; empty when all is well.
	Stall string
	// Err is ErrFenced, ErrDamaged or ErrClosed once there can be no more appends.
	Err error
}

// State reports on the writer, for health checks and for refusing commands early.
func (j *Journal) State() State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return State{Head: j.head, Pending: j.pending.count, Stall: j.stall, Err: j.dead}
}

// Close ends appending, tells those in flight ErrClosed, and writes the anchor a
// last time. It must not be called from an append's done. A second call does nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	w := j.writer
	if j.dead == nil {
		j.dead = fmt.Errorf("journal %s: %w", j.cfg.Name, ErrClosed)
		j.tellLocked()
	}
	j.mu.Unlock()
	if w == nil {
		return nil
	}
	if err := w.close(); err != nil {
		return fmt.Errorf("close journal %s: %w", j.cfg.Name, err)
	}
	return nil
}
