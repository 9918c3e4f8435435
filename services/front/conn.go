package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// conn is one connection and its goroutine, until it is closed or handed over.
type conn struct {
	front *Front
	nc    net.Conn

	buf        []byte
	start, end int // of what was read and is not answered yet
	empty      int // how many bytes of line ends may still stand before the next request
	head       head
	request    *http.Request
	body       body
	answer     answer
	out        bytes.Buffer

	// What others look at, see watch.go.
	mu    sync.Mutex
	stage stage
	since int64 // by Front.now
	until int64 // the end of the span, by Front.now; 0 for none
	span  *span
}

// usualBuffer is room for a usual request; larger buffers are not kept.
const usualBuffer = 2 << 10

func newConn(f *Front, nc net.Conn) *conn {
	return &conn{front: f, nc: nc, buf: make([]byte, usualBuffer), since: f.now.Load(), answer: answer{header: make(http.Header)}}
}

// serve answers requests until the connection ends, or asks for something that is not for the front.
func (c *conn) serve() {
	defer c.front.leave(c)
	defer func() {
		if p := recover(); p != nil {
			if fault, ok := p.(error); !ok || !errors.Is(fault, http.ErrAbortHandler) {
				c.front.log.Error("a request broke an invariant", "panic", p, "stack", string(debug.Stack()))
			}
			_ = c.nc.Close() // without an answer its outcome is unknown, as it is
		}
	}()
	for {
		handler, err := c.next()
		if err != nil {
			_ = c.nc.Close() // the client is gone, or too slow
			return
		}
		if handler == nil {
			c.handOver()
			return
		}
		if !c.carryOut(handler) {
			_ = c.nc.Close() // all that could be said was written
			return
		}
	}
}

// next reads until there is a whole request, and returns who answers it: nil for one that is not for the front.
func (c *conn) next() (http.Handler, error) {
	c.head.reset()
	var handler http.Handler
	for at := more; ; {
		if c.skipEmpty(); at == more && c.end > c.start {
			if at = c.head.read(c.buf[c.start:c.end]); at == whole {
				handler = c.handler()
			}
			if at == foreign || at == whole && handler == nil {
				return nil, nil
			}
		}
		if at == whole && c.end-c.start >= c.head.at+c.head.length {
			return handler, nil
		}
		if err := c.read(at); err != nil {
			return nil, err
		}
	}
}

// mostEmpty is how much of empty lines net/http overlooks between requests, for clients that end a body with one.
const mostEmpty = 4

func (c *conn) skipEmpty() {
	for c.empty > 0 && c.start < c.end && (c.buf[c.start] == '\r' || c.buf[c.start] == '\n') {
		c.start++
		c.empty--
	}
	if c.start < c.end {
		c.empty = 0
	}
}

// handler is who answers the request whose head was read.
func (c *conn) handler() http.Handler {
	if c.request == nil || c.request.Context().Err() != nil {
		c.renew()
	}
	c.head.fill(c.request)
	return c.front.often(c.request)
}

// renew makes the request that is used for all of the connection, and its context.
func (c *conn) renew() {
	s := newSpan(c)
	r := &http.Request{
		Method: http.MethodPost, URL: new(url.URL), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: c.nc.RemoteAddr().String(), Body: &c.body,
	}
	c.request = r.WithContext(s)
	c.mu.Lock()
	c.span = s
	c.mu.Unlock()
}

// read waits for more of a request.
func (c *conn) read(at verdict) error {
	if stage := c.waitsFor(at); stage != idle && !c.enter(stage) {
		return net.ErrClosed
	}
	if c.start > 0 {
		c.end = copy(c.buf, c.buf[c.start:c.end])
		c.start = 0
	}
	if c.end == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.nc.Read(c.buf[c.end:])
	c.end += n
	if n > 0 {
		return nil
	}
	return err
}

// waitsFor is what a connection waits for that has read so much of a request.
func (c *conn) waitsFor(at verdict) stage {
	switch {
	case at == whole:
		return inBody
	case c.end > c.start:
		return inHead
	}
	return idle // or fresh: it was said already
}

// carryOut answers the request, and reports whether another one may follow.
func (c *conn) carryOut(handler http.Handler) bool {
	if !c.enter(answering) {
		return false
	}
	c.body.rest = c.buf[c.start+c.head.at : c.start+c.head.at+c.head.length]
	c.answer.reset()
	handler.ServeHTTP(&c.answer, c.request)
	c.body.rest = nil
	c.start += c.head.at + c.head.length
	c.empty = mostEmpty
	over := !c.enter(writing) || c.front.closing.Load()
	c.answer.text(&c.out, over)
	if _, err := c.nc.Write(c.out.Bytes()); err != nil || over {
		return false
	}
	c.tidy()
	return c.enter(idle)
}

// tidy lets go of what an unusual request took.
func (c *conn) tidy() {
	if c.start == c.end {
		if len(c.buf) > usualBuffer && c.end <= usualBuffer {
			c.buf = make([]byte, usualBuffer) // the one before was larger, this one was not
		}
		c.start, c.end = 0, 0
	}
	if c.out.Cap() > mostBytes {
		c.out = bytes.Buffer{}
	}
	if cap(c.answer.body) > mostBytes {
		c.answer.body = nil
	}
}

// handOver gives the connection, and what was read of it, to the server.
func (c *conn) handOver() {
	if !c.enter(away) {
		_ = c.nc.Close() // hung up on meanwhile
		return
	}
	c.front.handed.give(&replayed{Conn: c.nc, rest: c.buf[c.start:c.end]})
}

// body is the body of a request, which is there as a whole.
type body struct{ rest []byte }

func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error { return nil }

// answer collects what a handler says.
type answer struct {
	header http.Header
	status int
	body   []byte
	date   int64 // the second that dated is of
	dated  []byte
}

func (a *answer) reset() {
	clear(a.header)
	a.status, a.body = 0, a.body[:0]
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, p...)
	return len(p), nil
}

// text writes the answer as net/http would. last says that the connection ends with it.
func (a *answer) text(out *bytes.Buffer, last bool) {
	a.WriteHeader(http.StatusOK)
	out.Reset()
	line := append(strconv.AppendInt(append(out.AvailableBuffer(), "HTTP/1.1 "...), int64(a.status), 10), ' ')
	out.Write(append(append(line, http.StatusText(a.status)...), "\r\n"...))
	_ = a.header.Write(out) // a buffer takes everything
	if now := time.Now().UTC(); now.Unix() != a.date {
		a.date, a.dated = now.Unix(), now.AppendFormat(a.dated[:0], "Date: "+http.TimeFormat+"\r\n")
	}
	out.Write(a.dated)
	if _, said := a.header["Content-Length"]; !said {
		out.Write(append(strconv.AppendInt(append(out.AvailableBuffer(), "Content-Length: "...), int64(len(a.body)), 10), "\r\n"...))
	}
	if last {
		out.WriteString("Connection: close\r\n")
	}
	out.WriteString("\r\n")
	out.Write(a.body)
}

// span is the context of a connection's requests, one after the other. It ends at most once, and then the
// connection gets another one.
type span struct {
	context.Context // has the values
	conn            *conn
	done            chan struct{}
	cut             func() // Cut, made once
	err             error  // guarded by conn.mu
}

func newSpan(c *conn) *span {
	s := &span{Context: c.front.base, conn: c, done: make(chan struct{})}
	s.cut = func() { s.endWith(context.Canceled) }
	return s
}

// Done implements context.Context.
func (s *span) Done() <-chan struct{} { return s.done }

// Err implements context.Context.
func (s *span) Err() error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.err
}

// EndAfter ends the request under way after so long, if it is under way then, and returns what ends it at once.
func (s *span) EndAfter(d time.Duration) (cut context.CancelFunc) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.until = int64(time.Since(s.conn.front.started) + d)
	return s.cut
}

func (s *span) endWith(err error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.ends(err)
}

// ends is endWith for those who hold conn.mu.
func (s *span) ends(err error) {
	if s.err == nil {
		s.err = err
		close(s.done)
	}
}
