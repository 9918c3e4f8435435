package credentials

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// machine is one computer: a NATS server on a directory, and a pepper file outside it.
type machine struct {
	t      *testing.T
	dir    string
	pepper string
	server *server.Server
	port   int // 0 = in-process connections only
	now    time.Time
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), pepper: filepath.Join(t.TempDir(), "pepper"), now: noon}
	m.boot()
	t.Cleanup(m.halt)
	return m
}

func (m *machine) boot() {
	m.t.Helper()
	srv, err := server.NewServer(&server.Options{
		DontListen: m.port == 0, Host: "127.0.0.1", Port: m.port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: m.dir,
		JetStreamMaxStore: 64 << 20, JetStreamMaxMemory: 16 << 20, SyncAlways: true,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		m.t.Fatal("the server does not start")
	}
	m.server = srv
}

func (m *machine) halt() {
	m.server.Shutdown()
	m.server.WaitForShutdown()
}

func (m *machine) connect() *nats.Conn {
	m.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(m.server))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(nc.Close)
	return nc
}

func (m *machine) tryOpen() (*Store, error) {
	m.t.Helper()
	s, err := Open(m.t.Context(), m.connect(), Config{PepperFile: m.pepper, Now: func() time.Time { return m.now }})
	if err == nil {
		m.t.Cleanup(s.Close)
	}
	return s, err
}

func (m *machine) open() *Store {
	m.t.Helper()
	s, err := m.tryOpen()
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// restart stops store and server, and starts both again on the same files.
func (m *machine) restart(s *Store) *Store {
	m.t.Helper()
	s.Close()
	m.halt()
	m.boot()
	return m.open()
}

// eventually waits for what the stream has yet to deliver; how long it takes is not asserted.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never happened: %s", what)
}

func (m *machine) stream() jetstream.Stream {
	m.t.Helper()
	js, err := jetstream.New(m.connect())
	if err != nil {
		m.t.Fatal(err)
	}
	stream, err := js.Stream(m.t.Context(), StreamName)
	if err != nil {
		m.t.Fatal(err)
	}
	return stream
}

// stored is the message on the subject.
func (m *machine) stored(subject string) *jetstream.RawStreamMsg {
	m.t.Helper()
	msg, err := m.stream().GetLastMsgForSubject(m.t.Context(), subject)
	if err != nil {
		m.t.Fatal(err)
	}
	return msg
}

// forge publishes with no regard to the fence.
func (m *machine) forge(subject, sum string, body []byte) {
	m.t.Helper()
	js, err := jetstream.New(m.connect())
	if err != nil {
		m.t.Fatal(err)
	}
	msg := nats.NewMsg(subject)
	msg.Data = body
	msg.Header.Set(macHeader, sum)
	if _, err := js.PublishMsg(m.t.Context(), msg); err != nil {
		m.t.Fatal(err)
	}
}
