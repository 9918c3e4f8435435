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
	if _, err = echo.Subscribe("credits.*.*", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err == nil {
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
	if _, err := l.place().ask(ended, "credits.bench.check", nil); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("asked after the end: %v", err)
	}
	l.close()
	if _, err := l.place().ask(t.Context(), "credits.bench.check", nil); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("asked on a line that is closed: %v", err)
	}
}
