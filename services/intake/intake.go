package intake

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/services/accounts"
)

// The streams and their subjects.
const (
	StreamName        = "INTAKE"
	RefusedStreamName = "INTAKE_REFUSED"
	subjectPrefix     = "intake."
	subjectSuffix     = ".usage"
	refusedPrefix     = "intake-refused."
)

// Subject is where a tenant's feature services publish usage.
func Subject(tenant string) string { return subjectPrefix + tenant + subjectSuffix }

// RefusedSubject is where a tenant finds what was refused.
func RefusedSubject(tenant string) string { return refusedPrefix + tenant }

// maxMessage is the size in bytes of the largest message, that of a batch through HTTP.
const maxMessage = 4 << 20

// Event is one use of a message: a request, or why it is none.
type Event struct {
	Request accounts.Request
	Fault   error
	Raw     []byte // as it was sent
}

// Config is what the intake needs. Zero numbers stand for their defaults.
type Config struct {
	// NATS is a connection of a service to the internal account.
	NATS     *nats.Conn
	Accounts *accounts.Service
	// Decode reads a message, one CloudEvent or a batch. An error refuses the message as a whole.
	Decode func(body []byte) ([]Event, error)
	// MaxBytes is the size of the stream of what waits; a publisher is refused beyond it. Default 4 GiB.
	MaxBytes int64
	// MaxWaiting is how many messages of one tenant may wait, so that one of them cannot take the room of
	// the others. Default 1,000,000.
	MaxWaiting int64
	// MaxRefused is how many refused events of one tenant are kept; with more, its intake waits until
	// some were submitted again or dropped. Default 100,000.
	MaxRefused int64
	// MaxRefusedBytes is the size of the stream of what was refused, of all tenants: beyond it every
	// intake that refuses something waits, so that refused usage cannot fill the disk. Default 2 GiB.
	MaxRefusedBytes int64
	// SyncNames and SyncRefusedNames see to it that the files of the two streams are found under their names after
	// a power cut; nil when that is another machine's business. A publisher has JetStream's own acknowledgement before
	// that of the first.
	SyncNames, SyncRefusedNames func() error
	// Replicas of the two streams. Default 1.
	Replicas int
	Logger   *slog.Logger
}

// Intake reads the stream until Stop.
type Intake struct {
	cfg     Config
	log     *slog.Logger
	js      jetstream.JetStream
	waiting jetstream.Stream
	refused jetstream.Stream
	reading jetstream.ConsumeContext
	arrived chan jetstream.Msg
	cancel  context.CancelFunc
	done    chan struct{}

	// These belong to the goroutine of run.
	parked    map[string][]uint64 // by tenant: the messages that could not be recorded yet, ascending
	processed map[string]uint64   // by tenant: up to here everything is recorded, refused or parked; without those that are deleted up to there
	latest    uint64              // of all in processed, ever
	purged    map[string]uint64   // by tenant with something parked: up to here everything is deleted
}

// Start opens the streams, making them when they are not there, and reads. Tenants must be open by then:
// usage for one that is not is refused.
func Start(ctx context.Context, cfg Config) (*Intake, error) {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 4<<30)
	cfg.MaxRefusedBytes = cmp.Or(cfg.MaxRefusedBytes, 2<<30)
	cfg.MaxWaiting = cmp.Or(cfg.MaxWaiting, 1_000_000)
	cfg.MaxRefused = cmp.Or(cfg.MaxRefused, 100_000)
	cfg.Replicas = cmp.Or(cfg.Replicas, 1)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.SyncNames == nil {
		cfg.SyncNames = func() error { return nil }
	}
	if cfg.SyncRefusedNames == nil {
		cfg.SyncRefusedNames = func() error { return nil }
	}
	in := &Intake{
		cfg: cfg, log: cfg.Logger, arrived: make(chan jetstream.Msg, maxTogether),
		done: make(chan struct{}), parked: make(map[string][]uint64), processed: make(map[string]uint64), purged: make(map[string]uint64),
	}
	if err := in.open(ctx); err != nil {
		return nil, fmt.Errorf("start the intake: %w", err)
	}
	running, cancel := context.WithCancel(context.Background())
	in.cancel = cancel
	if err := in.read(ctx, running); err != nil {
		cancel()
		return nil, fmt.Errorf("start the intake: %w", err)
	}
	go in.run(running)
	return in, nil
}

func (in *Intake) open(ctx context.Context) (err error) {
	if in.js, err = jetstream.New(in.cfg.NATS); err != nil {
		return err
	}
	in.waiting, err = in.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:                 StreamName,
		Description:          "usage that is not recorded yet",
		Subjects:             []string{subjectPrefix + "*" + subjectSuffix},
		Storage:              jetstream.FileStorage,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxBytes:             in.cfg.MaxBytes,
		MaxMsgsPerSubject:    in.cfg.MaxWaiting,
		MaxMsgSize:           maxMessage,
		Replicas:             in.cfg.Replicas,
	})
	if err != nil {
		return fmt.Errorf("open stream %s: %w", StreamName, err)
	}
	in.refused, err = in.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:                 RefusedStreamName,
		Description:          "usage that was refused, to be looked at and submitted again",
		Subjects:             []string{refusedPrefix + "*"},
		Storage:              jetstream.FileStorage,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    in.cfg.MaxRefused,
		MaxBytes:             in.cfg.MaxRefusedBytes,
		Duplicates:           refusedOnce,
		Replicas:             in.cfg.Replicas,
	})
	if err != nil {
		return fmt.Errorf("open stream %s: %w", RefusedStreamName, err)
	}
	return nil
}

// read follows the stream from what is left in it.
func (in *Intake) read(ctx, running context.Context) error {
	consumer, err := in.waiting.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", StreamName, err)
	}
	in.reading, err = consumer.Consume(func(m jetstream.Msg) {
		select {
		case in.arrived <- m:
		case <-running.Done():
		}
	}, jetstream.PullMaxMessages(2*maxTogether), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		in.log.Debug("intake", "error", err)
	}))
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", StreamName, err)
	}
	return nil
}

// Stop finishes the batch under way and deletes what was recorded. It must come before the accounts stop.
func (in *Intake) Stop() {
	in.cancel()
	<-in.done
	in.reading.Stop()
}

// Pace of the loop.
const (
	maxTogether = 1024        // messages that are recorded together
	maxSize     = 1 << 20     // and their size in bytes
	purgeEvery  = time.Second // how often what was recorded is deleted, and what is parked is tried again
)

// run is the intake's goroutine.
func (in *Intake) run(ctx context.Context) {
	defer close(in.done)
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		select {
		case m := <-in.arrived:
			batch := in.gather(m)
			in.syncNames()
			in.record(ctx, batch)
		case <-tick.C:
			in.retry(ctx)
			in.purge(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			in.purge(last)
			return
		}
	}
}

// gather takes what has arrived beside m.
func (in *Intake) gather(m jetstream.Msg) []message {
	batch := make([]message, 0, 64)
	for size := 0; ; {
		if next, ok := in.messageOf(m); ok {
			batch = append(batch, next)
			size += len(next.body)
		}
		if len(batch) >= maxTogether || size >= maxSize {
			return batch
		}
		select {
		case m = <-in.arrived:
		default:
			return batch
		}
	}
}

// message is one message of the stream.
type message struct {
	sequence uint64
	tenant   string
	body     []byte
}

func (in *Intake) messageOf(m jetstream.Msg) (message, bool) {
	meta, err := m.Metadata()
	if err != nil {
		in.log.Error("a message of the intake has no sequence", "error", err)
		return message{}, false
	}
	return message{sequence: meta.Sequence.Stream, tenant: tenantOf(m.Subject()), body: m.Data()}, true
}

func tenantOf(subject string) string {
	return strings.TrimSuffix(strings.TrimPrefix(subject, subjectPrefix), subjectSuffix)
}

// purge deletes what is recorded or refused. A fault is tried again at the next tick: until then the
// messages are only kept longer.
func (in *Intake) purge(ctx context.Context) {
	if len(in.processed) == 0 {
		return
	}
	if len(in.parked) == 0 {
		if in.delete(ctx, in.latest) {
			clear(in.processed)
			clear(in.purged)
		}
		return
	}
	// What one tenant has parked must not keep what is recorded of the others: it would take their room.
	for tenant, through := range in.processed {
		if sequences := in.parked[tenant]; len(sequences) > 0 {
			through = sequences[0] - 1
		}
		if through > in.purged[tenant] {
			if !in.delete(ctx, through, jetstream.WithPurgeSubject(Subject(tenant))) {
				return
			}
			in.purged[tenant] = through
		}
		if len(in.parked[tenant]) == 0 {
			delete(in.processed, tenant)
			delete(in.purged, tenant)
		}
	}
}

// delete deletes messages up to and with one.
func (in *Intake) delete(ctx context.Context, through uint64, of ...jetstream.StreamPurgeOpt) bool {
	err := in.waiting.Purge(ctx, append(of, jetstream.WithPurgeSequence(through+1))...)
	if err != nil {
		in.log.Warn("recorded usage could not be deleted from the intake", "error", err)
		return false
	}
	in.syncNames() // the block that is left was made anew, and the next message goes there
	return true
}

// syncNames keeps what waits over a power cut. A publisher was told by JetStream, without us: on a file system that
// forgets names, the moment in between cannot be helped.
func (in *Intake) syncNames() {
	if err := in.cfg.SyncNames(); err != nil {
		in.log.Warn("usage that waits may not survive a power cut", "error", err)
	}
}
