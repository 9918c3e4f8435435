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
	natsSubjects = "credits.*.*"
	natsQueue    = "creditstream" // servers that share a tenant share its requests
	natsActor    = "nats"         // a message does not say more about who sent it than the tenant
)

// Bounds of the requests of one tenant.
const (
	lanesAtOnce   = 2        // batches of one tenant under way: one is decoded while the other is on its way to the disk
	laneMessages  = 4096     // messages of one batch
	laneBatch     = 2 << 20  // and their size in bytes
	laneBacklog   = 64 << 20 // the size in bytes of what may wait; beyond it requests are unavailable
	natsPending   = 1 << 20  // messages that may wait for this door in the client
	natsFlushTime = time.Second
)

// NATSDoor answers requests until Close.
type NATSDoor struct {
	*API
	conn    *nats.Conn
	sub     *nats.Subscription
	counted map[string]*operationMetrics
	drained chan struct{}
	ctx     context.Context // of all that is under way; ended by cut
	cut     context.CancelFunc

	mu     sync.Mutex
	closed bool
	lanes  map[string]*lane
	busy   sync.WaitGroup
}

// ServeNATS answers requests that arrive on the connection, which must be a service's, and not be used for
// anything that may block.
func (a *API) ServeNATS(conn *nats.Conn) (*NATSDoor, error) {
	d := &NATSDoor{API: a, conn: conn, lanes: make(map[string]*lane), drained: make(chan struct{}), counted: map[string]*operationMetrics{
		"usage": a.metrics.of("natsUsage"), "check": a.metrics.of("natsCheck"), "balance": a.metrics.of("natsBalance"),
		"": a.metrics.of("natsUnknown"),
	}}
	d.ctx, d.cut = context.WithCancel(context.Background())
	var err error
	if d.sub, err = conn.QueueSubscribe(natsSubjects, natsQueue, d.arrived); err != nil {
		return nil, fmt.Errorf("open the NATS door: %w", err)
	}
	d.sub.SetClosedHandler(func(string) { close(d.drained) })
	if err := d.sub.SetPendingLimits(natsPending, -1); err != nil {
		return nil, fmt.Errorf("open the NATS door: %w", err)
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("open the NATS door: %w", err)
	}
	return d, nil
}

// Close takes no more requests and returns when those that came are answered. What waits when ctx ends is
// answered that its outcome is unknown, or, where it was not begun, that the server is stopping. The error
// is ErrBusy when something did not heed that.
func (d *NATSDoor) Close(ctx context.Context) error {
	defer d.cut()
	if err := d.sub.Drain(); err != nil {
		d.log.Warn("the NATS door takes no more requests", "error", err)
	}
	if d.conn.IsConnected() { // else nothing more can come, and nobody could say so
		select {
		case <-d.drained:
		case <-ctx.Done():
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
	if err := d.conn.FlushTimeout(natsFlushTime); err != nil && d.conn.IsConnected() {
		d.log.Warn("the last answers over NATS may not have arrived", "error", err)
	}
	return nil
}

// arrived is called for one message after another. It only puts the message in its tenant's lane.
func (d *NATSDoor) arrived(m *nats.Msg) {
	_, rest, _ := strings.Cut(m.Subject, ".")
	name, operation, _ := strings.Cut(rest, ".")
	if d.counted[operation] == nil || operation == "" {
		d.refuse(m, "", &rules.Refusal{Code: codeNotFound, Detail: "known are usage, check and balance"}, 0)
		return
	}
	l, err := d.laneOf(name)
	if err != nil {
		d.refuse(m, operation, err, 0)
		return
	}
	l.mu.Lock()
	if l.waitingBytes > laneBacklog {
		l.mu.Unlock()
		d.refuse(m, operation, &rules.Refusal{Code: codeUnavailable, Detail: "too many requests are waiting: slow down, and repeat this one"}, 0)
		return
	}
	l.waiting = append(l.waiting, m)
	l.waitingBytes += len(m.Data)
	start := l.running < lanesAtOnce
	if start {
		l.running++
	}
	l.mu.Unlock()
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

// refuse answers a request as a whole with a problem.
func (d *NATSDoor) refuse(m *nats.Msg, operation string, err error, scale int) {
	p := ProblemOf(err, scale)
	d.counted[operation].observe(p.Status, 0)
	if p.Code == string(codeUnavailable) && d.ctx.Err() == nil { // a server that stops says it once, not for each request
		d.log.Warn("unavailable", "operation", d.counted[operation].operation, "reason", err)
	}
	if m.Reply == "" {
		return
	}
	answer := nats.NewMsg(m.Reply)
	answer.Header[natsErrorHeader] = []string{p.Code}
	answer.Header[natsErrorCodeHeader] = []string{fmt.Sprint(p.Status)}
	answer.Data = encoded(p)
	if err := d.conn.PublishMsg(answer); err != nil {
		d.log.Warn("answer over NATS", "error", err)
	}
}

// answer sends what was asked for. It is not flushed here: the client does that when it has nothing more
// to send.
func (d *NATSDoor) answer(m *nats.Msg, operation string, body []byte, started time.Time) {
	d.counted[operation].observe(200, time.Since(started))
	if m.Reply == "" {
		return
	}
	if err := d.conn.Publish(m.Reply, body); err != nil {
		d.log.Warn("answer over NATS", "error", err)
	}
}

// within bounds how long a batch waits for the journal.
func (d *NATSDoor) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(d.ctx, d.cfg.AnswerWithin)
}
