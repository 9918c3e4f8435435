package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

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

// What is sent again goes out in one piece: no append comes between two of its messages, where it would be refused if the ones
// before it had been lost.
func TestNoAppendComesBetweenRepetitions(t *testing.T) {
	t.Parallel()
	const waiting = 7
	s := startPlain(t, t.TempDir(), 0)
	slow := &slowWrites{Server: s}
	nc, err := nats.Connect("", nats.InProcessServer(slow))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j := open(t, nc, journal.Config{Name: acme, Create: true, AckTimeout: time.Hour, SyncNames: func() error { return errors.New("no ack is believed") }})
	listener := dial(t, s.ClientURL())
	sent, err := listener.SubscribeSync(acme.Subject())
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("1"), journal.MaxBody)
	for range waiting {
		appendTo(t, j, string(body))
	}
	started, goOn := make(chan struct{}), make(chan struct{})
	slow.from(started, goOn)
	var both sync.WaitGroup
	both.Go(j.Repeat)
	<-started
	both.Go(func() { appendTo(t, j, string(body)) })
	time.Sleep(20 * time.Millisecond) // so that the append waits for whatever there is to wait for
	close(goOn)
	both.Wait()
	for i := range 2*waiting + 1 {
		msg, err := sent.NextMsg(30 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		want := i % waiting
		if i == 2*waiting {
			want = waiting
		}
		if before := msg.Header.Get("Nats-Expected-Last-Sequence"); before != strconv.Itoa(want) {
			t.Fatalf("message %d follows commit %s, not %d", i+1, before, want)
		}
	}
}

// The server may refuse the repetition of an append that it took after all, just when the next one is published: that one is
// not changed before it is.
func TestNothingIsChangedWhileItIsPublished(t *testing.T) {
	t.Parallel()
	j := open(t, connect(t, startBus(t, bus.Config{})), journal.Config{})
	fill(t, j, 1)
	for range 1000 {
		var repeated sync.WaitGroup
		repeated.Go(j.TrustSequence)
		fill(t, j, 1)
		repeated.Wait()
	}
}

// A body is the journal's until done is called, and that is not before it was published.
func TestABodyIsNotPublishedAfterItsOutcome(t *testing.T) {
	t.Parallel()
	slow := &slowWrites{Server: startPlain(t, t.TempDir(), 0)}
	nc, err := nats.Connect("", nats.InProcessServer(slow))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j := open(t, nc, journal.Config{})
	fill(t, j, 1)
	// Whoever else publishes through the connection holds it.
	started, goOn := make(chan struct{}), make(chan struct{})
	slow.from(started, goOn)
	var other sync.WaitGroup
	other.Go(func() {
		if err := nc.Publish("other", make([]byte, journal.MaxBody)); err != nil {
			t.Error(err)
		}
	})
	<-started
	body := []byte("[1]")
	appended, done := make(chan error), make(chan struct{})
	go func() {
		appended <- j.Append(body, func(journal.Head, error) {
			copy(body, "[2]")
			close(done)
		})
	}()
	eventually(t, "the append waits for its outcome", func() bool { return j.State().Pending == 1 })
	closed := make(chan error)
	go func() { closed <- j.Close() }()
	select { // either it is too early, or it comes once the body is published
	case <-done:
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	other.Wait()
	if err := errors.Join(<-appended, <-closed, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	<-done
	if commits, err := readAll(t.Context(), open(t, nc, journal.Config{Name: acme}), 1); err != nil {
		t.Errorf("after %d commits: %v", len(commits), err)
	}
}

// What had begun of a body that was refused is no part of the next one.
func TestWhatHadBegunOfARefusedBodyIsForgotten(t *testing.T) {
	t.Parallel()
	j := open(t, connect(t, startBus(t, bus.Config{})), journal.Config{})
	large := bytes.Repeat([]byte("1"), journal.MaxBody+1)
	body := []byte("[2,2]")
	j.Begun(large[:3])
	if err := j.Append(large, nil); !errors.Is(err, journal.ErrTooLarge) {
		t.Fatal(err)
	}
	j.Begun(body[:4])
	if o := <-appendTo(t, j, string(body)); o.err != nil {
		t.Fatal(o.err)
	}
	if _, err := readAll(t.Context(), j, 1); err != nil {
		t.Error(err)
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
