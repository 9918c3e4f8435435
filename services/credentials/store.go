package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// StreamName is the JetStream stream that holds all credentials.
const StreamName = "CREDENTIALS"

const (
	allSubjects    = "credentials.>"
	pepperSubject  = "credentials.pepper"
	keysPrefix     = "credentials.keys."
	approvalPrefix = "credentials.approval."

	defaultTimeout = 10 * time.Second
	rewatchAfter   = 250 * time.Millisecond
	stripes        = 256
	slowHashes     = 4
)

// Config says where the credentials are and what guards them.
type Config struct {
	// PepperFile holds the server's 32 secret bytes. It is created with mode 0600 when the stream is
	// new, and must be there ever after: keep it out of the data directory, and back it up apart
	// from it.
	PepperFile string

	// Replicas of the stream when it is created. Default 1.
	Replicas int

	// Timeout bounds each change, the wait for the disk included. Default 10 s.
	Timeout time.Duration

	// Now dates keys and decides which are live when another is created. Default time.Now. What is
	// verified is verified at the instant that the caller gives.
	Now func() time.Time

	// KeysChanged is called when keys were changed or revoked, by this process or another. It must return
	// at once and must not ask the store.
	KeysChanged func()

	// SyncNames is called before a change is answered. It has to see to it that the stream's files are found under
	// their names after a power cut; nil when that is another machine's business.
	SyncNames func() error

	// Log hears when the watch on the stream fails or meets an altered record. Default: nobody.
	Log *slog.Logger
}

// Store answers from memory and changes through the stream. It is safe for concurrent use.
type Store struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	pepper  *pepper
	timeout time.Duration
	now     func() time.Time
	changed func()
	log     *slog.Logger
	names   func() error // see Config.SyncNames

	mu     sync.RWMutex
	cells  map[string]cell     // by subject
	keys   map[string]*liveKey // by key id
	damage error

	seed maphash.Seed
	turn [stripes]chan struct{} // one change at a time for each subject
	slow chan struct{}          // bounds the memory of PIN hashes

	stop    context.CancelFunc
	stopped <-chan struct{}
	watched chan struct{}
}

// cell is what is in force on one subject.
type cell struct {
	seq      uint64
	damage   error // the subject's last record was not ours: nothing about it is answered
	keys     *keyring
	approval *approval
}

// Open loads all credentials and follows the stream until Close. On the first start it creates the
// stream and the pepper file. It refuses (ErrPepper, ErrTampered) a pepper that did not write the
// records, a record that was altered, and a stream configured to forget.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open credentials: %w", err)
	}
	s := &Store{
		js: js, timeout: cfg.Timeout, now: cfg.Now, changed: cfg.KeysChanged, log: cfg.Log, names: cfg.SyncNames,
		cells: map[string]cell{}, keys: map[string]*liveKey{},
		seed: maphash.MakeSeed(), slow: make(chan struct{}, slowHashes), watched: make(chan struct{}),
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.changed == nil {
		s.changed = func() {}
	}
	if s.names == nil {
		s.names = func() error { return nil }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for i := range s.turn {
		s.turn[i] = make(chan struct{}, 1)
	}
	watch, stop := context.WithCancel(context.Background())
	s.stop, s.stopped = stop, watch.Done()
	if err := s.open(ctx, watch, cfg); err != nil {
		stop()
		return nil, fmt.Errorf("open credentials: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx, watch context.Context, cfg Config) (err error) {
	if s.stream, err = openStream(ctx, s.js, max(cfg.Replicas, 1)); err != nil {
		return err
	}
	info, err := s.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", StreamName, err)
	}
	empty := info.State.LastSeq == 0
	if s.pepper, err = openPepper(cfg.PepperFile, empty); err != nil {
		return err
	}
	if err := s.provePepper(ctx, cfg.PepperFile, empty); err != nil {
		return err
	}
	messages, err := s.load(ctx)
	if err != nil {
		return err
	}
	go s.watch(watch, messages)
	return nil
}

// Close stops following the stream. Changes under way end with ErrUnavailable.
func (s *Store) Close() {
	s.stop()
	<-s.watched
}

// Err is the first altered record that was met since Open, nil while there is none. The credential
// concerned is closed; the others work.
func (s *Store) Err() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.damage
}

// Secret derives 32 bytes from the pepper for a purpose outside this package: the same for ever, and of no use
// for finding the pepper or what was derived for another purpose.
func (s *Store) Secret(purpose string) []byte { return mac(s.pepper.other, []byte(purpose)) }

func openStream(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, StreamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name:              StreamName,
			Description:       "API keys, approval codes and their counters; for the server only",
			Subjects:          []string{allSubjects},
			Storage:           jetstream.FileStorage,
			Replicas:          replicas,
			MaxMsgsPerSubject: 1,
			DenyDelete:        true,
			DenyPurge:         true,
		})
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process created it meanwhile
		stream, err = js.Stream(ctx, StreamName)
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", StreamName, err)
	}
	if why := couldForget(stream.CachedInfo().Config); why != "" {
		return nil, fmt.Errorf("stream %s: %s", StreamName, why)
	}
	return stream, nil
}

// couldForget says what in the configuration would let a credential, or a count of wrong tries,
// disappear or be answered from a stale replica.
func couldForget(c jetstream.StreamConfig) string {
	switch {
	case len(c.Subjects) != 1 || c.Subjects[0] != allSubjects:
		return "its subjects are not " + allSubjects
	case c.Storage != jetstream.FileStorage || c.PersistMode != jetstream.DefaultPersistMode:
		return "it is not written to disk before it acknowledges"
	case c.Retention != jetstream.LimitsPolicy || c.MaxMsgsPerSubject != 1:
		return "it does not keep exactly the last message of each subject"
	case c.MaxAge > 0 || c.MaxMsgs > 0 || c.MaxBytes > 0 || c.AllowMsgTTL || c.SubjectDeleteMarkerTTL > 0:
		return "a limit of age, count or size would lose credentials"
	case !c.DenyDelete || !c.DenyPurge || c.AllowRollup:
		return "its messages can be deleted"
	case c.AllowDirect || c.Sealed || c.Mirror != nil || len(c.Sources) > 0 || c.SubjectTransform != nil:
		return "it is not read and written directly at its leader"
	}
	return ""
}

// openPepper reads the file; only a stream that never held anything gets a new one.
func openPepper(path string, empty bool) (*pepper, error) {
	p, err := readPepper(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	if !empty {
		return nil, fmt.Errorf("%w file %s is missing, and the stream %s was written with it: restore it from its backup", ErrPepper, path, StreamName)
	}
	if err := createPepper(path); err != nil {
		return nil, err
	}
	return readPepper(path)
}

// provePepper checks that this pepper wrote the stream, by the record that the first start leaves.
func (s *Store) provePepper(ctx context.Context, path string, empty bool) error {
	if empty {
		body, sum, err := s.encode(pepperSubject, 0, record{Pepper: s.pepper.check})
		if err != nil {
			return err
		}
		if _, err := s.publish(ctx, pepperSubject, 0, sum, body); err != nil && !errors.Is(err, errConflict) {
			return err
		}
	}
	msg, err := s.last(ctx, pepperSubject)
	if err != nil {
		return err
	}
	if msg == nil {
		return fmt.Errorf("%w: the stream has records but none that proves its pepper", ErrTampered)
	}
	var claim record
	if json.Unmarshal(msg.Data, &claim) == nil && claim.Pepper != s.pepper.check {
		return fmt.Errorf("%w file %s is not the one that the stream %s was written with: restore the right one", ErrPepper, path, StreamName)
	}
	_, err = s.decode(pepperSubject, msg.Sequence, msg.Header.Get(macHeader), msg.Data)
	return err
}

// load takes every record that is in the stream now and returns what will bring the later ones.
func (s *Store) load(ctx context.Context) (jetstream.MessagesContext, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", StreamName, err)
	}
	messages, err := s.follow(ctx, 1)
	if err != nil {
		return nil, err
	}
	for seq := uint64(0); seq < info.State.LastSeq; {
		wait, cancel := context.WithTimeout(ctx, s.timeout) // a record that the disk lost never comes
		seq, err = s.next(wait, messages)
		cancel()
		if err != nil {
			messages.Stop()
			return nil, err
		}
	}
	if uint64(len(s.cells)) < info.State.NumSubjects {
		messages.Stop()
		return nil, fmt.Errorf("%w: %d of %d records could be read", ErrTampered, len(s.cells), info.State.NumSubjects)
	}
	return messages, nil
}

func (s *Store) follow(ctx context.Context, from uint64) (jetstream.MessagesContext, error) {
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   from,
	})
	if err != nil {
		return nil, fmt.Errorf("follow stream %s: %w", StreamName, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("follow stream %s: %w", StreamName, err)
	}
	return messages, nil
}

// next takes one record. An altered one is an error that has its sequence with it.
func (s *Store) next(ctx context.Context, messages jetstream.MessagesContext) (uint64, error) {
	msg, err := messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return 0, fmt.Errorf("follow stream %s: %w", StreamName, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return 0, fmt.Errorf("follow stream %s: %w", StreamName, err)
	}
	return meta.Sequence.Stream, s.take(msg.Subject(), meta.Sequence.Stream, msg.Headers().Get(macHeader), msg.Data())
}

// watch is the one goroutine of a Store: it brings in what other processes change.
func (s *Store) watch(ctx context.Context, messages jetstream.MessagesContext) {
	defer close(s.watched)
	from := uint64(1)
	for ctx.Err() == nil {
		seq, err := s.next(ctx, messages)
		from = max(from, seq+1)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrTampered):
			s.log.Error("a credential is closed", "error", err)
		default:
			s.log.Warn("credentials are not followed; trying again", "error", err)
			messages.Stop()
			if messages = s.refollow(ctx, from); messages == nil {
				return
			}
		}
	}
	messages.Stop()
}

// refollow tries until it succeeds or the store is closed (nil).
func (s *Store) refollow(ctx context.Context, from uint64) jetstream.MessagesContext {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rewatchAfter):
		}
		if messages, err := s.follow(ctx, from); err == nil {
			return messages
		}
	}
}

// enter waits for the subject's turn. Subjects share a few hundred turns: two accounts that meet in
// one wait a few milliseconds for each other.
func (s *Store) enter(ctx context.Context, subject string) (release func(), err error) {
	turn := s.turn[maphash.String(s.seed, subject)%stripes]
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for an earlier change: %w", ErrUnavailable, ctx.Err())
	case turn <- struct{}{}:
	}
	select {
	case <-s.stopped:
		<-turn
		return nil, fmt.Errorf("%w: the store is closed", ErrUnavailable)
	default:
		return func() { <-turn }, nil
	}
}

func (s *Store) cell(subject string) cell {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cells[subject]
}
