package load

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"
)

// Every profile leaves books that close: what was acknowledged is in the journal once, and the view
// says what the journal adds up to.
func TestBooksCloseAfterEachProfile(t *testing.T) {
	seconds := 1
	if s, err := strconv.Atoi(os.Getenv("BENCH_SECONDS")); err == nil {
		seconds = s
	}
	for _, cfg := range []Config{
		{Profile: "spend"}, {Profile: "spend", Clients: 1}, {Profile: "bulk"}, {Profile: "hot"},
		{Profile: "nats", Clients: 32}, {Profile: "http", Clients: 32}, {Profile: "check", Clients: 2}, {Profile: "rebuild"},
	} {
		t.Run(cfg.Profile+"-"+strconv.Itoa(cfg.Clients), func(t *testing.T) {
			cfg.Dir, cfg.Duration, cfg.Accounts = t.TempDir(), time.Duration(seconds)*time.Second, 1000
			cfg.InFlight, _ = strconv.Atoi(os.Getenv("BENCH_INFLIGHT"))
			if cfg.Profile == "hot" {
				cfg.Accounts = 1
			}
			result, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.MarshalIndent(result, "", " ")
			t.Logf("%s", text)
			if result.EventsPerSecond == 0 || result.Acknowledged == 0 && cfg.Profile != "check" || result.Lost != 0 || result.Doubled != 0 || result.Overdrawn != 0 || result.InJournal < result.Acknowledged {
				t.Errorf("the books do not close: %s", text)
			}
		})
	}
}
