package api

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"creditstream/projections/statement"
	"creditstream/services/accounts"
)

// lane is the requests of one tenant. What arrives while batches are under way is the next batch: alone a
// request goes at once, and under load they share decisions and commits. No tenant waits for another's, and who only
// asks waits for no commit.
type lane struct {
	door   *NATSDoor
	tenant *accounts.Tenant

	mu           sync.Mutex
	waiting      []question
	waitingBytes int
	asked        bool // something among waiting asks, and needs no commit
	running      int
	recording    int // messages with usage that are being decided, made durable and answered
}

// worthwhile reports whether what waits is a batch by itself. As long as others wait for the disk, fewer than they are gain
// by waiting for more: they would have a commit of their own that costs as much as a large one.
func (l *lane) worthwhile() bool { return l.asked || len(l.waiting) >= l.recording }

// put lets a message wait, one that only asks or one with usage, unless more than so many bytes wait already (negative: no
// matter how many). start says that the lane has to be run once more.
func (l *lane) put(q question, asks bool, most int) (start, taken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if most >= 0 && l.waitingBytes > most {
		return false, false
	}
	l.waiting = append(l.waiting, q)
	l.waitingBytes += len(q.Data) + messageWeight
	l.asked = l.asked || asks
	if start = l.running < lanesAtOnce && l.worthwhile(); start {
		l.running++
	}
	return start, true
}

// run serves batches until nothing waits, or too little while another is at it.
func (l *lane) run() {
	w := laneWorks.Get().(*laneWork)
	defer laneWorks.Put(w)
	for {
		batch := l.take(w.batch[:0])
		if len(batch) == 0 {
			return
		}
		w.batch = batch
		w.serve(l)
		clear(w.batch)
	}
}

// take moves the next batch into dst, or counts the caller as gone when nothing waits, or nothing worthwhile: then another
// runs, who comes here after it.
func (l *lane) take(dst []question) []question {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || !l.worthwhile() {
		l.running--
		return nil
	}
	size, n := 0, 0
	for n < len(l.waiting) && n < laneMessages && size < laneBatch {
		size += len(l.waiting[n].Data)
		n++
	}
	dst = append(dst, l.waiting[:n]...)
	rest := copy(l.waiting, l.waiting[n:])
	clear(l.waiting[rest:])
	l.waiting = l.waiting[:rest]
	l.waitingBytes -= size + n*messageWeight
	l.asked = l.asked && rest > 0
	return dst
}

// records notes that so many messages with usage more, or fewer, are decided, made durable and answered.
func (l *lane) records(uses int) {
	l.mu.Lock()
	l.recording += uses
	l.mu.Unlock()
}

// laneWork is what serving a batch takes; its memory serves the next one. A lane under load is left and taken up again
// many times a second, so those without one are kept, until the collector takes them.
type laneWork struct {
	batch    []question
	uses     []natsUse
	events   []usageEvent
	requests []accounts.Request
	decoder  decoder
	out      []byte
}

var laneWorks = sync.Pool{New: func() any { return new(laneWork) }}

// natsUse is a message with usage: the place of its events.
type natsUse struct {
	question
	from, to int
}

func (w *laneWork) serve(l *lane) {
	d, started := l.door, time.Now()
	ctx, cancel := d.within()
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("a request broke an invariant", "tenant", l.tenant.Name(), "panic", p, "stack", string(debug.Stack()))
			*w = laneWork{} // who knows who still reads it
		}
	}()
	if ctx.Err() != nil {
		for _, q := range w.batch {
			d.refuse(q, operationIn(q), errStopping, 0)
		}
		return
	}
	uses := w.batch[:0]
	for _, q := range w.batch {
		operation := operationIn(q)
		switch {
		case len(q.Data) > maxBatch:
			d.refuse(q, operation, tooLarge(maxBatch), 0)
		case operation == "usage":
			uses = append(uses, q)
		default:
			l.answer(ctx, q, operation, started)
		}
	}
	w.record(ctx, l, uses, started)
}

func operationIn(q question) string { return q.Subject[strings.LastIndexByte(q.Subject, '.')+1:] }

// record decides all usage of a batch together, waits until it is durable and answers each message.
func (w *laneWork) record(ctx context.Context, l *lane, uses []question, started time.Time) {
	l.records(len(uses))
	defer l.records(-len(uses))
	w.uses, w.events, w.requests = w.uses[:0], w.events[:0], w.requests[:0]
	for _, q := range uses {
		w.decode(l, q)
	}
	answers := withFaults(l.tenant.DoAll(ctx, w.requests), w.events)
	if ctx.Err() != nil {
		w.requests = nil // they may wait in the shard still
	}
	r := results{scale: scaleOf(l.tenant)}
	for _, u := range w.uses {
		r.answers = answers[u.from:u.to]
		if unknown := r.allUnknown(); unknown != nil {
			l.door.refuse(u.question, "usage", unknown, r.scale)
			continue
		}
		w.out = r.appendJSON(w.out[:0])
		l.door.answer(u.question, "usage", w.out, started)
	}
	clear(w.events)
	clear(w.requests)
}

func (w *laneWork) decode(l *lane, q question) {
	use := natsUse{question: q, from: len(w.events)}
	var err error
	if w.events, err = w.decoder.decode(w.events, q.Data); err != nil {
		l.door.refuse(q, "usage", err, scaleOf(l.tenant))
		return
	}
	use.to = len(w.events)
	for i := use.from; i < use.to; i++ {
		if e := &w.events[i]; e.Fault == nil {
			e.Request.Actor = natsActor
			w.requests = append(w.requests, e.Request)
		}
	}
	w.uses = append(w.uses, use)
}

// answer answers a question.
func (l *lane) answer(ctx context.Context, q question, operation string, started time.Time) {
	body, err := l.ask(ctx, operation, q.Data)
	if err != nil {
		l.door.refuse(q, operation, err, scaleOf(l.tenant))
		return
	}
	l.door.answer(q, operation, body, started)
}

func (l *lane) ask(ctx context.Context, operation string, text []byte) ([]byte, error) {
	sent, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	if operation == "check" {
		f := fieldsOf(sent, "", "account", "meter", "quantity")
		account, meter, quantity := f.id("account"), f.id("meter"), f.quantity("quantity", true)
		if err := f.err(); err != nil {
			return nil, err
		}
		quote, err := checkOf(l.tenant, account, meter, quantity)
		if err != nil {
			return nil, err
		}
		return quote.appendJSON(nil), nil
	}
	return l.balance(ctx, sent)
}

func (l *lane) balance(ctx context.Context, sent object) ([]byte, error) {
	f := fieldsOf(sent, "", "account", "at", "known_at", "min_position")
	account, at, knownText := f.id("account"), f.time("at"), f.optional("known_at", maxID)
	position := f.optional("min_position", maxID)
	if err := f.err(); err != nil {
		return nil, err
	}
	if position != "" {
		if err := waitForPosition(ctx, l.tenant, position); err != nil {
			return nil, err
		}
	}
	known, err := knownAt(l.tenant, account, knownText)
	if err != nil {
		return nil, err
	}
	var b *Balance
	if at.IsZero() && known == (statement.Known{}) {
		b, err = balanceOf(l.tenant, account)
	} else {
		b, err = (&call{API: l.door.API, ctx: ctx, tenant: l.tenant, account: account}).balanceAsOf(at, known)
	}
	if err != nil {
		return nil, err
	}
	return encoded(b), nil
}

// encoded is an answer as text.
func encoded(body any) []byte {
	var out bytes.Buffer
	if err := encode(&out, body); err != nil {
		panic(fmt.Sprintf("api: %T cannot be encoded: %v", body, err))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
