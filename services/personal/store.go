package personal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/credit"
	"creditstream/services/accounts"
)

// StreamName is the JetStream stream that holds the keys. Its messages can be deleted: that is its purpose.
const StreamName = "PERSONAL"

const (
	allSubjects    = "personal.>"
	attemptTimeout = 2 * time.Second
	resendAfter    = 50 * time.Millisecond
)

// ErrUnavailable says that the keys could not be reached. The same request is always safe.
var ErrUnavailable = errors.New("the keys of personal texts are unavailable")

// Config says where the keys are and what guards them. Zero numbers stand for their defaults.
type Config struct {
	// Secret is 32 bytes that only the server has: what stands in the stream is encrypted with it.
	Secret []byte
	// Replicas of the stream when it is created. Default 1.
	Replicas int
	// Timeout bounds each change, the wait for the disk included. Default 10 s.
	Timeout time.Duration
	// Cached is how many keys stay in memory, about 1 KiB each. Default 20,000.
	Cached int
	// Fresh is how long a key in memory counts without a look at the stream: the longest that a key is used
	// after another process destroyed it. Default 1 minute.
	Fresh time.Duration
	// Now is the time that Fresh goes by. Default time.Now.
	Now func() time.Time
	// SyncNames is called before a key is used, and before an erasure is confirmed. It has to see to it that the
	// stream's files are found under their names after a power cut; nil when that is another machine's business.
	SyncNames func() error
	// Erasing is called before a key is destroyed; done afterwards, with whether it is certain that there is nothing
	// more to come of it. Nil when nobody counts the keys.
	Erasing func() (done func(certain bool), err error)
}

// Store gives out the keys of accounts. It is safe for concurrent use and has no goroutine.
type Store struct {
	cfg    Config
	js     jetstream.JetStream
	stream jetstream.Stream
	guard  *guard

	mu      sync.Mutex
	keys    map[string]held // by subject
	erasing uint64          // how many erasures there were: a key read before one is not kept after it
}

// held is a key in memory, and until when it counts. A nil key says that there is none.
type held struct {
	key   *Key
	until time.Time
}

// Open finds the stream, or creates it.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Cached == 0 {
		cfg.Cached = 20_000
	}
	if cfg.Fresh == 0 {
		cfg.Fresh = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SyncNames == nil {
		cfg.SyncNames = func() error { return nil }
	}
	if cfg.Erasing == nil {
		cfg.Erasing = func() (func(bool), error) { return func(bool) {}, nil }
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open personal keys: %w", err)
	}
	s := &Store{cfg: cfg, js: js, keys: make(map[string]held)}
	if s.guard, err = newGuard(cfg.Secret); err != nil {
		return nil, fmt.Errorf("open personal keys: %w", err)
	}
	if s.stream, err = openStream(ctx, js, cfg.Replicas); err != nil {
		return nil, fmt.Errorf("open personal keys: %w", err)
	}
	return s, nil
}

func openStream(ctx context.Context, js jetstream.JetStream, replicas int) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, StreamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: StreamName, Description: "keys of personal texts; for the server only", Subjects: []string{allSubjects},
			Storage: jetstream.FileStorage, Replicas: replicas, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
		})
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process created it meanwhile
		stream, err = js.Stream(ctx, StreamName)
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", StreamName, err)
	}
	c := stream.CachedInfo().Config
	switch {
	case c.Storage != jetstream.FileStorage || c.PersistMode != jetstream.DefaultPersistMode:
		return nil, fmt.Errorf("stream %s is not written to disk before it acknowledges", StreamName)
	case c.MaxAge > 0 || c.MaxMsgs > 0 || c.MaxBytes > 0 || c.Discard != jetstream.DiscardNew || c.Retention != jetstream.LimitsPolicy:
		return nil, fmt.Errorf("stream %s: a limit would lose keys that nobody destroyed", StreamName)
	case c.DenyDelete:
		return nil, fmt.Errorf("stream %s: its messages cannot be deleted, so nothing could be erased", StreamName)
	}
	return stream, nil
}

// Key returns the key of an account, or nil when it has none: nothing was sealed, or it was erased.
func (s *Store) Key(ctx context.Context, tenant, account string) (*Key, error) {
	return s.key(ctx, s.guard.subject(tenant, account), false)
}

// Ensure returns the key of an account and makes one where there is none, synced to disk before it is used.
func (s *Store) Ensure(ctx context.Context, tenant, account string) (*Key, error) {
	return s.key(ctx, s.guard.subject(tenant, account), true)
}

func (s *Store) key(ctx context.Context, subject string, create bool) (*Key, error) {
	now := s.cfg.Now()
	s.mu.Lock()
	h, known := s.keys[subject]
	erasing := s.erasing
	s.mu.Unlock()
	if known && now.Before(h.until) && (h.key != nil || !create) {
		return h.key, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	key, err := s.read(ctx, subject)
	switch {
	case err == nil && key == nil && create:
		key, err = s.create(ctx, subject)
	case err == nil && create:
		err = s.cfg.SyncNames() // whoever made it may not have come to that
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.erasing == erasing {
		if len(s.keys) >= s.cfg.Cached {
			clear(s.keys) // the next ones are read again, 0.2 ms each
		}
		s.keys[subject] = held{key, now.Add(s.cfg.Fresh)}
	}
	return key, nil
}

// read takes the key from the stream's leader; nil if it has none.
func (s *Store) read(ctx context.Context, subject string) (*Key, error) {
	msg, err := s.last(ctx, subject)
	if err != nil || msg == nil {
		return nil, err
	}
	secret, err := s.guard.open(subject, msg.Data)
	if err != nil {
		return nil, fmt.Errorf("sequence %d of %s: %w", msg.Sequence, StreamName, err)
	}
	return newKey(secret)
}

func (s *Store) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	msg, err := s.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return msg, nil
}

// create stores a new key if the subject has none. Without an ack the outcome is unknown, not failed: the same
// bytes are sent again, fenced by the subject's emptiness, until it holds them or another process's.
func (s *Store) create(ctx context.Context, subject string) (*Key, error) {
	secret := make([]byte, secretSize)
	rand.Read(secret)
	body, err := s.guard.wrap(subject, secret)
	if err != nil {
		return nil, err
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		_, err := s.js.Publish(attempt, subject, body, jetstream.WithExpectStream(StreamName), jetstream.WithExpectLastSequencePerSubject(0))
		cancel()
		if err == nil {
			err = s.cfg.SyncNames()
		}
		if err == nil {
			return newKey(secret)
		}
		msg, readErr := s.last(ctx, subject)
		if readErr == nil && msg != nil {
			readErr = s.cfg.SyncNames()
		}
		if readErr == nil && msg != nil {
			if bytes.Equal(msg.Data, body) {
				return newKey(secret)
			}
			return s.read(ctx, subject)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: store a key: %w", ErrUnavailable, errors.Join(ctx.Err(), err))
		case <-time.After(resendAfter):
		}
	}
}

// Erase destroys the key of an account: its message is overwritten and deleted. Once it returned nil no text
// that was sealed before can be opened. Erasing again does nothing.
func (s *Store) Erase(ctx context.Context, tenant, account string) error {
	subject := s.guard.subject(tenant, account)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	defer s.forget(subject)
	for {
		msg, err := s.last(ctx, subject)
		if err != nil {
			return err
		}
		if msg == nil {
			return s.syncNames()
		}
		done, err := s.cfg.Erasing()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		err = s.stream.SecureDeleteMsg(ctx, msg.Sequence)
		certain := err == nil || errors.Is(err, jetstream.ErrMsgNotFound)
		done(certain)
		if !certain && ctx.Err() != nil {
			return fmt.Errorf("%w: destroy a key: %w", ErrUnavailable, err)
		}
		s.forget(subject)
	}
}

// syncNames keeps a key that was destroyed from coming back: its block was replaced under its name.
func (s *Store) syncNames() error {
	if err := s.cfg.SyncNames(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// forget drops a key from memory, and whatever is being read meanwhile.
func (s *Store) forget(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erasing++
	delete(s.keys, subject)
}

// Hash binds a content hash to a secret of the server. The hash of a request with texts stands in the journal
// for ever: without the secret nobody can try out what the texts were.
func (s *Store) Hash(tenant, account string, h credit.Hash) credit.Hash {
	m := hmac.New(sha256.New, s.guard.hash)
	for _, part := range [...]string{tenant, account} {
		fmt.Fprintf(m, "%d:%s", len(part), part)
	}
	m.Write(h[:])
	return credit.Hash(m.Sum(nil)[:len(h)])
}

// Texts is a Store as services/accounts asks for it.
type Texts struct{ *Store }

// Sealer is Ensure or Key.
func (t Texts) Sealer(ctx context.Context, tenant, account string, create bool) (accounts.Sealer, error) {
	find := t.Key
	if create {
		find = t.Ensure
	}
	key, err := find(ctx, tenant, account)
	if err != nil || key == nil {
		return nil, err
	}
	return key, nil
}
