package front

import (
	"net"
	"sync"
	"time"
)

// handed is a listener whose connections are those that the front hands over.
type handed struct {
	addr   net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
	mu     sync.Mutex
	source net.Listener
	err    error // of closing source
}

func newHanded() *handed { return &handed{conns: make(chan net.Conn), closed: make(chan struct{})} }

// closes makes l close with h.
func (h *handed) closes(l net.Listener) {
	h.mu.Lock()
	h.source = l
	h.mu.Unlock()
	if h.isClosed() {
		_ = l.Close() // it may have been closed by Close
	}
}

// give hands a connection over, or closes it when nobody takes it any more.
func (h *handed) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close() // the server is stopping: nothing was answered
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.once.Do(func() {
		close(h.closed)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.source != nil {
			h.err = h.source.Close()
		}
	})
	return h.err
}

// Addr implements net.Listener.
func (h *handed) Addr() net.Addr { return h.addr }

func (h *handed) isClosed() bool {
	select {
	case <-h.closed:
		return true
	default:
		return false
	}
}

// wait passes some time, or returns when h is closed.
func (h *handed) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.closed:
	}
}

// replayed is a connection of which some was read already.
type replayed struct {
	net.Conn
	rest []byte
}

func (r *replayed) Read(p []byte) (int, error) {
	if len(r.rest) > 0 {
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	r.rest = nil
	return r.Conn.Read(p)
}

// CloseWrite is for net/http, which lets a client read why it was refused before it hangs up.
func (r *replayed) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
