package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/services/api"
	"creditstream/services/internal/trial"
	"creditstream/services/node"
)

// ask is a request whose answer is a status and a code.
func (w *world) ask(path string) (status int, code string) {
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.base+path, nil)
	if err != nil {
		w.t.Error(err)
		return 0, ""
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Error(err)
	}
	if _, rest, ok := strings.Cut(string(body), `"code":"`); ok {
		code, _, _ = strings.Cut(rest, `"`)
	}
	return response.StatusCode, code
}

// A tenant that asks as fast as it can is told to slow down, and every request of another one is carried out.
func TestAFloodOfOneTenantIsNotTheOthers(t *testing.T) {
	w := newWorld(t, func(c *node.Config) { c.Limits.PerTenant = 10 })
	flooded, quiet := w.open("tecpet", "a", ""), w.open("adtech", "a", "")
	var flood sync.WaitGroup
	var refused, carriedOut atomic.Int64
	for range 8 {
		flood.Go(func() {
			for range 100 {
				switch status, code := w.ask(flooded + "/balance"); {
				case status == http.StatusTooManyRequests && code == "too_many_requests":
					refused.Add(1)
				case status == http.StatusOK:
					carriedOut.Add(1)
				default:
					t.Errorf("the flood was answered %d %s", status, code)
				}
			}
		})
	}
	for range 15 {
		w.get(quiet + "/balance").is(200)
	}
	flood.Wait()
	if refused.Load() < 400 || carriedOut.Load() == 0 {
		t.Errorf("of 800 requests at 10 a second %d were refused and %d carried out", refused.Load(), carriedOut.Load())
	}
}

// So many requests of one tenant are under way and no more; the others are not counted with them.
func TestTooManyUnderWay(t *testing.T) {
	w := newWorld(t, func(c *node.Config) { c.Limits.UnderWay = 3 })
	flooded, quiet := w.open("tecpet", "a", ""), w.open("adtech", "a", "")
	var waiting sync.WaitGroup
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop); waiting.Wait() })
	defer end()
	for range 3 {
		waiting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default: // waits two seconds for what does not come
					if status, code := w.ask(flooded + "/balance?min_position=99999.0"); status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
						t.Errorf("answered %d %s", status, code)
					}
				}
			}
		})
	}
	trial.Eventually(t, "one more is refused", func() bool {
		status, code := w.ask(flooded + "/balance")
		return status == http.StatusTooManyRequests && code == "too_many_requests"
	})
	for range 20 {
		w.get(quiet + "/balance").is(200)
	}
	end()
	w.get(flooded + "/balance").is(200)
}

// Over NATS, what one tenant sends without waiting for answers is refused beyond a bound; each message has an answer,
// what was refused charged nothing, and another tenant is answered all the while.
func TestAFloodOverNATS(t *testing.T) {
	const sent = 6000
	w := newWorld(t, func(c *node.Config) { c.NATSListen, c.Limits.Waiting = "127.0.0.1:0", 100<<10 })
	flooded, quiet := w.open("tecpet", "a", ""), w.open("adtech", "a", `{"plan":"pro"}`)
	w.grant(flooded, "purchased", fmt.Sprint(2*sent))
	connect := func() *nats.Conn {
		nc, err := nats.Connect(w.node.NATS())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	flooder, other := connect(), connect()
	answers := make(chan *nats.Msg, sent)
	inbox := flooder.NewInbox()
	if _, err := flooder.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	var flood sync.WaitGroup
	flood.Go(func() {
		for i := range sent {
			if err := flooder.PublishRequest("credits.tecpet.usage", inbox, []byte(event(fmt.Sprint("f", i), "a", "sticker", 1))); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 100 {
		m, err := other.Request("credits.adtech.usage", []byte(event(fmt.Sprint("q", i), "a", "dynamic_video", 1)), 30*time.Second)
		if err != nil || m.Header.Get("Nats-Service-Error") != "" || !strings.Contains(string(m.Data), `"recorded"`) {
			t.Fatalf("request %d of the other tenant: %v, %+v", i, err, m)
		}
	}
	flood.Wait()
	charged, refused := 0, 0
	for range sent {
		switch m := <-answers; {
		case m.Header.Get("Nats-Service-Error") == "too_many_requests" && m.Header.Get("Nats-Service-Error-Code") == "429":
			refused++
		case strings.Contains(string(m.Data), `"recorded"`):
			charged++
		default:
			t.Errorf("answered %v %s", m.Header, m.Data)
		}
	}
	if refused == 0 || charged == 0 {
		t.Errorf("%d were charged and %d refused", charged, refused)
	}
	w.get(flooded+"/balance").is(200).has("used", fmt.Sprint(charged))
	w.get(quiet+"/balance").is(200).has("used", "100")
}

// A follower that reads nothing is hung up on when his time is over. Meanwhile he costs the server no more than
// what waits in his connection, and nothing of him is left.
func TestAFollowerThatReadsNothing(t *testing.T) {
	const followers = 8
	w := newWorld(t)
	door := api.New(api.Config{
		Accounts: w.node.Accounts(), Credentials: w.node.Credentials(), Journal: w.node.Journal, Dev: true,
		Limits: api.Limits{Followers: followers, SlowestRead: time.Second},
	})
	server := httptest.NewUnstartedServer(nil)
	server.Config = api.Server(door.Handler())
	server.Start()
	t.Cleanup(server.Close)
	a := w.open("tecpet", "a", "")
	w.grant(a, "purchased", "100000")
	for batch := range 12 { // more than the buffers of a connection take
		events := make([]string, 1000)
		for i := range events {
			events[i] = strings.Replace(event(fmt.Sprint("e", batch, "-", i), "a", "sticker", 1), `"data":{`, `"data":{"description":"`+strings.Repeat("long ", 200)+`",`, 1)
		}
		w.post("/v1/tenants/tecpet/events", "", "["+strings.Join(events, ",")+"]").is(200)
	}
	http.DefaultClient.CloseIdleConnections()
	memory, goroutines := inUse(), runtime.NumGoroutine()
	for range followers {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET /v1/tenants/tecpet/events?follow=true HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	trial.Eventually(t, "all places are taken", func() bool { return door.Following("tecpet") == followers })
	if more := inUse() - memory; more > followers*(8<<20) {
		t.Errorf("%d followers that read nothing take %d bytes", followers, more)
	}
	trial.Eventually(t, "all were hung up on", func() bool { return door.Following("tecpet") == 0 })
	trial.Eventually(t, "their goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	if more := inUse() - memory; more > 4<<20 {
		t.Errorf("they left %d bytes", more)
	}
}

// inUse is what of the heap is reachable.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
