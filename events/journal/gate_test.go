package journal_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startPlain starts a server without accounts, which can be reached through a
// gate. Port 0 picks a free one.
func startPlain(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, MaxPayload: 8 << 20,
		JetStream: true, StoreDir: dir, SyncAlways: true, JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 1 << 28,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server did not start")
	}
	t.Cleanup(func() { stopPlain(s) })
	return s
}

func stopPlain(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func portOf(s *server.Server) int { return s.Addr().(*net.TCPAddr).Port }

func dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectJitter(0, 0), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// gate is a TCP proxy in front of a server that can lose what goes through it.
type gate struct {
	listener net.Listener
	server   string

	loseRequests atomic.Bool
	loseAnswers  atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func startGate(t testing.TB, s *server.Server) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: listener, server: s.Addr().String()}
	g.wg.Go(g.serve)
	t.Cleanup(func() {
		listener.Close()
		g.cut()
		g.wg.Wait()
	})
	return g
}

func (g *gate) url() string { return "nats://" + g.listener.Addr().String() }

func (g *gate) serve() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", g.server)
		if err != nil {
			client.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, client, upstream)
		g.mu.Unlock()
		g.wg.Go(func() { pipe(upstream, client, &g.loseRequests) })
		g.wg.Go(func() { pipe(client, upstream, &g.loseAnswers) })
	}
}

func pipe(to, from net.Conn, lose *atomic.Bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !lose.Load() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, io.ErrNoProgress) {
			return
		}
	}
}

// cut closes all connections; the clients come back by themselves.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

// heal stops losing things. What was lost leaves the connections unusable.
func (g *gate) heal() {
	g.loseRequests.Store(false)
	g.loseAnswers.Store(false)
	g.cut()
}
