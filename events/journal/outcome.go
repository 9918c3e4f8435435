package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// writer is the goroutine that brings appends to their outcomes: it alone takes
// them out of the ring and calls their done.
type writer struct {
	j     *Journal
	inbox string
	acks  chan *nats.Msg
	sub   *nats.Subscription

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	stopped chan struct{}
	once    sync.Once

	anchored chan struct{} // closed after the last anchor
	err      error         // of that

	// Only the goroutine uses what follows.
	waitingFor uint64 // sequence of the oldest attempt at the last tick
	ticks      int    // how many ticks it has been that
	patience   int    // ticks until everything is sent again
	suspicions int    // how often in a row the journal looked damaged
}

// An append is repeated after ticksPerTimeout ticks, then ever less often.
const (
	ticksPerTimeout = 2
	maxPatience     = 8 * ticksPerTimeout
	// A journal is called damaged when it looked so that many times, a tick
	// apart: a new leader may for a moment not know of what the old one acked.
	damageConfirmed = 3
)

// startWriter is called with j.mu held.
func (j *Journal) startWriter() error {
	w := &writer{
		j:     j,
		inbox: j.nc.NewRespInbox(),
		// Every attempt may be answered a few times over, after repetitions.
		acks:     make(chan *nats.Msg, 64*len(j.pending.slots)),
		stopped:  make(chan struct{}),
		anchored: make(chan struct{}),
		patience: ticksPerTimeout,
	}
	var err error
	if w.sub, err = j.nc.ChanSubscribe(w.inbox, w.acks); err != nil {
		return fmt.Errorf("subscribe to acks: %w", err)
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	j.writer = w
	go w.run()
	go w.keepAnchor()
	return nil
}

func (w *writer) run() {
	defer close(w.stopped)
	ticker := time.NewTicker(w.j.cfg.AckTimeout / ticksPerTimeout)
	defer ticker.Stop()
	for {
		select {
		case msg := <-w.acks:
			w.take(msg)
		case <-ticker.C:
			w.tick()
		case <-w.ctx.Done():
			w.end(fmt.Errorf("journal %s: %w", w.j.cfg.Name, ErrClosed))
			return
		}
	}
}

func (w *writer) close() error {
	w.once.Do(func() {
		w.cancel()
		<-w.stopped
		<-w.anchored
		// A connection that is closed already has no subscription to end.
		if err := w.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			w.err = errors.Join(w.err, err)
		}
	})
	return w.err
}

// take handles one answer of the server.
func (w *writer) take(msg *nats.Msg) {
	sequence, err := parseAck(msg)
	var refusal *jetstream.APIError
	switch {
	case err == nil:
		w.settle(sequence)
	case errors.As(err, &refusal) && isFence(refusal.ErrorCode):
		// Repetitions come a tick apart once there is a suspicion, not as fast as
		// refusals do.
		if w.suspicions == 0 {
			w.resolve(refusal.ErrorCode)
		}
	default:
		w.stall(err.Error())
	}
}

func isFence(code jetstream.ErrorCode) bool {
	return code == codeWrongLastSequence || code == codeWrongLastID || code == codeConflictInFlight
}

// settle tells every attempt up to sequence that it is durable: an ack of one
// means that all before it are in the journal, as it was fenced on them.
// An ack of something settled earlier changes nothing.
func (w *writer) settle(sequence uint64) {
	j := w.j
	if j.cfg.SyncNames != nil {
		if err := j.cfg.SyncNames(); err != nil {
			w.stall(err.Error())
			return
		}
	}
	for {
		j.mu.Lock()
		if j.pending.count == 0 || j.pending.at(0).head.Sequence > sequence {
			j.mu.Unlock()
			return
		}
		head, done := j.pending.pop()
		j.head = head
		j.tellLocked()
		var next *attempt
		if j.pending.count >= j.pending.window {
			next = j.pending.at(j.pending.window - 1)
		}
		if j.stall != "" {
			j.cfg.Logger.Info("appends are acknowledged again", "sequence", head.Sequence)
			j.stall = ""
		}
		j.mu.Unlock()
		if next != nil {
			j.wire.Lock()
			j.publish(next)
			j.wire.Unlock()
		}
		w.ticks, w.patience, w.suspicions = 0, ticksPerTimeout, 0
		done(head, nil)
	}
}

// tick notices that the oldest attempt makes no progress.
func (w *writer) tick() {
	j := w.j
	j.mu.Lock()
	if j.pending.count == 0 {
		j.mu.Unlock()
		return
	}
	oldest := j.pending.at(0).head.Sequence
	j.mu.Unlock()
	if oldest != w.waitingFor {
		w.waitingFor, w.ticks = oldest, 0
	}
	if j.nc.IsClosed() {
		w.end(fmt.Errorf("journal %s: connection: %w", j.cfg.Name, ErrClosed))
		return
	}
	if w.suspicions > 0 {
		w.resolve(0)
	}
	if w.ticks++; w.ticks > w.patience {
		w.ticks, w.patience = 0, min(2*w.patience, maxPatience)
		w.repeat()
	}
}

// repeat sends all published attempts again, in order. Those that did arrive are refused
// by their own commits, which resolve finds.
func (w *writer) repeat() {
	j := w.j
	j.wire.Lock()
	defer j.wire.Unlock()
	j.mu.Lock()
	if j.stall == "" {
		j.stallLocked("no ack within " + j.cfg.AckTimeout.String())
	}
	attempts := make([]*attempt, 0, min(j.pending.count, j.pending.window))
	for i := range cap(attempts) {
		attempts = append(attempts, j.pending.at(i))
	}
	j.mu.Unlock()
	for _, a := range attempts {
		j.publish(a)
	}
}

// resolve asks the log whose commit holds the sequence of the oldest attempt.
// refusal is the code with which the server refused one, if it did.
func (w *writer) resolve(refusal jetstream.ErrorCode) {
	j := w.j
	j.mu.Lock()
	if j.pending.count == 0 {
		j.mu.Unlock()
		return
	}
	a := j.pending.at(0)
	head, id, prev := a.head, a.id, Head{Journal: a.head.Journal, Sequence: a.head.Sequence - 1, Hash: a.prev}
	j.mu.Unlock()

	ctx, cancel := context.WithTimeout(w.ctx, j.cfg.AckTimeout)
	defer cancel()
	stored, err := j.get(ctx, head.Sequence)
	switch {
	case err == nil && stored.Hash == head.Hash && stored.id == id:
		w.settle(head.Sequence)
	case err == nil:
		w.end(fmt.Errorf("journal %s: commit %d: %w", j.cfg.Name, head.Sequence, ErrFenced))
	case errors.Is(err, ErrNotFound):
		damage, err := w.findDamage(ctx, prev)
		if err != nil {
			w.stall(err.Error())
			return
		}
		w.suspect(damage)
		if damage == nil && refusal == codeWrongLastID {
			w.trustSequence()
		}
	case errors.Is(err, ErrDamaged):
		w.suspect(fmt.Errorf("commit %d: %w", head.Sequence, err))
	default:
		w.stall(err.Error())
	}
}

// findDamage says what is wrong with a journal that has no commit after prev
// though something refused ours there: nothing, when it ends with prev, which is
// what we know to be its end. Then ours is not there yet, and is repeated.
func (w *writer) findDamage(ctx context.Context, prev Head) (damage, err error) {
	last, err := w.j.last(ctx)
	if err != nil {
		return nil, err
	}
	if last > prev.Sequence {
		return fmt.Errorf("%w: commit %d is unreadable though the journal ends at %d", ErrDamaged, prev.Sequence+1, last), nil
	}
	err = w.j.check(ctx, prev)
	switch {
	case errors.Is(err, ErrAhead):
		return fmt.Errorf("%w: it ends at %d, commit %d was acknowledged", ErrDamaged, last, prev.Sequence), nil
	case errors.Is(err, ErrDiverged) || errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w: commit %d is not the one that was acknowledged", ErrDamaged, prev.Sequence), nil
	}
	return nil, err
}

// trustSequence repeats the oldest attempt without the id that it follows. The
// server may not know that one, as after a journal lost its replicas, and the log
// has just shown that its end is ours.
func (w *writer) trustSequence() {
	j := w.j
	j.wire.Lock()
	defer j.wire.Unlock()
	j.mu.Lock()
	a := j.pending.at(0)
	if j.pending.count > 0 {
		a.expectID("")
	}
	j.mu.Unlock()
	j.publish(a)
}

// suspect counts how often in a row the journal looked damaged.
func (w *writer) suspect(damage error) {
	if damage == nil {
		w.suspicions = 0
		return
	}
	w.stall(damage.Error())
	if w.j.cfg.Fault != nil && w.j.cfg.Fault() != nil {
		w.suspicions = 0
		return
	}
	if w.suspicions++; w.suspicions >= damageConfirmed {
		w.end(fmt.Errorf("journal %s: %w", w.j.cfg.Name, damage))
	}
}

// end makes the journal dead and tells all attempts why. What is being published by then is waited for, and nothing is
// published afterwards: the bodies are not the journal's any more.
func (w *writer) end(reason error) {
	j := w.j
	j.wire.Lock()
	j.mu.Lock()
	if j.dead == nil {
		j.dead = reason
		j.tellLocked()
	}
	j.wire.Unlock()
	if !errors.Is(reason, ErrClosed) {
		j.cfg.Logger.Error("appending has ended", "error", reason)
	}
	for j.pending.count > 0 {
		_, done := j.pending.pop()
		j.mu.Unlock()
		done(Head{}, reason)
		j.mu.Lock()
	}
	j.tail = j.head
	j.mu.Unlock()
}

func (w *writer) stall(reason string) {
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.j.stallLocked(reason)
}

// stallLocked is called with j.mu held.
func (j *Journal) stallLocked(reason string) {
	if j.stall == "" {
		j.cfg.Logger.Warn("appends are not acknowledged and are repeated", "reason", reason)
	}
	j.stall = reason
}
