package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// line is a NATS connection that many clients share, as the goroutines of one feature service do. It asks as
// rueidis asks Redis: what many ask at once leaves in one write, and who asks has a place of his own for
// answers, for as long as the line lasts. nats.Conn.Request writes to the socket for nearly every request and
// makes a subject and a channel for each, which took more of the processor than the server's door.
type line struct {
	conn  *nats.Conn
	inbox string // of all places, up to their number

	mu     sync.Mutex
	places []chan *nats.Msg
}

// newLine connects. The caller closes it.
func newLine(address, name string) (*line, error) {
	// The subjects are our own: they need not be looked through for each request.
	conn, err := nats.Connect(address, nats.Name(name), nats.SkipSubjectValidation(), nats.SetCustomDialer(gatheringDialer{}))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	l := &line{conn: conn, inbox: nats.NewInbox() + "."}
	if _, err = conn.Subscribe(l.inbox+"*", l.answered); err == nil {
		err = conn.Flush()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	return l, nil
}

func (l *line) close() { l.conn.Close() }

// asking is a place on a line, of one who asks one thing at a time.
type asking struct {
	line    *line
	inbox   string
	answers chan *nats.Msg  // has room for one; nil says that somebody's patience has ended
	patient context.Context // the one of the last question: a client has the same one for all
}

func (l *line) place() *asking {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &asking{line: l, inbox: l.inbox + strconv.Itoa(len(l.places)), answers: make(chan *nats.Msg, 1)}
	l.places = append(l.places, a.answers)
	return a
}

// answered hands an answer to who asked. The places do not move: their list only grows.
func (l *line) answered(m *nats.Msg) {
	number, err := strconv.Atoi(strings.TrimPrefix(m.Subject, l.inbox))
	l.mu.Lock()
	known := err == nil && number >= 0 && number < len(l.places)
	var answers chan *nats.Msg
	if known {
		answers = l.places[number]
	}
	l.mu.Unlock()
	for known {
		select {
		case answers <- m:
			return
		default:
		}
		select {
		case <-answers: // the end of somebody's patience; or a first answer, and the count of them will not come out
		default:
		}
	}
}

// ask asks and waits for the answer. After an error there is no further asking: the answer may come yet, and
// would be taken for that of the next question.
func (a *asking) ask(ctx context.Context, subject string, body []byte) ([]byte, error) {
	if ctx != a.patient {
		a.patient = ctx
		context.AfterFunc(ctx, a.giveUp)
	}
	err := ctx.Err()
	if err == nil {
		err = a.line.conn.PublishRequest(subject, a.inbox, body)
	}
	for err == nil {
		// One channel instead of a choice of two, in which each client would stand in the context's queue as well.
		if m := <-a.answers; m == nil {
			err = ctx.Err() // nil when it was the patience of an earlier question
		} else if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
			err = nats.ErrNoResponders
		} else {
			return m.Data, nil
		}
	}
	return nil, fmt.Errorf("ask over NATS: %w", err)
}

// giveUp ends the wait for an answer. If one is there, it is taken, and the next question is not asked.
func (a *asking) giveUp() {
	select {
	case a.answers <- nil:
	default:
	}
}

// gatheringDialer makes connections whose writes are gathered.
type gatheringDialer struct{}

// Dial implements nats.CustomDialer.
func (gatheringDialer) Dial(network, address string) (net.Conn, error) {
	ctx, stop := context.WithTimeout(context.Background(), nats.DefaultTimeout)
	defer stop()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	g := &gathering{Conn: conn, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go g.run()
	return g, nil
}

// gathering writes what was written since its last write at once: it lets everybody who can run write first.
type gathering struct {
	net.Conn
	wake  chan struct{} // has room for one
	ended chan struct{}

	mu      sync.Mutex
	written []byte
	spare   []byte
	fault   error
	closing bool
}

// Write takes what is written. That it could not be sent is the error of a later one.
func (g *gathering) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing && g.fault == nil {
		g.fault = net.ErrClosed
	}
	if g.fault != nil {
		return 0, g.fault
	}
	g.written = append(g.written, b...)
	g.nudge()
	return len(b), nil
}

func (g *gathering) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *gathering) run() {
	defer close(g.ended)
	for range g.wake {
		runtime.Gosched()
		if !g.send() {
			return
		}
	}
}

// send writes what was gathered and reports whether there may be more.
func (g *gathering) send() bool {
	g.mu.Lock()
	out, closing := g.written, g.closing
	g.written = g.spare[:0]
	g.mu.Unlock()
	var err error
	if len(out) > 0 {
		_, err = g.Conn.Write(out)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spare = out
	if err != nil {
		g.fault = err
	}
	return err == nil && !closing
}

// SetWriteDeadline does nothing: a write does not wait, and a run is bounded by its context.
func (g *gathering) SetWriteDeadline(time.Time) error { return nil }

// Close sends what was written before it.
func (g *gathering) Close() error {
	g.mu.Lock()
	first := !g.closing
	g.closing = true
	g.mu.Unlock()
	if !first {
		return net.ErrClosed
	}
	// What hangs in a write to a server that does not read ends with this.
	late := g.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	g.nudge()
	<-g.ended
	return errors.Join(late, g.Conn.Close())
}
