package api

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/services/rules"
)

// The NATS door: requests on credits.<tenant>.<operation>, answered as over HTTP. Who may ask for which
// tenant is decided before a message comes here, by NATS accounts (events/bus).

const (
	natsQueue = "creditstream" // servers that share a tenant share its requests
	natsActor = "nats"         // a message does not say more about who sent it than the tenant
)

// Bounds of the requests of one tenant.
const (
	lanesAtOnce   = 2       // batches of one tenant under way: one is decoded while the other is on its way to the disk
	laneMessages  = 4096    // messages of one batch
	laneBatch     = 2 << 20 // and their size in bytes
	messageWeight = 512     // bytes that a message takes beside its text: an empty one is no less to keep
	natsPending   = 1 << 20 // messages that may wait for this door in the client
	natsFlushTime = time.Second
)

// NATSDoor answers the requests that come in at its entrances, until Close.
type NATSDoor struct {
	*API
	counted map[string]*operationMetrics
	ctx     context.Context // of all that is under way; ended by cut
	cut     context.CancelFunc

	mu        sync.Mutex
	closing   bool // has no more entrances
	closed    bool // and nothing more comes
	entrances []*entrance
	lanes     map[string]*lane
	busy      sync.WaitGroup
}

// entrance is a connection on which requests come in and are answered.
type entrance struct {
	door    *NATSDoor
	conn    *nats.Conn
	sub     *nats.Subscription
	answers string // what every subject begins with that somebody there may listen to
	lane    *lane  // where all of it goes once the first was there; nil at an entrance of several tenants
	drained chan struct{}
}

// OpenNATS returns a door without an entrance.
func (a *API) OpenNATS() *NATSDoor {
	d := &NATSDoor{API: a, lanes: make(map[string]*lane), counted: map[string]*operationMetrics{
		"usage": a.metrics.of("natsUsage"), "check": a.metrics.of("natsCheck"), "balance": a.metrics.of("natsBalance"),
		"": a.metrics.of("natsUnknown"),
	}}
	d.ctx, d.cut = context.WithCancel(context.Background())
	return d
}

// Listen makes a connection an entrance, and returns when requests are answered there. The connection must not
// be used for anything else that may block, and be closed by the caller, after the door. It is in the account
// of a tenant, whose requests are all that can come, or in one that the requests of all tenants come to; then
// tenant is "".
func (d *NATSDoor) Listen(conn *nats.Conn, tenant string) error {
	e := &entrance{door: d, conn: conn, drained: make(chan struct{})}
	subject := "credits.*.*"
	if tenant != "" {
		// A tenant's clients may listen to their inboxes alone. An answer elsewhere would reach nobody, or what
		// the account imports.
		subject, e.answers = "credits."+tenant+".*", nats.InboxPrefix
	}
	var err error
	if e.sub, err = conn.QueueSubscribe(subject, natsQueue, e.arrived); err != nil {
		return fmt.Errorf("open the NATS door: %w", err)
	}
	e.sub.SetClosedHandler(func(string) { close(e.drained) })
	if err := e.sub.SetPendingLimits(natsPending, -1); err != nil {
		return fmt.Errorf("open the NATS door: %w", err)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("open the NATS door: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return fmt.Errorf("open the NATS door: %w", errStopping)
	}
	d.entrances = append(d.entrances, e)
	return nil
}

// Close takes no more requests and returns when those that came are answered. What waits when ctx ends is
// answered that its outcome is unknown, or, where it was not begun, that the server is stopping. The error
// is ErrBusy when something did not heed that.
func (d *NATSDoor) Close(ctx context.Context) error {
	defer d.cut()
	d.mu.Lock()
	d.closing = true
	entrances := d.entrances
	d.mu.Unlock()
	for _, e := range entrances {
		if err := e.sub.Drain(); err != nil {
			d.log.Warn("the NATS door takes no more requests", "error", err)
		}
	}
	for _, e := range entrances {
		if e.conn.IsConnected() { // else nothing more can come, and nobody could say so
			select {
			case <-e.drained:
			case <-ctx.Done():
			}
		}
	}
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		d.busy.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		d.cut()
		grace := time.NewTimer(cutGrace)
		defer grace.Stop()
		select {
		case <-idle:
		case <-grace.C:
			return fmt.Errorf("close the NATS door: %w", ErrBusy)
		}
	}
	var flushed sync.WaitGroup
	for _, e := range entrances {
		if !e.conn.IsConnected() {
			continue
		}
		flushed.Go(func() {
			if err := e.conn.FlushTimeout(natsFlushTime); err != nil && e.conn.IsConnected() {
				d.log.Warn("the last answers over NATS may not have arrived", "error", err)
			}
		})
	}
	flushed.Wait()
	return nil
}

// question is a message and where it came in.
type question struct {
	*nats.Msg
	at *entrance
}

// arrived is called for one message after another. It only puts the message in its tenant's lane.
func (e *entrance) arrived(m *nats.Msg) {
	d, q := e.door, question{m, e}
	_, rest, _ := strings.Cut(m.Subject, ".")
	name, operation, _ := strings.Cut(rest, ".")
	if d.counted[operation] == nil || operation == "" {
		d.refuse(q, "", &rules.Refusal{Code: codeNotFound, Detail: "known are usage, check and balance"}, 0)
		return
	}
	l := e.lane
	if l == nil {
		var err error
		if l, err = d.laneOf(name); err != nil {
			d.refuse(q, operation, err, 0)
			return
		}
		if e.answers != "" {
			e.lane = l
		}
	}
	start, taken := l.put(q, operation != "usage", d.limits.waiting)
	if !taken {
		d.refuse(q, operation, tooMany("too many requests of this tenant are waiting"), 0)
		return
	}
	if start {
		d.start(l)
	}
}

// start serves a lane. A message that comes when the door is closed has come after the last that is answered.
func (d *NATSDoor) start(l *lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.busy.Go(l.run)
	}
}

// laneOf finds a tenant's lane. Only tenants that exist have one.
func (d *NATSDoor) laneOf(name string) (*lane, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[name]; l != nil {
		return l, nil
	}
	t, err := d.cfg.Accounts.Tenant(name)
	if err != nil {
		return nil, err
	}
	l := &lane{door: d, tenant: t}
	d.lanes[name] = l
	return l, nil
}

// The headers by which NATS services mark an error (ADR-32), beside the problem in the body.
const (
	natsErrorHeader     = "Nats-Service-Error"
	natsErrorCodeHeader = "Nats-Service-Error-Code"
)

// wantsAnswer reports whether an answer could reach anybody.
func (q question) wantsAnswer() bool {
	return q.Reply != "" && strings.HasPrefix(q.Reply, q.at.answers)
}

// refuse answers a request as a whole with a problem.
func (d *NATSDoor) refuse(q question, operation string, err error, scale int) {
	p := ProblemOf(err, scale)
	d.counted[operation].observe(p.Status, 0)
	if p.Code == string(codeUnavailable) && d.ctx.Err() == nil { // a server that stops says it once, not for each request
		d.log.Warn("unavailable", "operation", d.counted[operation].operation, "reason", err)
	}
	if !q.wantsAnswer() {
		return
	}
	answer := nats.NewMsg(q.Reply)
	answer.Header[natsErrorHeader] = []string{p.Code}
	answer.Header[natsErrorCodeHeader] = []string{fmt.Sprint(p.Status)}
	answer.Data = encoded(p)
	if err := q.at.conn.PublishMsg(answer); err != nil {
		d.log.Warn("answer over NATS", "error", err)
	}
}

// answer sends what was asked for. It is not flushed here: the client does that when it has nothing more
// to send.
func (d *NATSDoor) answer(q question, operation string, body []byte, started time.Time) {
	d.counted[operation].observe(200, time.Since(started))
	if !q.wantsAnswer() {
		return
	}
	if err := q.at.conn.Publish(q.Reply, body); err != nil {
		d.log.Warn("answer over NATS", "error", err)
	}
}

// within bounds how long a batch waits for the journal.
func (d *NATSDoor) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(d.ctx, d.cfg.AnswerWithin)
}
