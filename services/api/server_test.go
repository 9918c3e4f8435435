package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"creditstream/services/api"
	"creditstream/services/node"
)

// A key that asks too often is told to slow down; others are not held back.
func TestTooManyRequests(t *testing.T) {
	w := newWorld(t)
	noisy, quiet := w.newKey("tecpet", "noisy", false, "read"), w.newKey("tecpet", "quiet", false, "read")
	slow := httptest.NewServer(api.New(api.Config{Accounts: w.node.Accounts(), Credentials: w.node.Credentials(), Limits: api.Limits{PerKey: 1}}).Handler())
	t.Cleanup(slow.Close)
	noisy.base, quiet.base = slow.URL, slow.URL
	refused := false
	for range 50 {
		if answer := noisy.get("/v1/tenants/tecpet/accounts"); answer.status == http.StatusTooManyRequests {
			if answer.refused(429, "too_many_requests").header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			refused = true
			break
		}
	}
	if !refused {
		t.Error("50 requests at once were let through at 1 a second")
	}
	quiet.get("/v1/tenants/tecpet/accounts").is(200)
}

// A server that stops does not wait for clients that follow the journal.
func TestAStopEndsStreams(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/v1/tenants/tecpet/events?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(response.Body, first); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, response.Body)
		ended <- err
	}()
	if err := w.node.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
}

// FIELD.md 1: of many requests at once for the last credit one succeeds; and of many with one key, all have
// the one answer.
func TestAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.open("tecpet", "a", "")
	w.grant(a, "purchased", "2")
	var wait sync.WaitGroup
	statuses := make(chan int, 40)
	positions := make(chan string, 20)
	for i := range 20 {
		wait.Go(func() {
			statuses <- w.post(a+"/usage", fmt.Sprint("k", i), `{"meter":"sticker","quantity":1}`).status
		})
		wait.Go(func() {
			answer := w.post(a+"/usage", "same", `{"meter":"sticker","quantity":1}`)
			statuses <- answer.status
			if answer.status == http.StatusOK {
				positions <- answer.text("position")
			}
		})
	}
	wait.Wait()
	close(statuses)
	close(positions)
	one := ""
	for p := range positions {
		if one != "" && p != one {
			t.Errorf("one key has the positions %s and %s", one, p)
		}
		one = p
	}
	w.get(a+"/balance").is(200).has("used", "2").has("remaining", "0")
	for status := range statuses {
		if status != http.StatusOK && status != http.StatusPaymentRequired {
			t.Errorf("a request was answered with %d", status)
		}
	}
}

// A tenant of several shards answers like one of one: batches in their order, lists complete.
func TestSeveralShards(t *testing.T) {
	w := newWorld(t, func(c *node.Config) { c.Shards = 3 })
	var batch, ids []string
	for i := range 12 {
		id := fmt.Sprint("s", i)
		w.open("tecpet", id, "")
		w.grant(account("tecpet", id), "purchased", "10")
		ids = append(ids, id)
		batch = append(batch, event("e", id, "sticker", i%3+1))
	}
	got := w.post("/v1/tenants/tecpet/events", "", "["+strings.Join(batch, ",")+"]").is(200)
	for i := range batch {
		got.has(fmt.Sprintf("results.%d.cost", i), fmt.Sprint(i%3+1))
		w.get(account("tecpet", ids[i])+"/balance?min_position="+got.text(fmt.Sprintf("results.%d.position", i))).is(200).has("remaining", fmt.Sprint(9-i%3))
	}
	seen, cursor := make(map[string]bool), ""
	for {
		page := w.get("/v1/tenants/tecpet/accounts?limit=5&cursor=" + cursor).is(200)
		for _, a := range page.field("accounts").([]any) {
			seen[a.(map[string]any)["account"].(string)] = true
		}
		if cursor = page.text("next"); cursor == "" {
			break
		}
	}
	if len(seen) != len(ids) {
		t.Errorf("%d of %d accounts are listed", len(seen), len(ids))
	}
	if used := lines(t, w.get("/v1/tenants/tecpet/events?type=UsageRecorded").is(200).body); len(used) != len(ids) {
		t.Errorf("%d of %d uses are in the journals", len(used), len(ids))
	}
	if one := lines(t, w.get("/v1/tenants/tecpet/events?type=UsageRecorded&account=s7").is(200).body); len(one) != 1 || one[0]["position"] != got.text("results.7.position") {
		t.Errorf("the use of one account: %v", one)
	}
}

// A client that sends half of a header or of a body, or keeps a connection and asks for nothing more, is hung up on.
func TestSlowClientsAreBounded(t *testing.T) {
	w := newWorld(t)
	server := api.Server(w.node.Handler())
	if server.ReadHeaderTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 {
		t.Errorf("a timeout is missing: %+v", server)
	}
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = 100*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	for _, c := range []struct{ what, sent, answer string }{
		{"nothing", "", ""},
		{"half of a header", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", ""},
		{"half of a body", "PUT /v1/tenants/tecpet/accounts/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"plan\":", "HTTP/1.1 4"},
		{"a request, and then nothing", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "HTTP/1.1 200"},
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), c.answer) || c.answer == "" && len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 408") {
			t.Errorf("%s: answered %q, %v; the server has to hang up", c.what, got, err)
		}
		_ = conn.Close()
	}
	if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	<-served
	w.get(account("tecpet", "a")).refused(404, "unknown_account")
}

// What a log line of the server may hold of a request is its operation, never a key or a code.
func TestNoSecretsInTheLog(t *testing.T) {
	var log lockedBuffer
	w := newWorld(t, func(c *node.Config) { c.Logger = log.logger() })
	a := w.open("tecpet", "a", `{"approval":{"pin":"482913"}}`)
	key := w.newKey("tecpet", "x", false, "read")
	key.get(a + "/balance?min_position=99999.0").is(503)
	w.as("cs_live_wrong").get(a + "/balance").is(401)
	text := log.String()
	for _, secret := range []string{"482913", key.key, "cs_live_"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(text, "operation=balance") {
		t.Errorf("what was unavailable is not logged:\n%s", text)
	}
}

func (b *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
