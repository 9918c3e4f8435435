package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const often = "/v1/tenants/t/often"

// serveTCP serves a handler on a real port.
func serveTCP(t *testing.T, serve http.HandlerFunc, change ...func(*http.Server)) (*Front, func() net.Conn) {
	t.Helper()
	w := newWorld(t, serve, change...)
	f := New(Config{Server: &http.Server{Handler: serve, IdleTimeout: time.Minute}, Often: func(*http.Request) http.Handler { return serve }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.run(f.Serve, l, f.Close)
	return f, func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// receive reads until the text ends the answer.
func receive(t *testing.T, c net.Conn, end string) string {
	t.Helper()
	var got strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(got.String(), end) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.Write(one)
	}
	return got.String()
}

// Who begins and does not go on, asks and does not read, or is silent, is hung up on.
func TestSlowClientsAreHungUpOn(t *testing.T) {
	enough := strings.Repeat("x", 1<<20)
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if r.ContentLength > 0 {
			_, _ = io.WriteString(w, enough)
		}
	}, func(s *http.Server) {
		s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout, s.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	})
	for what, text := range map[string]string{
		"silence": "", "half of a line": "POST /v1/ten", "half of a head": "POST " + often + " HTTP/1.1\r\nHost: h\r\n",
		"half of a body": request(often, "abc")[:len(request(often, "abc"))-1],
		"one request":    request(often, ""), "one and a half": request(often, "") + "POST /v1",
	} {
		got := converse(w.ahead.dial, text)
		if asked := strings.HasPrefix(what, "one"); asked != strings.HasPrefix(got, "HTTP/1.1 200 OK") || !asked && got != "" {
			t.Errorf("%s is answered %q", what, got)
		}
	}
	deaf := w.ahead.dial()
	defer deaf.Close()
	send(t, deaf, request(often, "a"))
	if err := shutdown(t, w.front, 20*time.Second); err != nil { // it waits for the deaf one
		t.Error(err)
	}
}

func shutdown(t *testing.T, f *Front, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	return f.Shutdown(ctx)
}

// A request's context ends after what its handler said, and the next one's on the same connection is another.
func TestEndAfter(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.ContentLength > 0 {
			ctx.(*span).EndAfter(20 * time.Millisecond)
			<-ctx.Done()
		} else {
			ctx.(*span).EndAfter(time.Hour)
		}
		w.Header().Set("Content-Type", "text/plain")
		if err := ctx.Err(); err != nil {
			_, _ = io.WriteString(w, context.Cause(ctx).Error())
			return
		}
		_, _ = io.WriteString(w, "in time")
	})
	c := w.ahead.dial()
	defer c.Close()
	for range 2 {
		go func() { _, _ = io.WriteString(c, request(often, "")+request(often, "wait")+request(often, "")) }()
		receive(t, c, "in time")
		receive(t, c, context.DeadlineExceeded.Error())
		receive(t, c, "in time")
	}
}

// Whoever hangs up waits for nothing any more: the request's context ends.
func TestAClientThatHangsUp(t *testing.T) {
	cancelled(t, func(_ *Front, c net.Conn) error { return c.Close() })
}

// cancelled has a request's context end by what is done while it is carried out.
func cancelled(t *testing.T, by func(*Front, net.Conn) error) *Front {
	t.Helper()
	begun, ended := make(chan struct{}), make(chan error, 1)
	f, dial := serveTCP(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	c := dial()
	send(t, c, request(often, "a"))
	<-begun
	if err := by(f, c); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	return f
}

// A client that sent its next request already, and one that waits, are there.
func TestAClientThatWaits(t *testing.T) {
	begun, leave := make(chan *conn), make(chan struct{})
	_, dial := serveTCP(t, func(w http.ResponseWriter, r *http.Request) {
		if s, is := r.Context().(*span); is {
			begun <- s.conn
			<-leave
			if s.Err() != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	})
	for _, next := range []string{"", request(often, "b")} {
		c := dial()
		send(t, c, request(often, "a"))
		at := <-begun
		send(t, c, next)
		at.look(int64(time.Hour), 1) // as the watch does, much later
		leave <- struct{}{}
		if got := receive(t, c, "\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("answered %q", got)
		}
		if next != "" {
			<-begun
			leave <- struct{}{}
		}
	}
}

// A stop lets nobody in, hangs up on who asks for nothing, and waits for those who asked: their answer says that it is the last.
func TestShutdown(t *testing.T) {
	begun, leave := make(chan struct{}), make(chan struct{})
	f, dial := serveTCP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 {
			close(begun)
			<-leave
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "answered")
	})
	silent, idle, busy := dial(), dial(), dial()
	send(t, idle, request(often, ""))
	receive(t, idle, "answered")
	send(t, busy, request(often, "a"))
	<-begun
	if err := shutdown(t, f, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop that does not wait for a request under way: %v", err)
	}
	for _, c := range []net.Conn{silent, idle} {
		if rest, _ := io.ReadAll(c); len(rest) > 0 {
			t.Errorf("at a stop a connection that is idle gets %q", rest)
		}
	}
	if c, err := net.Dial("tcp", idle.RemoteAddr().String()); err == nil {
		_ = c.Close()
		t.Error("let in after a stop")
	}
	close(leave)
	if err := shutdown(t, f, 20*time.Second); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(busy); err != nil || !strings.Contains(string(got), "\r\nConnection: close\r\n\r\nanswered") {
		t.Errorf("the last answer is %q, %v", got, err)
	}
}

// Close ends what is under way.
func TestClose(t *testing.T) {
	f := cancelled(t, func(f *Front, _ net.Conn) error { return f.Close() })
	if err := shutdown(t, f, 20*time.Second); err != nil {
		t.Error(err)
	}
}

// A connection that comes while the server stops is closed, not left hanging.
func TestHandedOverAtAStop(t *testing.T) {
	w := newWorld(t, tell)
	c := w.ahead.dial()
	defer c.Close()
	send(t, c, "GET /")
	if err := w.front.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "x HTTP/1.1\r\n") // whoever has it closes it
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("answered %q, %v", got, err)
	}
}
