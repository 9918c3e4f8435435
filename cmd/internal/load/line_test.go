package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
)

// Many ask on one line at once, and each gets the answer to what he asked.
func TestEveryoneOnALineGetsHisAnswer(t *testing.T) {
	server, err := bus.Start(t.Context(), bus.Config{StoreDir: t.TempDir(), Listen: "127.0.0.1:0", DevTenantless: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	l, err := newLine(server.Addr(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.place().ask(t.Context(), "credits.bench.check", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("asked where nobody is: %v", err)
	}
	echo, err := server.ConnectRequests("")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	echoing, err := echo.Subscribe("credits.*.*", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err == nil {
		err = echo.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for c := range 50 {
		place := l.place()
		wait.Go(func() {
			for i := range 40 {
				question := fmt.Sprint(c, " ", i)
				answer, err := place.ask(t.Context(), "credits.bench.check", []byte(question))
				if err != nil || string(answer) != question {
					t.Errorf("asked %q and got %q, %v", question, answer, err)
					return
				}
			}
		})
	}
	wait.Wait()
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := l.place().ask(ended, "credits.bench.check", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("asked after the end: %v", err)
	}
	if err := errors.Join(echoing.Unsubscribe(), echo.Flush()); err != nil {
		t.Fatal(err)
	}
	testPatience(t, server, l.place())
	l.close()
	if _, err := l.place().ask(t.Context(), "credits.bench.check", nil); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("asked on a line that is closed: %v", err)
	}
}

// Who waits for an answer that does not come waits no longer than his context, and the end of an earlier one's is
// nothing to him.
func testPatience(t *testing.T, server *bus.Server, a *asking) {
	conn, err := server.ConnectRequests("")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked := make(chan *nats.Msg)
	if _, err = conn.Subscribe("credits.silent.*", func(m *nats.Msg) { asked <- m }); err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	earlier, endEarlier := context.WithCancel(t.Context())
	go func() { _ = (<-asked).Respond([]byte("first")) }()
	if answer, err := a.ask(earlier, "credits.silent.check", nil); err != nil || string(answer) != "first" {
		t.Fatalf("answered %q, %v", answer, err)
	}
	now, endNow := context.WithCancel(t.Context())
	defer endNow()
	go func() {
		m := <-asked
		endEarlier()
		_ = m.Respond([]byte("second"))
	}()
	if answer, err := a.ask(now, "credits.silent.check", nil); err != nil || string(answer) != "second" {
		t.Fatalf("answered %q, %v, when an earlier context ended", answer, err)
	}
	go func() {
		<-asked
		endNow()
	}()
	if answer, err := a.ask(now, "credits.silent.check", nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("answered %q, %v, when nobody answered", answer, err)
	}
	// An answer has its place, even if patience ended just before it came.
	a.giveUp()
	a.giveUp()
	a.line.answered(&nats.Msg{Subject: a.inbox, Data: []byte("late")})
	if m := <-a.answers; m == nil || string(m.Data) != "late" {
		t.Errorf("%v is there instead of the answer", m)
	}
}
