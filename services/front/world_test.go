package front

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is one handler behind a front and behind net/http alone.
type world struct {
	t            *testing.T
	front        *Front
	ahead, plain *pipes
	often        atomic.Int32 // requests that were for the front
}

// tell answers with all that a handler can see of a request.
func tell(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var out bytes.Buffer
	fmt.Fprintln(&out, r.Method, r.URL, r.URL.Path, r.URL.EscapedPath(), r.Proto, r.Host, r.RequestURI, r.ContentLength, len(r.TransferEncoding), r.Close)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&out, "%s: %q\n", name, r.Header[name])
	}
	fmt.Fprintf(&out, "%q %v\n", text, err)
	header := w.Header()
	header.Set("Content-Type", "text/plain")
	header["Retry-After"] = []string{"1"}
	header.Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(http.StatusPaymentRequired)
	_, _ = w.Write(out.Bytes())
}

func newWorld(t *testing.T, serve http.HandlerFunc, change ...func(*http.Server)) *world {
	w := &world{t: t, ahead: newPipes(), plain: newPipes()}
	server := func() *http.Server {
		s := &http.Server{
			Handler: serve, ReadHeaderTimeout: 20 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
			IdleTimeout: 20 * time.Second, MaxHeaderBytes: 16 << 10,
		}
		for _, f := range change {
			f(s)
		}
		return s
	}
	w.front = New(Config{Server: server(), Often: func(r *http.Request) http.Handler {
		if !strings.HasSuffix(r.URL.Path, "/often") {
			return nil
		}
		w.often.Add(1)
		return serve
	}})
	plain := server()
	w.run(w.front.Serve, w.ahead, w.front.Close)
	w.run(plain.Serve, w.plain, plain.Close)
	return w
}

// run serves l until the end of the test.
func (w *world) run(serve func(net.Listener) error, l net.Listener, end func() error) {
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(func() {
		_ = end() // nobody is asking any more
		wait.Wait()
	})
}

// pipes is a listener in memory: what is written at once is read at once, and nothing is lost at the end.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

var dates = regexp.MustCompile(`Date: [^\r]*`)

// converse sends texts, each in a write of its own, and returns all that is answered until the server hangs up.
func converse(dial func() net.Conn, texts ...string) string {
	c := dial()
	defer c.Close()
	go func() {
		for _, text := range texts {
			if _, err := io.WriteString(c, text); err != nil {
				return // it hung up: what it said before that counts
			}
		}
	}()
	answer, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return dates.ReplaceAllString(string(answer), "Date: then")
}

// last is a request that net/http answers, and after which it hangs up.
const last = "GET /last HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"

// request is a plain one.
func request(path, body string, headers ...string) string {
	var lines strings.Builder
	for _, h := range headers {
		lines.WriteString(h + "\r\n")
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: here:80\r\n%sContent-Length: %d\r\n\r\n%s", path, lines.String(), len(body), body)
}
