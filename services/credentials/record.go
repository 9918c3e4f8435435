package credentials

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	macHeader      = "Creditstream-Mac"
	recordVersion  = 1
	resendAfter    = 50 * time.Millisecond
	attemptTimeout = 2 * time.Second
)

var errConflict = errors.New("another process changed the credential")

// record is the body of one message: the whole present state of one subject.
type record struct {
	Version int `json:"version"`

	// Change is random, so that no two writes are the same bytes: a write without an ack is found
	// again by its bytes, and must not be taken for another process's equal one.
	Change string `json:"change"`

	// Prev is the sequence that the write was decided on. A record put back later by someone without
	// the pepper has a Prev below what running stores have seen.
	Prev uint64 `json:"prev"`

	Pepper   string    `json:"pepper,omitempty"`
	Keys     *keyring  `json:"keys,omitempty"`
	Approval *approval `json:"approval,omitempty"`
}

// encode stamps the record and returns its body and MAC.
func (s *Store) encode(subject string, prev uint64, r record) (body []byte, sum string, err error) {
	r.Version, r.Change, r.Prev = recordVersion, random(20), prev
	if body, err = json.Marshal(r); err != nil {
		return nil, "", fmt.Errorf("encode credential: %w", err)
	}
	return body, hex.EncodeToString(mac(s.pepper.record, []byte(subject), body)), nil
}

// decode checks a stored record and reads it. Every failure is an ErrTampered that names subject and
// sequence, and nothing of the content.
func (s *Store) decode(subject string, seq uint64, sum string, body []byte) (record, error) {
	refuse := func(why string) (record, error) {
		return record{}, fmt.Errorf("%w: %s at sequence %d: %s", ErrTampered, subject, seq, why)
	}
	given, err := hex.DecodeString(sum)
	if err != nil || !hmac.Equal(given, mac(s.pepper.record, []byte(subject), body)) {
		return refuse("its MAC does not match")
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil {
		return refuse("it is not a record")
	}
	switch {
	case r.Version != recordVersion:
		return refuse(fmt.Sprintf("its version %d is not known here", r.Version))
	case r.Prev >= seq:
		return refuse("it claims to follow itself")
	case strings.HasPrefix(subject, keysPrefix) && r.Keys == nil,
		strings.HasPrefix(subject, approvalPrefix) && r.Approval == nil,
		subject == pepperSubject && r.Pepper == "":
		return refuse("it holds another kind of credential")
	}
	return r, nil
}

// amend is the only way in which a credential changes. decide sees the present state and returns the
// next one (nil: nothing to write) and the verdict for the caller; the verdict is given only once the
// state is stored. If another process was faster, decide is asked again on what that one wrote. An
// answer about a code is thus never given on stale state.
func (s *Store) amend(ctx context.Context, subject string, decide func(ctx context.Context, at cell) (*record, error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	release, err := s.enter(ctx, subject)
	if err != nil {
		return err
	}
	defer release()
	for {
		at := s.cell(subject)
		if at.damage != nil {
			return at.damage
		}
		next, verdict := decide(ctx, at)
		if next == nil {
			return verdict
		}
		body, sum, err := s.encode(subject, at.seq, *next)
		if err != nil {
			return err
		}
		seq, err := s.publish(ctx, subject, at.seq, sum, body)
		if err == nil {
			err = s.take(subject, seq, sum, body)
		} else if errors.Is(err, errConflict) {
			if err = s.refresh(ctx, subject); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		return verdict
	}
}

// publish appends the record if the subject is still at sequence prev. Without an ack the outcome is
// unknown, not failed: the same bytes are sent again, fenced by the same sequence, until the subject
// holds them or another's.
func (s *Store) publish(ctx context.Context, subject string, prev uint64, sum string, body []byte) (uint64, error) {
	msg := nats.NewMsg(subject)
	msg.Header.Set(macHeader, sum)
	msg.Data = body
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		ack, err := s.js.PublishMsg(attempt, msg,
			jetstream.WithExpectStream(StreamName),
			jetstream.WithExpectLastSequencePerSubject(prev))
		cancel()
		if err == nil {
			err = s.names()
		}
		if err == nil {
			return ack.Sequence, nil
		}
		last, readErr := s.last(ctx, subject)
		if readErr == nil {
			readErr = s.names()
		}
		if readErr == nil && last != nil && last.Sequence != prev {
			if bytes.Equal(last.Data, body) {
				return last.Sequence, nil
			}
			return 0, errConflict
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: store credential: %w", ErrUnavailable, errors.Join(ctx.Err(), err))
		case <-s.stopped:
			return 0, fmt.Errorf("%w: the store is closed", ErrUnavailable)
		case <-time.After(resendAfter):
		}
	}
}

// last reads the subject's message from the stream's leader; nil if it has none.
func (s *Store) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	msg, err := s.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read credential: %w", ErrUnavailable, err)
	}
	return msg, nil
}

func (s *Store) refresh(ctx context.Context, subject string) error {
	msg, err := s.last(ctx, subject)
	if err != nil || msg == nil {
		return err
	}
	return s.take(msg.Subject, msg.Sequence, msg.Header.Get(macHeader), msg.Data)
}

// take puts a stored record in force: at Open, from the watch, and after our own writes alike. One
// that is not newer than what is in force changes nothing.
func (s *Store) take(subject string, seq uint64, sum string, body []byte) error {
	r, err := s.decode(subject, seq, sum, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cells[subject]
	if seq <= c.seq {
		return nil
	}
	if err == nil && r.Prev < c.seq {
		err = fmt.Errorf("%w: %s at sequence %d: it is older than what it replaces", ErrTampered, subject, seq)
	}
	used := s.drop(c.keys)
	c.seq, c.keys = seq, nil
	if err != nil {
		c.damage = err
		if s.damage == nil {
			s.damage = err
		}
	} else {
		c.keys, c.approval = r.Keys, r.Approval
		s.admit(subject, c.keys, used)
	}
	s.cells[subject] = c
	if len(used) > 0 {
		s.changed()
	}
	return err
}
