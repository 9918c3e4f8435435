package load

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveWord makes this test binary the server of a run with a server in a process of its own.
const serveWord = "serve-for-a-test"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serveWord {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := Serve(ctx, os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const briefly = 200 * time.Millisecond

// brief is a run that is just long enough to see something in. BENCH_SECONDS makes it longer.
func brief(t *testing.T, cfg Config) Config {
	cfg.Dir, cfg.Duration, cfg.WarmUp = t.TempDir(), briefly, -1
	if s, err := strconv.Atoi(os.Getenv("BENCH_SECONDS")); err == nil {
		cfg.Duration = time.Duration(s) * time.Second
	}
	if cfg.Accounts == 0 && cfg.Profile != "hot" && cfg.Profile != "matrix" {
		cfg.Accounts = 1000
	}
	return cfg
}

// Every profile leaves books that close: what was acknowledged is in the journal once, and the view
// says what the journal adds up to. An open loop starts what it was asked to.
func TestBooksCloseAfterEachProfile(t *testing.T) {
	for name, cfg := range map[string]Config{
		"spend": {Profile: "spend"}, "spend by one": {Profile: "spend", Clients: 1}, "bulk": {Profile: "bulk"}, "bulk with much in flight": {Profile: "bulk", InFlight: 8}, "hot": {Profile: "hot"},
		"nats": {Profile: "nats", Clients: 32}, "nats in batches": {Profile: "nats", Clients: 4, Batch: 100},
		"http": {Profile: "http", Clients: 32}, "http in batches": {Profile: "http", Clients: 4, Batch: 100},
		"check": {Profile: "check", Clients: 2}, "check over NATS": {Profile: "check", Clients: 2, Door: "nats"},
		"check over HTTP": {Profile: "check", Clients: 2, Door: "http", Rate: 1000}, "mixed": {Profile: "mixed", Clients: 32},
		"matrix": {Profile: "matrix"}, "intake": {Profile: "intake", Clients: 16, Batch: 10}, "rebuild": {Profile: "rebuild"},
		"spend on three shards": {Profile: "spend", Clients: 32, Shards: 3}, "intake on two shards": {Profile: "intake", Clients: 16, Batch: 10, Shards: 2},
		"rebuild on two shards": {Profile: "rebuild", Shards: 2}, "apart on two shards": {Profile: "nats", Clients: 32, Shards: 2, Serve: []string{os.Args[0], serveWord}},
		"spend at a rate": {Profile: "spend", Rate: 2000}, "nats apart": {Profile: "nats", Clients: 32, Serve: []string{os.Args[0], serveWord}},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Run(t.Context(), brief(t, cfg))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.MarshalIndent(result, "", " ")
			asks := cfg.Profile == "check" || cfg.Profile == "matrix"
			if result.EventsPerSecond <= 0 || (result.Acknowledged == 0) != asks || result.Lost != 0 || result.Doubled != 0 || result.Overdrawn != 0 || result.InJournal != result.Acknowledged {
				t.Errorf("the books do not close: %s", text)
			}
			if result.P50 <= 0 || result.P99 < result.P50 || result.Max < result.P99 || result.FsyncP50 <= 0 || result.RSS <= 0 || len(result.Slices) == 0 {
				t.Errorf("the figures make no sense: %s", text)
			}
			if due := int64(cfg.Rate) * int64(briefly) / int64(time.Second); cfg.Rate > 0 && os.Getenv("BENCH_SECONDS") == "" {
				if started := int64(result.EventsPerSecond*result.Seconds + .5); started+result.Dropped != due {
					t.Errorf("%d requests were due, %d were answered and %d dropped", due, started, result.Dropped)
				}
			}
			if (cfg.Profile == "mixed") != (result.SpendP50 > 0) || (cfg.Profile == "intake") != (result.RecordedP50 > 0) || result.Apart != (cfg.Serve != nil) || result.Shards != max(cfg.Shards, 1) {
				t.Errorf("the figures of one profile are missing, or in another: %s", text)
			}
		})
	}
}

// The object that a script gets has the fields that it was promised.
func TestResultFields(t *testing.T) {
	text, err := json.Marshal(Result{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("profile events_per_second p50_us p99_us max_us clients batch accounts fsync_per_commit fsync_p50_us events_per_commit rss_mb acknowledged in_journal lost doubled overdrawn") {
		if _, ok := fields[name]; !ok {
			t.Errorf("the result has no field %s", name)
		}
	}
}

// Bad settings are refused before anything is started, in words that say what would be right.
func TestSettingsThatMakeNoSense(t *testing.T) {
	for say, cfg := range map[string]Config{
		"choose one of": {Profile: "speed"}, "goes through the door [http]": {Profile: "matrix", Door: "nats"},
		"in this process": {Profile: "intake", Serve: []string{"x"}}, "clients must be": {Profile: "spend", Clients: 5000},
		"above 1": {Profile: "spend", Zipf: .5}, "working set": {Profile: "spend", WorkingSet: 20_000}, "no more than the clients": {Profile: "nats", Clients: 2, Connections: 3},
		"not -5": {Profile: "spend", Rate: -5}, "[statement usage]": {Profile: "spend", Views: []string{"usage", "balance"}},
	} {
		cfg.Dir = t.TempDir()
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: the error is %v and should say %q", cfg, err, say)
		}
	}
}

// A server that stalls shows in the latencies of an open loop: they count from when a request was due, and
// those that were never started are in them.
func TestOpenLoopSeesAStall(t *testing.T) {
	tallies := newTallies()
	c := &client{tallies: tallies, profile: profile{do: func(context.Context, *client, time.Time) (int, error) { return 1, nil }}}
	now := time.Now()
	due := make(chan time.Time, 3)
	due <- now.Add(-300 * time.Millisecond) // the client was busy with another request so long
	due <- now.Add(time.Hour)               // in time
	close(due)
	if err := c.keepPace(t.Context(), due, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	never := make(chan time.Time, 1)
	never <- now.Add(-2 * time.Second)
	close(never)
	if err := c.keepPace(t.Context(), never, now.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	m := tallies.take()
	if m.counted != 2 || m.late != 1 || m.dropped != 1 || m.latency.TotalCount() != 3 {
		t.Errorf("counted %d late %d dropped %d latencies %d; 2, 1, 1 and 3 are right", m.counted, m.late, m.dropped, m.latency.TotalCount())
	}
	if m.latency.Max() < 1_990_000 || m.latency.ValueAtQuantile(60) < 299_000 {
		t.Errorf("the waits are not in the latencies: max %d µs, p60 %d µs", m.latency.Max(), m.latency.ValueAtQuantile(60))
	}
}

// pace announces exactly the requests of a slice, none of them early.
func TestPace(t *testing.T) {
	r := &run{cfg: Config{Rate: 1000, Batch: 2, Duration: time.Minute}}
	start := time.Now()
	due := make(chan time.Time, r.due())
	pace(t.Context(), start, start.Add(longestSlice), 2*time.Millisecond, due)
	if now := time.Now(); now.Before(start.Add(longestSlice - 2*time.Millisecond)) {
		t.Errorf("the last request was announced %v after the start", now.Sub(start))
	}
	n := 0
	for at := range due {
		if want := start.Add(time.Duration(n) * 2 * time.Millisecond); !at.Equal(want) {
			t.Fatalf("request %d is due at %v, not %v", n, at.Sub(start), want.Sub(start))
		}
		n++
	}
	if n != 250 {
		t.Errorf("%d requests in half a second at 500 a second", n)
	}
}

func TestMiddleOfRuns(t *testing.T) {
	runs := []Result{{EventsPerSecond: 30, P50: 1, Lost: 1}, {EventsPerSecond: 10, P50: 3}, {EventsPerSecond: 20, P50: 9, Lost: 2}, {EventsPerSecond: 40, P50: 2}}
	middle := middleOf(runs)
	if middle.EventsPerSecond != 20 || middle.P50 != 9 || middle.Lost != 3 {
		t.Errorf("the middle is %+v", middle)
	}
	if got := middle.Repeated; got.Runs != 4 || got.EventsPerSecond != (Spread{10, 20, 40}) || got.P50 != (Spread{1, 2, 9}) {
		t.Errorf("the spread is %+v", got)
	}
}

// Half of the greatest rate is what the second run is asked for, and the picture of both can be drawn.
func TestHalfMax(t *testing.T) {
	result, err := HalfMax(t.Context(), brief(t, Config{Profile: "spend", Clients: 64}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if result.Greatest == nil || result.Rate != int(result.Greatest.EventsPerSecond/2) || result.P99ToP50 < 1 || result.Greatest.Rate != 0 {
		t.Errorf("%+v", result)
	}
	file := filepath.Join(t.TempDir(), "half.svg")
	if err := Plot(file, result); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "at the greatest rate") {
		t.Errorf("the picture lacks a line: %v", err)
	}
}

func TestKeysComeBack(t *testing.T) {
	seen := make(map[string]bool)
	var last string
	for _, client := range []int{0, 1, 4095} {
		for _, count := range []uint64{0, 1, 1 << 40} {
			key := KeyOf(time.UnixMilli(1_700_000_000_000), client, count)
			c, n, ok := ReadKey(key)
			if !ok || c != client || n != count || seen[key] {
				t.Errorf("key %s of client %d, count %d is read as %d, %d, %v", key, client, count, c, n, ok)
			}
			seen[key], last = true, key
		}
	}
	if next := KeyOf(time.UnixMilli(1_700_000_000_001), 0, 0); next <= last {
		t.Errorf("a later key %s sorts before %s", next, last)
	}
	if _, _, ok := ReadKey("cycle/3"); ok || !slices.Contains(Profiles(), "spend") {
		t.Error("what is no key of a run was read as one")
	}
}

// A slice of the intake ends only when all that was acknowledged is in the journal.
func TestSettleWaitsForTheRecord(t *testing.T) {
	r := &recorded{started: make(map[string]time.Time), latency: newMeasured().latency, changed: make(chan struct{}, 1)}
	key := KeyOf(time.Now(), 0, 0)
	r.sent([]Charge{{Key: key}}, 0, time.Now().Add(-time.Second))
	r.acknowledged(2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.note([]byte(`[{"entrykey":"`+key+`"}]`), nil)
	<-r.changed
	if err := r.settle(ended); err == nil {
		t.Error("one of two charges is enough")
	}
	r.note([]byte(`[{"entrykey":"another"}]`), nil)
	if err := r.settle(ended); err != nil {
		t.Errorf("both are recorded: %v", err)
	}
	if p50 := r.quantile(50); p50 < 999_000 {
		t.Errorf("the charge was recorded after a second, not after %v µs", p50)
	}
}

// What each client was told is counted once, whoever else was told something, and merged without loss.
func TestMarks(t *testing.T) {
	var all marks
	for _, client := range []int{7, 3, 7} {
		var own counts
		for _, count := range []uint64{0, 63, 64, 1000} {
			if !own.add(count) || own.add(count) {
				t.Errorf("client %d: count %d is new the first time and no other", client, count)
			}
		}
		all.merge(client, own)
	}
	if all.add(3, 64) || !all.add(3, 65) || !all.add(9, 0) {
		t.Error("what was merged is not there, or what was not is")
	}
	n := 0
	all.each(func(client int, count uint64) {
		n++
		if !all.has(client, count) {
			t.Errorf("client %d, count %d is told and not there", client, count)
		}
	})
	if n != 10 || all.has(7, 65) || all.has(4, 0) || all.has(100, 0) || all.has(7, 1<<20) {
		t.Errorf("%d marks, want 10", n)
	}
}

// Clients share a connection by the dozen, and never many connections, unless they are told to.
func TestConnectionsThatClientsShare(t *testing.T) {
	for _, try := range []struct{ clients, asked, want int }{{1, 0, 1}, {64, 0, 1}, {65, 0, 2}, {256, 0, 4}, {1000, 0, 4}, {1000, 16, 16}} {
		cfg := Config{Profile: "nats", Clients: try.clients, Connections: try.asked}
		if err := cfg.setDefaults(); err != nil || cfg.Connections != try.want {
			t.Errorf("%d clients that asked for %d share %d connections, %v; want %d", try.clients, try.asked, cfg.Connections, err, try.want)
		}
	}
}
