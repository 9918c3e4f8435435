// Package front is the way in of the HTTP door. It answers by itself, over kept connections, the plain requests
// that come often, and hands every other connection to net/http.
//
// What net/http does beside a request's work (a goroutine that watches the connection meanwhile, timers, a request
// and its parts made anew) takes 25 µs of processor time, as much as a charge. Here a request is read by a
// small parser that knows one shape (head.go), and a connection's goroutine, buffers and request are used again.
//
// The front refuses and repairs nothing. At the first byte that is not of that shape the connection goes, with all
// that was read of it and not answered, to net/http, and stays there: so nothing is accepted here that net/http
// would refuse, and no two readers can differ about where a request ends. Who may ask and what is answered is the
// handler's business, the same one behind both.
//
// No timer is set for a request. One goroutine looks at all connections a few times a second (watch.go): who
// takes too long is hung up on, and who waits for his answer has it cut short after a while, or when he is gone.
//
// The package imports nothing of ours. Start reading at Serve, then conn.go.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a front needs.
type Config struct {
	// Server answers the connections that are handed over. Its timeouts are the front's as well: each of them is
	// kept to within a quarter of a second, or an eighth of the shortest.
	Server *http.Server
	// Often finds who answers a request, by its method and path; nil for those that the front leaves to net/http.
	// A handler answers with one body, of a length that it does not stretch. It must not use the request, its header or its body
	// after it returned: they are used again. The request's context has a method EndAfter(time.Duration): so much
	// later it ends.
	Often  func(r *http.Request) http.Handler
	Logger *slog.Logger
}

// Front serves one listener.
type Front struct {
	server *http.Server
	often  func(r *http.Request) http.Handler
	log    *slog.Logger
	handed *handed
	limits limits
	base   context.Context // of all requests

	started time.Time
	now     atomic.Int64 // nanoseconds since started, as of the last look

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing atomic.Bool   // changes under mu
	gone    chan struct{} // closed when it is closing and nobody is left
}

// New returns a front; nothing listens yet.
func New(cfg Config) *Front {
	f := &Front{
		server: cfg.Server, often: cfg.Often, log: cfg.Logger, handed: newHanded(), limits: limitsOf(cfg.Server),
		base: context.Background(), started: time.Now(), conns: make(map[*conn]struct{}), gone: make(chan struct{}),
	}
	if f.log == nil {
		f.log = slog.Default()
	}
	return f
}

// Serve accepts connections of l until Shutdown or Close, and returns http.ErrServerClosed then. It is called once.
func (f *Front) Serve(l net.Listener) error {
	if f.server.BaseContext != nil {
		f.base = f.server.BaseContext(l)
	}
	f.handed.addr = l.Addr()
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(f.handed) }()
	go f.watch()
	// The server's Shutdown and Close close what it listens to, and with it l.
	f.handed.closes(l)
	err := f.accept(l)
	if err != nil {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, <-served)
}

// accept lets connections in until the listener is closed because the front is.
func (f *Front) accept(l net.Listener) error {
	var pause time.Duration
	for {
		nc, err := l.Accept()
		var passing interface{ Temporary() bool }
		switch {
		case err == nil:
			pause = 0
			f.enter(nc)
		case f.handed.isClosed():
			return nil
		case errors.As(err, &passing) && passing.Temporary(): // no file descriptor is free, say
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			f.log.Warn("accept a connection", "error", err, "again in", pause)
			f.handed.wait(pause)
		default:
			return fmt.Errorf("accept connections: %w", err)
		}
	}
}

func (f *Front) enter(nc net.Conn) {
	c := newConn(f, nc)
	f.mu.Lock()
	if f.closing.Load() {
		f.mu.Unlock()
		_ = nc.Close() // nothing was asked
		return
	}
	f.conns[c] = struct{}{}
	f.mu.Unlock()
	go c.serve()
}

// leave is the end of a connection here: it was closed, or handed over.
func (f *Front) leave(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	if f.closing.Load() && len(f.conns) == 0 {
		close(f.gone)
	}
}

// close lets nobody in any more.
func (f *Front) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing.Load() {
		return
	}
	f.closing.Store(true)
	if len(f.conns) == 0 {
		close(f.gone)
	}
}

// each calls do for all connections.
func (f *Front) each(do func(*conn)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		do(c)
	}
}

// Shutdown lets nobody in any more, hangs up on whoever asks for nothing, and returns when the others are
// answered, those of the server too, or with ctx's error when it ends before.
func (f *Front) Shutdown(ctx context.Context) error {
	f.close()
	f.each((*conn).hangUpIdle)
	err := f.server.Shutdown(ctx)
	select {
	case <-f.gone:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("wait for connections: %w", ctx.Err()))
	}
}

// Close hangs up on everybody. It does not wait for what is under way, whose contexts it ends.
func (f *Front) Close() error {
	f.close()
	f.each((*conn).hangUp)
	return f.server.Close()
}
