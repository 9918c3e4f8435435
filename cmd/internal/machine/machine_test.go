package machine

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestMemoryThere(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	machine := file("meminfo", "MemTotal:        2097152 kB\nMemFree:         1048576 kB\n")
	absent := filepath.Join(dir, "absent")
	for name, test := range map[string]struct {
		group, machine string
		want           int64
	}{
		"the machine's":        {absent, machine, 2 << 30},
		"a group's":            {file("max", "536870912\n"), machine, 512 << 20},
		"a group without":      {file("none", "max\n"), machine, 2 << 30},
		"more than there is":   {file("much", "99999999999\n"), machine, 2 << 30},
		"a group's alone":      {file("alone", "536870912\n"), absent, 512 << 20},
		"nothing is said":      {absent, absent, 0},
		"nothing is said well": {absent, file("odd", "MemTotal:\n"), 0},
	} {
		if got := memoryThere(test.group, test.machine); got != test.want {
			t.Errorf("%s: %d instead of %d", name, got, test.want)
		}
	}
}

func TestThreadsInTheEnvironmentStand(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.SetDefaultGOMAXPROCS()
	before := runtime.GOMAXPROCS(0)
	addThreads(func(string) string { return "1" })
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d threads instead of the %d that the environment says", now, before)
	}
	for range 2 {
		addThreads(func(string) string { return "" })
	}
	if now := runtime.GOMAXPROCS(0); now != before+besidesCores {
		t.Errorf("%d threads, there were %d", now, before)
	}
}

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{0: 25_500, 1 << 20: 25_500, 64 << 20: 300, 100 << 20: 156, 128 << 20: 100, 1 << 30: 100} {
		if got := growth(live); got != want {
			t.Errorf("with %d MiB live the heap may grow by %d %%, not %d %%", live>>20, got, want)
		}
	}
}

// After each collection the rule is set anew: what has become of the heap counts, and not what it was at the start.
func TestTheRuleFollowsTheHeap(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer debug.SetGCPercent(100)
	defer stop()
	gatherGarbage(ctx)
	held := make([]byte, leastHeap)
	for try := 0; ; try++ {
		runtime.GC()
		runtime.Gosched()
		if percent := debug.SetGCPercent(-1); percent == 100 {
			break
		} else if debug.SetGCPercent(percent); try == 10_000 {
			t.Fatalf("%d MiB are live, and the heap may still grow by %d %%", len(held)>>20, percent)
		}
	}
	runtime.KeepAlive(held)
}
