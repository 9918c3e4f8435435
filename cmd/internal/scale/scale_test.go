package scale

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
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

// All curves at sizes that take a moment: each figure is there at each size, and the table and the pictures
// show them.
func TestCurves(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Plots: t.TempDir(), Events: 20_000, Accounts: 1000, Tenants: 3, Lots: 510, Serve: []string{os.Args[0], serveWord}}
	var told []string
	cfg.Progress = func(text string) { told = append(told, text) }
	all, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 {
		t.Fatalf("%d curves", len(all))
	}
	for _, c := range all {
		for _, p := range c.Points {
			for name, value := range p.Figures {
				if value <= 0 || math.IsInf(value, 0) {
					t.Errorf("%s at %d: %s is %v", c.Name, p.Size, name, value)
				}
			}
			if p.Figures[memory] == 0 || p.Figures[crashRead] == 0 {
				t.Errorf("%s at %d lacks figures: %v", c.Name, p.Size, p.Figures)
			}
		}
		if text, err := os.ReadFile(filepath.Join(cfg.Plots, "scale-"+c.Name+".svg")); err != nil || !bytes.Contains(text, []byte("memory, MiB")) {
			t.Errorf("the picture of %s: %v", c.Name, err)
		}
	}
	for _, want := range []string{"events: 20000, about ", "events: 20000, verifying", "lots: 510, about "} {
		if !slices.ContainsFunc(told, func(text string) bool { return strings.HasPrefix(text, want) }) {
			t.Errorf("nothing like %q was told: %q", want, told)
		}
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
	var table bytes.Buffer
	Print(&table, all)
	for _, word := range []string{"events in the journal", "lots of one account", "20000", "510", "slope", crashRead} {
		if !strings.Contains(table.String(), word) {
			t.Errorf("the table does not say %q:\n%s", word, table.String())
		}
	}
}

// A size below 1 is refused before a server is started for it.
func TestASizeBelowOneIsRefused(t *testing.T) {
	for _, name := range Names() {
		for _, size := range []int{0, -1} {
			cfg := Config{Dir: t.TempDir(), Curves: []string{name}, Events: size, Accounts: size, Tenants: size, Lots: size}
			if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("at least 1, not %d", size)) {
				t.Errorf("%s up to %d: the error is %v", name, size, err)
			}
		}
	}
}

// What was measured before something failed is not lost with it.
func TestACurveThatFailsKeepsItsFigures(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := Config{Dir: t.TempDir(), Curves: []string{"events"}, Events: 20_000, Serve: []string{os.Args[0], serveWord}}
	cfg.Progress = func(text string) {
		if strings.HasSuffix(text, "verifying") {
			cancel()
		}
	}
	all, err := Run(ctx, cfg)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "20000 events") {
		t.Errorf("failed with %v, want that the context ended, at 20000 events", err)
	}
	if len(all) != 1 || len(all[0].Points) != 1 {
		t.Fatalf("%v is left of one curve of one point", all)
	}
	figures := all[0].Points[0].Figures
	if _, there := figures[verified]; there || figures[memory] <= 0 || figures[chargedPerSecond] <= 0 {
		t.Errorf("figures %v, want those from before the verification", figures)
	}
	var table bytes.Buffer
	if Print(&table, all); !strings.Contains(table.String(), memory) || strings.Contains(table.String(), verified) {
		t.Errorf("the table shows\n%s", table.String())
	}
}

// What the disk has no room for is refused before anything is begun, and each size says what it takes.
func TestNeeds(t *testing.T) {
	cfg := Config{Dir: ".", Curves: []string{"lots", "events"}, Events: 10_000_000, Lots: 10}
	if err := refuseWithoutRoom(cfg, 12_000_000_000); err != nil {
		t.Error(err)
	}
	err := refuseWithoutRoom(cfg, 10_000_000_000)
	if err == nil || !strings.Contains(err.Error(), "10000000 events in the journal need about 8.2 GB") || !strings.Contains(err.Error(), "10.0 GB are free") || !strings.Contains(err.Error(), "--events") {
		t.Errorf("10 GB free: %v", err)
	}
	var told []string
	cfg = Config{Dir: t.TempDir(), Curves: []string{"events"}, Events: 1 << 50, Progress: func(text string) { told = append(told, text) }}
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "ask for fewer") || len(told) > 0 {
		t.Errorf("more than any disk has: %v, %q", err, told)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
	if n := needOfAccounts(1_000_000); n.room() != "2.0 GB" || n.takes() != 155*time.Second {
		t.Errorf("a million accounts need %s and %s", n.room(), n.takes())
	}
}

// Progress is told in parts, and all of them are done.
func TestInParts(t *testing.T) {
	var told []string
	cfg := Config{Progress: func(text string) { told = append(told, text) }}
	var done []int
	if _, err := inParts(cfg, "charged", 25, 10, func(from, to int) error { done = append(done, from, to); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(done, []int{0, 10, 10, 20, 20, 25}) || len(told) != 3 || !strings.HasPrefix(told[2], "25 of 25 charged, ") {
		t.Errorf("done %v, told %q", done, told)
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		least, greatest int
		want            []int
	}{
		{10, 1_000_000, []int{1000, 10_000, 100_000, 1_000_000}}, {1, 1000, []int{1, 10, 100, 1000}}, {1000, 20_000, []int{2000, 20_000}}, {10, 5, []int{5}},
	} {
		if got := sizes(c.least, c.greatest); !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: %v, not %v", c.least, c.greatest, got, c.want)
		}
	}
}

func TestSlopes(t *testing.T) {
	var points []Point
	for _, n := range []int{1, 10, 100, 1000} {
		x := float64(n)
		points = append(points, Point{Size: n, Figures: map[string]float64{"flat": 7, "linear": 3 * x, "square": x * x, "root": 5 * math.Sqrt(x), "nothing": 0}})
	}
	got := slopes(points)
	for name, want := range map[string]float64{"flat": 0, "linear": 1, "square": 2, "root": .5} {
		if math.Abs(got[name]-want) > 1e-9 {
			t.Errorf("the slope of %s is %v, not %v", name, got[name], want)
		}
	}
	if _, ok := got["nothing"]; ok {
		t.Error("zeroes have no slope")
	}
}
