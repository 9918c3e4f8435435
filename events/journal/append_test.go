package journal_test

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// A body that was hashed as it grew has the hash of the whole, whatever was told to begin before it.
func TestABodyIsHashedInParts(t *testing.T) {
	t.Parallel()
	j := open(t, connect(t, startBus(t, bus.Config{})), journal.Config{})
	body := fmt.Appendf(nil, "[%s]", bytes.Repeat([]byte("1"), 10_000))
	other := fmt.Appendf(nil, "[%s]", bytes.Repeat([]byte("2"), 5_000))
	for name, begin := range map[string]func(){
		"nothing":                   func() {},
		"in parts":                  func() { j.Begun(body[:1]); j.Begun(body[:3000]); j.Begun(bytes.Clone(body[:7000])) },
		"all of it":                 func() { j.Begun(body) },
		"nothing of it":             func() { j.Begun(nil) },
		"more than it has":          func() { j.Begun(append(bytes.Clone(body), "more"...)) },
		"another one":               func() { j.Begun(other[:2000]); j.Begun(other) },
		"a shorter one than before": func() { j.Begun(body[:2000]); j.Begun(body[:1000]) },
		"before the one in between": func() {
			j.Begun(body[:2000])
			if o := <-appendTo(t, j, string(other)); o.err != nil {
				t.Fatal(o.err)
			}
			j.Begun(body[:2500])
		},
	} {
		begin()
		if o := <-appendTo(t, j, string(body)); o.err != nil {
			t.Errorf("begun with %s: %v", name, o.err)
		}
	}
	commits := 0
	for c, err := range j.Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if commits++; !bytes.Equal(c.Body, body) && !bytes.Equal(c.Body, other) {
			t.Errorf("commit %d has another body", c.Sequence)
		}
		if commits == 9 {
			break
		}
	}
}

// A large commit on its way through the connection does not keep the ack of the one before it from whoever waits for that.
func TestAnAckDoesNotWaitForThePublishing(t *testing.T) {
	t.Parallel()
	slow := &slowWrites{Server: startPlain(t, filepath.Join(t.TempDir(), "nats"), 0)}
	nc, err := nats.Connect("", nats.InProcessServer(slow))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j := open(t, nc, journal.Config{})
	if _, err := j.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := make(chan outcome, 1)
	started, goOn := make(chan struct{}), make(chan struct{})
	if err := j.Append([]byte("[1]"), func(h journal.Head, err error) {
		<-started // the next one is on its way
		first <- outcome{h, err}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	slow.from(started, goOn)
	second := make(chan outcome, 1)
	go func() {
		if err := j.Append(bytes.Repeat([]byte("2"), journal.MaxBody), func(h journal.Head, err error) { second <- outcome{h, err} }); err != nil {
			second <- outcome{err: err}
		}
	}()
	if o := <-first; o.err != nil || j.Head() != o.head {
		t.Errorf("the first: %v, %v", o, j.Head())
	}
	close(goOn)
	if o := <-second; o.err != nil {
		t.Errorf("the second: %v", o.err)
	}
}

// slowWrites connects to a server in the process; what is written waits from a moment on.
type slowWrites struct {
	*server.Server

	mu            sync.Mutex
	started, goOn chan struct{}
}

// from closes started at the next large write, which then waits for goOn.
func (s *slowWrites) from(started, goOn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.goOn = started, goOn
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *slowWrites) InProcessConn() (net.Conn, error) {
	conn, err := s.Server.InProcessConn()
	return &slowConn{conn, s}, err
}

type slowConn struct {
	net.Conn
	of *slowWrites
}

// Write waits when it was asked to.
func (c *slowConn) Write(p []byte) (int, error) {
	c.of.mu.Lock()
	started, goOn := c.of.started, c.of.goOn
	if started != nil && len(p) > journal.MaxBody/2 {
		c.of.started = nil
		close(started)
	} else {
		goOn = nil
	}
	c.of.mu.Unlock()
	if goOn != nil {
		<-goOn
	}
	return c.Conn.Write(p)
}
