package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// submit hands a call to the loop and waits for its answers. After an error the answers must not be
// read: the outcome is unknown.
func (s *Shard) submit(ctx context.Context, c *call) error {
	if err := s.cfg.Gate.Err(); err != nil && c.pause == nil {
		return err
	}
	n := max(len(c.requests), 1)
	c.waiting.Store(int32(n))
	if others := s.waiting.Add(int64(n)) - int64(n); others > 0 && others+int64(n) > int64(s.cfg.QueueLimit) {
		s.leave(n)
		return fmt.Errorf("%w: %d requests are waiting already; slow down", ErrUnavailable, others)
	}
	c.given.Store(false)
	awake, taken := s.enqueue(c, n)
	if !taken {
		s.leave(n)
		return fmt.Errorf("%w: the server is stopping", ErrUnavailable)
	}
	if !awake {
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

// enqueue puts a call of n requests where the loop takes it from. awake says that the loop need not be told: it is at work,
// was told before, or has time.
func (s *Shard) enqueue(c *call, n int) (awake, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	if c.sweep {
		s.low = append(s.low, c)
		return false, true
	}
	s.queue = append(s.queue, c)
	before := s.queued
	s.queued += n
	return before >= s.enough || s.queued < s.enough, true
}

// leave counts off requests that were answered.
func (s *Shard) leave(n int) { s.waiting.Add(-int64(n)) }

// Waiting is how many requests wait for a decision or for their commit.
func (s *Shard) Waiting() int { return int(s.waiting.Load()) }

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

// publication is a catalog on its way into the journal.
type publication struct {
	actor   string
	event   *credit.CatalogPublished
	catalog *rules.Catalog
}
