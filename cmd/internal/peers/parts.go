package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"creditstream/cmd/internal/load"
	"creditstream/events/journal"
	"creditstream/projections"
)

// What the parts allow that this design is made of, put together with nothing between them that a ledger
// needs: the same clients hand over charges and wait, one goroutine copies as many bytes of each as an event has into a
// commit, another appends it to a real journal (the hash chain, the fence, JetStream, the fsync), and a third one answers and
// puts the two records that a charge changes on the shelf of a real view, which writes them as tables. No request is decoded, no key looked up, no
// account loaded, no rule asked, no state kept, nothing encoded, and nothing can be refused.

const (
	partsInFlight = 1         // commits, as a shard has them on the embedded server; and one more that is full
	partsTarget   = 600 << 10 // bytes of a commit, as a shard's are
	chargeSize    = 500       // bytes of a charge in a commit (bytes_per_event of `credits bench`), about
	keySize       = 44        // bytes of the record of an idempotency key
)

// parts is the engine of that: a door's other side.
type parts struct {
	journal *journal.Journal
	view    *projections.View
	event   []byte

	mu       sync.Mutex
	queue    []*handed
	inFlight int
	wake     chan struct{}
	closed   chan *partsCommit
	durable  chan *partsCommit
	done     sync.WaitGroup
	broken   chan struct{} // closed when the journal took no more, because of failed
	failed   error
}

// handed is the charges that one client handed over; taken counts those that are in a commit.
type handed struct {
	batch []load.Charge
	taken int
	done  chan error
}

type partsCommit struct {
	body    []byte
	answers []*handed
	charges []load.Charge
	head    journal.Head
	err     error
}

// partsTogether measures them with as many clients, in this process as the profiles spend and bulk are.
func (c *contest) partsTogether(ctx context.Context, clients, batch int) (result load.Result, books string, err error) {
	dir, remove, err := scratch(c.Dir)
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	conn, leave, err := connected(ctx, dir, "parts")
	if err != nil {
		return load.Result{}, "", err
	}
	defer leave()
	j, err := journal.Open(ctx, conn, journal.Config{Name: journal.Name{Tenant: "parts"}, Create: true})
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if _, err := j.TakeOver(ctx); err != nil {
		return load.Result{}, "", err
	}
	store, err := projections.Open(projections.Config{Dir: filepath.Join(dir, "views"), View: "parts"})
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	view, err := store.View(projections.Name{Tenant: "parts"}, 1)
	if err != nil {
		return load.Result{}, "", err
	}
	p := &parts{journal: j, view: view, event: make([]byte, chargeSize), wake: make(chan struct{}, 1), broken: make(chan struct{}), closed: make(chan *partsCommit, partsInFlight+1), durable: make(chan *partsCommit, partsInFlight+3)}
	ctx, stop := context.WithCancel(ctx)
	p.done.Go(func() { p.collect(ctx) })
	p.done.Go(func() { p.append(ctx) })
	p.done.Go(func() { p.apply(ctx) })
	defer func() { stop(); p.done.Wait() }()
	cfg := c.base(clients, batch)
	cfg.Dir = dir
	result, err = load.Drive(ctx, cfg, os.Getpid(), func(int) (load.Door, error) { return &partsDoor{p, handed{done: make(chan error, 1)}}, nil })
	return result, "", err
}

// partsDoor is one client's.
type partsDoor struct {
	parts  *parts
	handed handed
}

// Charge hands a batch over and waits until it is durable.
func (d *partsDoor) Charge(ctx context.Context, batch []load.Charge) error {
	d.handed.batch, d.handed.taken = batch, 0
	d.parts.mu.Lock()
	d.parts.queue = append(d.parts.queue, &d.handed)
	first := len(d.parts.queue) == 1
	d.parts.mu.Unlock()
	if first {
		d.parts.nudge()
	}
	select {
	case err := <-d.handed.done:
		return err
	case <-d.parts.broken:
		return d.parts.failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close has nothing to close.
func (d *partsDoor) Close() {}

func (p *parts) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// collect copies what waits into the next commit, and hands that on when the one before is durable, or when it is full.
func (p *parts) collect(ctx context.Context) {
	var waiting []*handed
	open := &partsCommit{}
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		for {
			p.mu.Lock()
			waiting = append(waiting, p.queue...)
			clear(p.queue)
			p.queue = p.queue[:0]
			inFlight := p.inFlight
			p.mu.Unlock()
			for len(waiting) > 0 && len(open.body) < partsTarget {
				h := waiting[0]
				for h.taken < len(h.batch) && len(open.body) < partsTarget {
					open.body = append(append(open.body, p.event[36:]...), h.batch[h.taken].Key...)
					open.charges = append(open.charges, h.batch[h.taken])
					h.taken++
				}
				if h.taken == len(h.batch) {
					open.answers = append(open.answers, h)
					waiting = append(waiting[:0], waiting[1:]...)
				}
			}
			full := len(open.body) >= partsTarget
			if len(open.body) == 0 || inFlight > partsInFlight || inFlight == partsInFlight && !full {
				break
			}
			p.mu.Lock()
			p.inFlight++
			p.mu.Unlock()
			p.closed <- open
			runtime.Gosched() // as a shard's loop does
			open = &partsCommit{body: make([]byte, 0, len(open.body)), charges: make([]load.Charge, 0, len(open.charges))}
		}
	}
}

// append appends commits to the journal.
func (p *parts) append(ctx context.Context) {
	for {
		select {
		case o := <-p.closed:
			err := p.journal.Append(o.body, func(head journal.Head, err error) {
				o.head, o.err = head, err
				p.mu.Lock()
				p.inFlight--
				p.mu.Unlock()
				p.nudge()
				p.durable <- o
			})
			if err != nil {
				p.failed = err
				close(p.broken)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// apply answers what is durable, and puts two records of each charge on the shelf.
func (p *parts) apply(ctx context.Context) {
	batch := p.view.NewCommitBatch()
	defer func() { _ = batch.Close() }()
	record := make([]byte, recordSize)
	for {
		var o *partsCommit
		select {
		case o = <-p.durable:
		case <-ctx.Done():
			return
		}
		for _, h := range o.answers {
			h.done <- o.err
		}
		if o.err != nil {
			continue
		}
		for i := range o.charges {
			binary.BigEndian.PutUint64(record, uint64(i))
			account := append(append(batch.Key(), 'a'), o.charges[i].Account...)
			if err := batch.Put(account, record); err != nil {
				panic(fmt.Sprint("a batch in memory: ", err))
			}
			key := append(append(append(batch.Key(), 'k'), o.charges[i].Key...), o.charges[i].Account...)
			if err := batch.Put(key, record[:keySize]); err != nil {
				panic(fmt.Sprint("a batch in memory: ", err))
			}
		}
		if err := batch.Commit(o.head); err != nil {
			panic(fmt.Sprint("a view in memory: ", err))
		}
	}
}
