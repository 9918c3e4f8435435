package bus_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
)

// dial speaks NATS by hand, so that nothing reads what nobody asks it to read.
func dial(t *testing.T, s *bus.Server, first string) net.Conn {
	t.Helper()
	conn := must((&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.Addr(), "nats://")))(t)
	t.Cleanup(func() { _ = conn.Close() })
	must(conn.Write([]byte(first)))(t)
	return conn
}

// A client that does not read its answers is hung up on; meanwhile another one has all of its own.
func TestAClientThatTakesNothingIsHungUpOn(t *testing.T) {
	t.Parallel()
	const requests, size = 150, 1 << 20 // more than may wait for one client, and than sockets hold
	s := start(t, bus.Config{Listen: "127.0.0.1:0", DevTenantless: true})
	if err := s.AddTenant("acme"); err != nil {
		t.Fatal(err)
	}
	service := must(s.ConnectRequests(""))(t)
	t.Cleanup(service.Close)
	answer := bytes.Repeat([]byte("x"), size)
	served := make(chan struct{}, 2*requests)
	must(service.Subscribe("credits.*.*", func(m *nats.Msg) {
		if err := m.Respond(answer); err != nil {
			t.Error(err)
		}
		if err := service.Flush(); err != nil {
			t.Error(err)
		}
		served <- struct{}{}
	}))(t)
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	slow := dial(t, s, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.slow.* 1\r\n")
	for i := range requests {
		must(fmt.Fprintf(slow, "PUB credits.acme.usage _INBOX.slow.%d 0\r\n\r\n", i))(t)
	}
	quick := must(nats.Connect(s.Addr()))(t)
	t.Cleanup(quick.Close)
	for range requests {
		m := must(quick.Request("credits.acme.usage", nil, 30*time.Second))(t)
		if len(m.Data) != size {
			t.Fatalf("an answer of %d bytes", len(m.Data))
		}
	}
	for range 2 * requests {
		<-served
	}
	address := slow.LocalAddr().String()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state := must(s.State())(t)
		there := slices.ContainsFunc(state.Connections, func(c bus.Connection) bool { return c.Address == address })
		if !there && state.Process.SlowConsumers > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the client is there: %v; %d were hung up on", there, state.Process.SlowConsumers)
		}
	}
	if again := quick.Stats().Reconnects + service.Stats().Reconnects; again > 0 {
		t.Errorf("who did read was hung up on %d times", again)
	}
}

// Who connects and does not say who he is, is hung up on.
func TestAClientThatSaysNothingIsHungUpOn(t *testing.T) {
	t.Parallel()
	s := start(t, bus.Config{Listen: "127.0.0.1:0", Authenticate: keys})
	all := make(map[string]net.Conn)
	for _, said := range []string{"", "CONN", "PING\r\n"} {
		all[said] = dial(t, s, said)
	}
	for said, conn := range all {
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(bufio.NewReader(conn))
		if err != nil || !bytes.Contains(text, []byte("-ERR")) {
			t.Errorf("after %q: %q, %v", said, text, err)
		}
	}
}
