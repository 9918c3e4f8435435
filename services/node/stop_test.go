package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// A node stops though its journals acknowledge nothing any more.
func TestAStopDoesNotWaitForAcksThatNeverCome(t *testing.T) {
	t.Parallel()
	n, tenant := openShop(t, Config{Data: t.TempDir()})
	n.bus.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer := tenant.Do(ctx, accounts.Request{Account: "a", Command: rules.PutAccount{}}); answer.Err == nil {
		t.Error("acknowledged by a server that is down")
	}
	stopped := make(chan struct{})
	go func() {
		n.stopShards(100 * time.Millisecond)
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
}

// A stop does not wait for a rebuild that is under way, and closes no view under it: it is cut short first.
func TestAStopCutsARebuildShort(t *testing.T) {
	t.Parallel()
	var log syncedText
	n, tenant := openShop(t, Config{
		Data: t.TempDir(), Dev: true, TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Drain: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	requests := make([]accounts.Request, 5_000)
	for i := range requests {
		requests[i] = accounts.Request{Account: fmt.Sprint("account ", i), Command: &rules.PutAccount{}}
	}
	for i, answer := range tenant.DoAll(t.Context(), requests) {
		if answer.Err != nil {
			t.Fatalf("open account %d: %v", i, answer.Err)
		}
	}
	// Nobody hangs up on this client: only the stop itself can end its request.
	r := httptest.NewRequest(http.MethodPost, "/v1/admin/views/accounts/rebuild", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
	r.Header.Set("Accept", "application/x-ndjson")
	client := listener{ResponseRecorder: httptest.NewRecorder(), begun: make(chan struct{}), read: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Handler().ServeHTTP(&client, r)
	}()
	<-client.begun
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	select {
	case err := <-closed:
		t.Error("closed while a rebuild was under way")
		closed <- err
	case <-time.After(time.Second): // without waiting for the rebuild it would be closed by now
	}
	close(client.read)
	<-ended
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if text := log.String(); strings.Contains(text, "broke an invariant") || strings.Contains(text, "closed") {
		t.Errorf("the rebuild met a closed store:\n%s", text)
	}
}

// listener is a client that says when the answer begins, and then takes its time.
type listener struct {
	*httptest.ResponseRecorder
	once        sync.Once
	begun, read chan struct{}
}

func (l *listener) Write(p []byte) (int, error) {
	l.once.Do(func() { close(l.begun) })
	<-l.read
	return l.ResponseRecorder.Write(p)
}

// syncedText is a log.
type syncedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
