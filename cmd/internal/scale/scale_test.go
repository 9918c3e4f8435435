package scale

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	var table bytes.Buffer
	Print(&table, all)
	for _, word := range []string{"events in the journal", "lots of one account", "20000", "510", "slope", crashRead} {
		if !strings.Contains(table.String(), word) {
			t.Errorf("the table does not say %q:\n%s", word, table.String())
		}
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
