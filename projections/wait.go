package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

type waiter struct {
	position uint64
	done     chan error
}

// asked is something to do between two batches.
type asked struct {
	do   func() error
	done chan error // has room for the answer
}

// tell is called with kind.mu held.
func (s *shard) tell() {
	left := s.waiters[:0]
	for _, w := range s.waiters {
		switch {
		case s.err != nil:
			w.done <- s.err
		case s.position >= w.position:
			w.done <- nil
		default:
			left = append(left, w)
		}
	}
	clear(s.waiters[len(left):])
	s.waiters = left
}

// feedAfter is how long one who waits trusts that the commit will be fed; then the journal is read.
const feedAfter = 100 * time.Millisecond

// waitFor returns when the view of a journal has the commit with that sequence.
func (k *kind) waitFor(ctx context.Context, name Name, position uint64) error {
	k.mu.Lock()
	s := k.shards[name]
	if s == nil {
		k.mu.Unlock()
		return fmt.Errorf("view %s: there is no journal %s", k.fold.Name(), name)
	}
	if s.err != nil || s.position >= position || k.written {
		defer k.mu.Unlock()
		return s.err
	}
	w := waiter{position, make(chan error, 1)}
	s.waiters = append(s.waiters, w)
	k.waiting++
	k.mu.Unlock()
	select {
	case k.hurry <- struct{}{}:
	default:
	}
	k.nudge()
	defer func() {
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
	}()
	late := time.NewTimer(feedAfter)
	defer late.Stop()
	select {
	case err := <-w.done:
		return err
	case <-late.C:
		// Not every commit is fed: whoever takes a journal over appends one before anything runs.
		k.setBehind(s)
	case <-k.ended:
	case <-ctx.Done():
	}
	select {
	case err := <-w.done:
		return err
	case <-k.ended:
		return errClosed
	case <-ctx.Done():
		k.mu.Lock()
		s.waiters = slices.DeleteFunc(s.waiters, func(other waiter) bool { return other.done == w.done })
		k.mu.Unlock()
		return fmt.Errorf("view %s of %s is not at commit %d yet: %w", k.fold.Name(), name, position, context.Cause(ctx))
	}
}

// between runs do while nobody writes the shard's view. When it returns, do is not running and will not.
func (k *kind) between(ctx context.Context, s *shard, do func() error) error {
	var mu sync.Mutex
	var ran, over bool
	var result error
	once := func() error {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			ran, over = true, true
			result = do()
		}
		return result
	}
	var err error
	switch {
	case !k.written:
		err = k.ask(ctx, once)
	case s.writer != nil:
		err = s.writer.Between(ctx, once)
	default:
		err = once()
	}
	mu.Lock()
	defer mu.Unlock()
	over = true
	if ran {
		return result
	}
	return err
}

func (k *kind) ask(ctx context.Context, do func() error) error {
	a := &asked{do: do, done: make(chan error, 1)}
	k.mu.Lock()
	k.asked = append(k.asked, a)
	k.mu.Unlock()
	select {
	case k.hurry <- struct{}{}:
	default:
	}
	k.nudge()
	select {
	case err := <-a.done:
		return err
	case <-k.ended:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errClosed answers those who wait for a runner that was closed.
var errClosed = errors.New("the views are being closed")
