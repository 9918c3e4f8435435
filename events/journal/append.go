package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"strconv"

	"github.com/nats-io/nats.go"
)

// attempt is one append without an outcome. Its message, with the headers, is
// made once and used for ever by the attempts that come after it in the ring.
type attempt struct {
	head  Head // the place after it
	prev  Hash
	id    string
	done  func(Head, error)
	msg   nats.Msg
	lines struct{ hash, prev, expectedSeq, expectedID, id []string }
}

// pendingRing holds attempts in the order of their sequences. The first window
// of them are published, the others wait.
type pendingRing struct {
	slots  []attempt
	first  int
	count  int
	window int
	// writer is random, for every journal that is opened; a message's id is
	// "<writer>.<sequence>".
	writer string
	// chained says whether a message names the id of the one it follows, which
	// for the next one is lastID.
	chained bool
	lastID  string
}

// newPendingRing decides how appends are fenced. lastID is that of the journal's
// last message.
//
// The expected sequence alone is no fence for appends in flight: when a rival
// takes the place of the first of two, the second one's expectation is met, by
// the rival's commit. So every message has an id of its own and names the id that
// it follows, which ties it to a commit and not merely to a place. With replicas
// that is no option: one that caught up does not know the last id (nats-server
// 2.15 compares it on each replica by itself), and would refuse what the others
// store. There, one is in flight at a time, and its sequence is fence enough.
//
// The id is also how a writer knows its own commit again: two that take over at
// the same place append the same bytes, and only one of them may think it won.
func newPendingRing(subject string, size, replicas int, lastID string) pendingRing {
	ring := pendingRing{slots: make([]attempt, size), window: 1, writer: rand.Text(), lastID: lastID}
	if replicas <= 1 {
		ring.window, ring.chained = size, true
	}
	for i := range ring.slots {
		a := &ring.slots[i]
		l := &a.lines
		l.hash, l.prev, l.id = make([]string, 1), make([]string, 1), make([]string, 1)
		l.expectedSeq, l.expectedID = make([]string, 1), make([]string, 1)
		a.msg.Subject = subject
		a.msg.Header = nats.Header{
			headerContentType: {ContentType},
			headerHash:        l.hash,
			headerPrev:        l.prev,
			headerExpectedSeq: l.expectedSeq,
			headerID:          l.id,
		}
	}
	return ring
}

func (r *pendingRing) at(i int) *attempt { return &r.slots[(r.first+i)%len(r.slots)] }

// push adds the attempt to append body after prev, which is the last one in the
// ring, or the journal's end when that is empty; hash is the one after it. publish
// says whether it is to be sent at once.
func (r *pendingRing) push(prev Head, hash Hash, body []byte, done func(Head, error)) (a *attempt, publish bool) {
	r.count++
	a = r.at(r.count - 1)
	a.fill(prev, hash, body, done)
	a.id = r.writer + "." + strconv.FormatUint(a.head.Sequence, 10)
	a.lines.id[0] = a.id
	a.expectID("")
	if r.chained {
		a.expectID(r.lastID)
	}
	r.lastID = a.id
	return a, r.count <= r.window
}

// pop takes the oldest attempt out and forgets the caller's body.
func (r *pendingRing) pop() (head Head, done func(Head, error)) {
	a := r.at(0)
	head, done = a.head, a.done
	a.done, a.msg.Data = nil, nil
	r.first = (r.first + 1) % len(r.slots)
	r.count--
	return head, done
}

// fill makes the attempt to append body after prev, which may be in flight.
func (a *attempt) fill(prev Head, hash Hash, body []byte, done func(Head, error)) {
	a.prev, a.done = prev.Hash, done
	a.head = Head{Journal: prev.Journal, Sequence: prev.Sequence + 1, Hash: hash}
	l := &a.lines
	l.hash[0], l.prev[0] = a.head.Hash.String(), prev.Hash.String()
	l.expectedSeq[0] = strconv.FormatUint(prev.Sequence, 10)
	a.msg.Data = body
}

// expectID names the message that this one follows; empty leaves that to the
// sequence.
func (a *attempt) expectID(id string) {
	if a.lines.expectedID[0] = id; id == "" {
		delete(a.msg.Header, headerExpectedID)
	} else {
		a.msg.Header[headerExpectedID] = a.lines.expectedID
	}
}

// Append publishes a commit, fenced on the commit before it, which may itself
// still be in flight. (In a replicated journal it then waits here for that one's
// ack.) It returns before the outcome; done is called with
// that, exactly once, in the order of the appends, from a goroutine of the
// journal, and may append. Until then the body is the journal's.
//
// done gets the place after the commit once it is durable. Its errors are
// ErrFenced, ErrDamaged, ErrClosed; after each of them nothing more can be
// appended here. There is no error for "not known": the append is repeated until
// it is known, and State says so meanwhile.
//
// When Append itself returns an error (ErrTooLarge, ErrBusy, or what ended the
// journal) nothing was sent and done is not called.
func (j *Journal) Append(body []byte, done func(Head, error)) error {
	prev, err := j.mayAppend(body)
	if err != nil {
		j.begun.body = nil // the next append may have another
		return err
	}
	// Neither here nor in publish, where a large commit takes long, does the ack of the one before it wait.
	hash := j.begun.hash(prev.Hash, body)
	j.wire.Lock()
	defer j.wire.Unlock()
	a, publish, err := j.push(prev, hash, body, done)
	if publish {
		j.publish(a)
	}
	return err
}

// mayAppend returns what an append of body follows, or why there can be none.
func (j *Journal) mayAppend(body []byte) (prev Head, err error) {
	if len(body) > MaxBody {
		return Head{}, fmt.Errorf("append to journal %s: %w: %d bytes, the limit is %d", j.cfg.Name, ErrTooLarge, len(body), MaxBody)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead != nil {
		return Head{}, j.dead
	}
	if j.pending.count == len(j.pending.slots) {
		return Head{}, fmt.Errorf("append to journal %s: %w", j.cfg.Name, ErrBusy)
	}
	if j.writer == nil {
		if err := j.startWriter(); err != nil {
			return Head{}, fmt.Errorf("append to journal %s: %w", j.cfg.Name, err)
		}
	}
	return j.tail, nil
}

// push puts an append where it waits for its outcome. It is called with j.wire held.
func (j *Journal) push(prev Head, hash Hash, body []byte, done func(Head, error)) (a *attempt, publish bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead != nil {
		return nil, false, j.dead
	}
	a, publish = j.pending.push(prev, hash, body, done)
	j.tail = a.head
	return a, publish, nil
}

// publish sends an attempt, for the first time or again, unless it has its outcome by now. What the connection refuses
// is unknown like an ack that does not come, and is repeated. It is called with j.wire held, and without j.mu, which the
// acks want.
func (j *Journal) publish(a *attempt) {
	j.mu.Lock()
	msg := nats.Msg{Subject: a.msg.Subject, Reply: j.writer.inbox, Header: a.msg.Header, Data: a.msg.Data}
	pending := a.done != nil
	j.mu.Unlock()
	if !pending {
		return
	}
	if err := j.nc.PublishMsg(&msg); err != nil {
		j.writer.stall("publish: " + err.Error())
	}
}

// Begun tells the journal what there is by now of the body of the next append, so that it is hashed before the rest is
// there: then less is left to do once it is. Each call has all of it from the beginning, in memory that is not changed
// before Append, which is called from the same goroutine. A body that begins otherwise is hashed as a whole.
func (j *Journal) Begun(body []byte) {
	j.mu.Lock()
	prev := j.tail.Hash
	j.mu.Unlock()
	j.begun.add(prev, body)
}

// begun is the hash of a body as far as it is there.
type begun struct {
	digest hash.Hash // of the hash before it, and body
	body   []byte
}

// add hashes what was not there at the last call.
func (b *begun) add(prev Hash, body []byte) {
	if b.digest == nil {
		b.digest = sha256.New()
	}
	if len(b.body) == 0 || len(body) < len(b.body) {
		b.digest.Reset()
		b.digest.Write(prev[:])
		b.body = nil
	}
	b.digest.Write(body[len(b.body):])
	b.body = body
}

// hash is SHA-256(prev ‖ body), and forgets what had begun.
func (b *begun) hash(prev Hash, body []byte) (h Hash) {
	if !bytes.HasPrefix(body, b.body) {
		b.body = nil
	}
	b.add(prev, body)
	b.digest.Sum(h[:0])
	b.body = nil
	return h
}

// TakeOver makes this the journal's writer. What recovery left in the page cache
// is synced, then an empty commit is appended: once that is acknowledged, all
// before it is durable, and whoever wrote before is fenced. Nothing that was read
// from the journal may be answered to anyone earlier.
//
// Errors: ErrFenced when someone appended since Open (open again); the others of
// Append; ctx's. After an error the journal has to be closed.
func (j *Journal) TakeOver(ctx context.Context) (Head, error) {
	if j.cfg.SyncStore != nil {
		if err := j.cfg.SyncStore(ctx); err != nil {
			return Head{}, fmt.Errorf("take over journal %s: %w", j.cfg.Name, err)
		}
	}
	type outcome struct {
		head Head
		err  error
	}
	outcomes := make(chan outcome, 1)
	if err := j.Append([]byte("[]"), func(h Head, err error) { outcomes <- outcome{h, err} }); err != nil {
		return Head{}, fmt.Errorf("take over: %w", err)
	}
	select {
	case o := <-outcomes:
		if o.err != nil {
			return Head{}, fmt.Errorf("take over: %w", o.err)
		}
		return o.head, nil
	case <-ctx.Done():
		return Head{}, fmt.Errorf("take over journal %s (%s): %w", j.cfg.Name, j.State().Stall, ctx.Err())
	}
}
