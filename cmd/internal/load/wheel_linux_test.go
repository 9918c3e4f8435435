package load

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wheelAt is a wheel of n clients that check at a server with this handler.
func wheelAt(t *testing.T, n int, serve http.HandlerFunc) *wheel {
	t.Helper()
	return wheelOf(t, Config{Profile: "check", Clients: n, Batch: 1}, serve)
}

func wheelOf(t *testing.T, cfg Config, serve http.HandlerFunc) *wheel {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	cfg.Door = doorHTTP
	r := &run{cfg: cfg, profile: profiles[cfg.Profile], target: &target{cfg: cfg, names: []string{"a"}}, tallies: newTallies()}
	var clients []*client
	for i := range cfg.Clients {
		clients = append(clients, &client{number: i, target: r.target, profile: r.profile, door: newOverHTTP(server.URL), random: rand.New(rand.NewPCG(1, uint64(i)))})
	}
	w, err := r.newWheel(t.Context(), clients)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// A server that is slow shows in the latencies of an open loop: they count from when a request was due. What was never started
// is counted, and in them.
func TestWheelSeesAStall(t *testing.T) {
	const stall = 20 * time.Millisecond
	w := wheelAt(t, 1, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(stall)
		_, _ = io.WriteString(w, `{"allowed":true}`)
	})
	start := time.Now()
	if err := w.turn(t.Context(), start, start.Add(50*time.Millisecond), 5*time.Millisecond, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	m := w.tallies.take()
	if m.counted != 10 || m.late < 9 || m.dropped != 0 || m.latency.TotalCount() != 10 {
		t.Errorf("of 10 requests %d were answered, %d late, %d dropped, %d in the latencies", m.counted, m.late, m.dropped, m.latency.TotalCount())
	}
	if last := (10*stall - 45*time.Millisecond).Microseconds(); m.latency.Max() < last*99/100 { // of three digits
		t.Errorf("the last request waited for nine others, and its latency is %d µs", m.latency.Max())
	}
	start = time.Now().Add(-2 * time.Second)
	if err := w.turn(t.Context(), start, start.Add(50*time.Millisecond), 5*time.Millisecond, start.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if m := w.tallies.take(); m.counted != 0 || m.dropped != 10 || m.latency.Min() < 1_900_000 {
		t.Errorf("of 10 requests that came too late %d were answered and %d dropped, the shortest after %d µs", m.counted, m.dropped, m.latency.Min())
	}
}

// In a closed loop each client has one request under way, and all are answered at the end.
func TestWheelInAClosedLoop(t *testing.T) {
	w := wheelAt(t, 7, func(w http.ResponseWriter, r *http.Request) {
		if text, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(text), meter) || r.URL.Path != "/v1/tenants/bench/accounts/a/check" {
			w.WriteHeader(http.StatusTeapot)
		}
		answer := `{"allowed":true` + strings.Repeat(" ", 10_000) + `}`
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		_, _ = io.WriteString(w, answer[:5])
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, answer[5:])
	})
	start := time.Now()
	if err := w.turn(t.Context(), start, start.Add(50*time.Millisecond), 0, start); err != nil {
		t.Fatal(err)
	}
	if m := w.tallies.take(); m.counted < 7 || m.late+m.dropped != 0 || len(w.free) != 7 {
		t.Errorf("%d were answered, %d late, %d dropped, and %d clients are free", m.counted, m.late, m.dropped, len(w.free))
	}
}

// A request that the connection does not take at once is written bit by bit.
func TestWheelWritesWhatFits(t *testing.T) {
	const batch = 10_000
	w := wheelOf(t, Config{Profile: "spend", Clients: 1, Batch: batch}, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || len(readEach(text)) != batch {
			w.WriteHeader(http.StatusTeapot)
		}
		answer := strings.Repeat(`"status":"recorded"`, batch)
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		_, _ = io.WriteString(w, answer)
	})
	l := w.lanes[0]
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := w.begin(t.Context(), now, now); err != nil {
		t.Fatal(err)
	}
	if len(l.rest) == 0 {
		t.Fatal("all of it was taken at once")
	}
	if err := w.turn(t.Context(), now, now, 0, now); err != nil {
		t.Fatal(err)
	}
	if m := w.tallies.take(); m.counted != batch {
		t.Errorf("%d charges were answered", m.counted)
	}
}

func readEach(text []byte) (events []json.RawMessage) {
	_ = json.Unmarshal(text, &events) // none, then
	return events
}

// An answer that is not what was asked for ends a run.
func TestWheelRefusesAnswers(t *testing.T) {
	for say, answer := range map[string]string{
		"answered 503": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", "not allowed": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"nobody asked for": "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"allowed\":true}!", "EOF": "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"allowed\":true}",
	} {
		w := wheelAt(t, 1, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		})
		start := time.Now()
		if err := w.turn(t.Context(), start, start.Add(time.Minute), 0, start); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// Every connection is used before one is used again, and a connection that the server closed while it was not needed is
// made anew when it is.
func TestWheelWhenTheServerHangsUp(t *testing.T) {
	const clients = 5
	var mu sync.Mutex
	asked := make(map[string]bool) // by the client's address
	w := wheelAt(t, clients, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.RemoteAddr] = true
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, `{"allowed":true}`)
	})
	for i := range 3 * clients { // the i-th request
		now := time.Now()
		if err := w.turn(t.Context(), now, now.Add(1), time.Hour, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for hungUp(w) < min(i+1, clients) {
			if err := w.wait(t.Context(), untilAnswered); err != nil {
				t.Fatal(err)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if m := w.tallies.take(); m.counted != 3*clients || len(asked) != 3*clients || len(w.free) != clients {
		t.Errorf("%d were answered over %d connections, and %d clients are free", m.counted, len(asked), len(w.free))
	}
}

func hungUp(w *wheel) (n int) {
	for _, l := range w.lanes {
		if l.fd < 0 {
			n++
		}
	}
	return n
}

// watchedSource is a source of random numbers that says how late the thread of whoever uses it may be woken.
type watchedSource struct {
	rand.Source
	slack map[int]int // by nanoseconds, how often
}

func (s watchedSource) Uint64() uint64 {
	slack, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	s.slack[slack]++
	return s.Source.Uint64()
}

// Whoever starts requests at fixed instants is woken at these, and as before afterwards.
func TestWheelIsWokenInTime(t *testing.T) {
	w := wheelAt(t, 1, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"allowed":true}`) })
	watched := watchedSource{rand.NewPCG(1, 2), make(map[int]int)}
	w.lanes[0].random = rand.New(watched)
	w.lanes[0].target.names = make([]string, 3) // so that there is a choice
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	if err := w.turn(t.Context(), start, start.Add(10*time.Millisecond), time.Millisecond, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(watched.slack) != 1 || watched.slack[1] < 10 {
		t.Errorf("woken so many nanoseconds late so often: %v", watched.slack)
	}
	watched.Uint64()
	if len(watched.slack) != 2 {
		t.Errorf("the thread is still woken in time: %v", watched.slack)
	}
}
