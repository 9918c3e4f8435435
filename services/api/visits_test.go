package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/services/api"
	"creditstream/services/internal/trial"
)

// verifying is a door where a verification is under way, until its context ends and it was let go.
type verifying struct {
	*api.API
	begun, cut chan struct{}
	leave      chan struct{}
	left       atomic.Bool
	answered   chan int
}

func startVerifying(t *testing.T, s *shop) *verifying {
	v := &verifying{begun: make(chan struct{}), cut: make(chan struct{}), leave: make(chan struct{}), answered: make(chan int, 1)}
	v.API = api.New(api.Config{Accounts: s.Accounts, Dev: true, Verify: func(ctx context.Context, _ api.Verify) (any, error) {
		close(v.begun)
		<-ctx.Done()
		close(v.cut)
		<-v.leave
		v.left.Store(true)
		return nil, ctx.Err()
	}})
	go func() { v.answered <- v.ask().Code }()
	<-v.begun
	return v
}

func (v *verifying) ask() *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/admin/verify", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	w := httptest.NewRecorder()
	v.Handler().ServeHTTP(w, r)
	return w
}

// A door is closed when nothing is under way in it any more, not when it stops waiting: what was open longer
// than it waits is cut short first.
func TestADoorClosesAfterTheLastRequestLeft(t *testing.T) {
	v := startVerifying(t, newShop(t))
	at, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error, 1)
	go func() {
		err := v.Close(at)
		if !v.left.Load() {
			err = errors.New("closed while a request was under way")
		}
		closed <- err
	}()
	<-v.cut
	if late := v.ask(); late.Code != http.StatusServiceUnavailable {
		t.Errorf("a request that came late was answered %d", late.Code)
	}
	close(v.leave)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if status := <-v.answered; status != http.StatusServiceUnavailable {
		t.Errorf("the request that was cut short was answered %d", status)
	}
}

// What does not heed its end is named, and does not hold up the end.
func TestADoorNamesWhatDoesNotLeave(t *testing.T) {
	v := startVerifying(t, newShop(t))
	v.SetCutGrace(time.Millisecond)
	at, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Close(at); !errors.Is(err, api.ErrBusy) || err.Error() != "requests are still under way: verify" {
		t.Errorf("closed with %v", err)
	}
	close(v.leave)
	<-v.answered
}

// In a stall the NATS door does not wait for each batch of what was sent to it: what was not begun is
// answered at once, and all of it is answered.
func TestTheNATSDoorClosesInAStall(t *testing.T) {
	s := newShop(t)
	tenant := s.Tenant("shop", "tecpet")
	door := s.serveNATS(api.New(api.Config{Accounts: s.Accounts, Dev: true, AnswerWithin: time.Hour}), "shop")
	held, release := make(chan struct{}), make(chan struct{})
	between := make(chan error, 1)
	go func() {
		between <- tenant.Shards()[0].Between(context.Background(), func() error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	const messages = 10_000 // more than two batches
	client := s.client("shop")
	answers := make(chan *nats.Msg, messages)
	inbox := client.NewInbox()
	trial.Must(client.ChanSubscribe(inbox, answers))(t)
	for i := range messages {
		if err := client.PublishRequest("credits.shop.usage", inbox, []byte(use(fmt.Sprint("e", i), 1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(client.Flush(), s.NATS.Flush()); err != nil {
		t.Fatal(err)
	}
	at, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := door.Close(at); err != nil { // without an end of its own it waits for an hour
		t.Error(err)
	}
	for range messages {
		if answer := <-answers; answer.Header.Get("Nats-Service-Error") != "unavailable" {
			t.Fatalf("answered %s", answer.Data)
		}
	}
	close(release)
	if err := <-between; err != nil {
		t.Error(err)
	}
}
