package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"creditstream/cmd/internal/load"
)

// serveWord makes this test binary the server of load.Serve.
const serveWord = "serve-for-a-test"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serveWord {
		if err := load.Serve(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// ledger is what the doors of both peers can be asked by a test.
type ledger interface {
	ask(ctx context.Context, batch []load.Charge, hash string, cost int64) ([]string, error)
}

// keepsPromises asks a ledger with two lots an account for what Creditstream promises too.
func keepsPromises(t *testing.T, l ledger) {
	t.Helper()
	key := func(n uint64) string { return load.KeyOf(time.UnixMilli(1_700_000_000_000), 7, n) }
	other := strings.Repeat("x", 32)
	for _, step := range []struct {
		about string
		batch []load.Charge
		hash  string
		cost  int64
		want  []string
	}{
		{"a charge", []load.Charge{{Account: "account-0", Key: key(1)}}, contentHash, price, []string{"recorded"}},
		{"the same again", []load.Charge{{Account: "account-0", Key: key(1)}}, contentHash, price, []string{"replayed"}},
		{"the same key with other content", []load.Charge{{Account: "account-0", Key: key(1)}}, other, price, []string{"conflict"}},
		{"more than there is", []load.Charge{{Account: "account-0", Key: key(2)}}, contentHash, fortune, []string{"insufficient"}},
		{"more than the first lot has", []load.Charge{{Account: "account-0", Key: key(3)}}, contentHash, fortune/2 + price, []string{"recorded"}},
		{"a batch with a replay, a key twice, and two accounts", []load.Charge{
			{Account: "account-1", Key: key(4)}, {Account: "account-0", Key: key(1)}, {Account: "account-1", Key: key(5)}, {Account: "account-1", Key: key(5)}, {Account: "account-2", Key: key(6)},
		}, contentHash, price, []string{"recorded", "replayed", "recorded", "replayed", "recorded"}},
		{"a batch that an account can pay in part", []load.Charge{
			{Account: "account-1", Key: key(7)}, {Account: "account-2", Key: key(8)}, {Account: "account-1", Key: key(9)},
		}, contentHash, fortune * 3 / 5, []string{"recorded", "recorded", "insufficient"}},
		{"a batch over both lots", []load.Charge{{Account: "account-3", Key: key(10)}, {Account: "account-3", Key: key(11)}}, contentHash, fortune * 2 / 5, []string{"recorded", "recorded"}},
		{"a batch again", []load.Charge{{Account: "account-3", Key: key(10)}, {Account: "account-3", Key: key(11)}}, contentHash, fortune * 2 / 5, []string{"replayed", "replayed"}},
	} {
		got, err := l.ask(t.Context(), step.batch, step.hash, step.cost)
		if err != nil {
			t.Fatalf("%s: %v", step.about, err)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s: the answers are %v, not %v", step.about, got, step.want)
		}
	}
}

func TestPostgresKeepsThePromises(t *testing.T) {
	if _, err := postgresBinary(); err != nil {
		t.Skip("PostgreSQL is not measured here:", err)
	}
	dir, remove, err := scratch("")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	p, err := startPostgres(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if err := p.reset(t.Context(), 10, 2); err != nil {
		t.Fatal(err)
	}
	pool, err := p.connect(t.Context(), 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	keepsPromises(t, &postgresDoor{pool: pool})
	if said, err := p.books(t.Context(), 9); err != nil {
		t.Error(said, err)
	}
	if _, err := p.books(t.Context(), 10); err == nil {
		t.Error("a lost charge is not noticed")
	}
	if _, err := pool.Exec(t.Context(), "UPDATE lots SET remaining = remaining - 1 WHERE account = 'account-2' AND n = 2"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.books(t.Context(), 9); err == nil {
		t.Error("a lot that does not add up is not noticed")
	}
}

func TestRedisKeepsThePromises(t *testing.T) {
	if err := installed("redis-server", "Redis is not installed"); err != nil {
		t.Skip("Redis is not measured here:", err)
	}
	dir, remove, err := scratch("")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	r, err := startRedis(t.Context(), dir, "redis")
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	if err := r.open(t.Context(), 10, 2); err != nil {
		t.Fatal(err)
	}
	keepsPromises(t, newRedisDoor(r.client))
	for setting, want := range map[string]string{"appendonly": "yes", "appendfsync": "always"} {
		if got, err := r.client.Do(t.Context(), r.client.B().ConfigGet().Parameter(setting).Build()).AsStrMap(); err != nil || got[setting] != want {
			t.Errorf("%s is %v (%v), and must be %s", setting, got, err, want)
		}
	}
	// The charges of the promises are of many prices; the books of a run are of one.
	if _, err := r.books(t.Context(), 10, 2, 9); err == nil {
		t.Error("lots that do not add up are not noticed")
	}
}

// A short contest of everything that is installed: its books close, its table and its JSON say so, and the
// targets are of the medians.
func TestContest(t *testing.T) {
	cfg := Config{Dir: os.TempDir(), // a test's own directory is closed to the users that servers run as
		Duration: 200 * time.Millisecond, WarmUp: -1, Rounds: 1, Accounts: 500, Quick: true, Serve: []string{os.Args[0], serveWord}}
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]Measured)
	for _, s := range report.Shapes {
		seen[s.Name] = s
		if s.PerSecond.Median <= 0 || s.PerSecond.Least > s.PerSecond.Median || s.Fsync <= 0 {
			t.Errorf("the figures of %s make no sense: %+v", s.Name, s)
		}
	}
	for _, name := range []string{nats256, nats1000, natsBatches, http256, rawJetStream, rawPebble, rawFsync} {
		if seen[name].Name == "" {
			t.Errorf("%s was not measured", name)
		}
	}
	if len(report.Missing) == 0 {
		for _, name := range []string{redis256, redis1000, redisPipelines, postgresOne, postgresMany} {
			if seen[name].Books == "" {
				t.Errorf("the books of %s were not checked", name)
			}
		}
	} else {
		t.Log("left out:", report.Missing)
	}
	var table bytes.Buffer
	report.Print(&table)
	if text, err := json.Marshal(report); err != nil || !bytes.Contains(text, []byte(`"at_least":1.5`)) || !strings.Contains(table.String(), nats256) {
		t.Errorf("the report lacks something (%v):\n%s\n%s", err, text, table.String())
	}
}

func TestTargets(t *testing.T) {
	at := func(name string, rate float64) Measured {
		return Measured{Name: name, PerSecond: load.Spread{Least: 1, Median: rate, Greatest: 1e9}}
	}
	targets := targetsOf([]Measured{at(nats256, 140), at(redis256, 100), at(nats1000, 200), at(redis1000, 100), at(postgresOne, 20), at(http256, 22_400)})
	want := map[string]Target{
		nats256 + " / " + redis256:           {Seen: 1.4},
		nats1000 + " / " + redis1000:         {Seen: 2, Met: true},
		fastestOfOne + " / " + postgresOne:   {Seen: 10, Met: true},
		natsBatches + " / " + postgresMany:   {Missing: natsBatches},
		natsBatches + " / " + redisPipelines: {Missing: natsBatches},
		http256 + " / " + postgresOne:        {Seen: 1120, Met: true},
		http256 + " / formance v3":           {Seen: 4, Met: true},
	}
	for _, got := range targets {
		w := want[got.What]
		if got.Seen != w.Seen || got.Met != w.Met || got.Missing != w.Missing {
			t.Errorf("%+v, want %+v", got, w)
		}
		delete(want, got.What)
	}
	if len(want) > 0 {
		t.Errorf("targets are missing: %v", want)
	}
}
