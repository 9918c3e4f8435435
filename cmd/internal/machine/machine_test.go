package machine

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
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
	want := before
	if before == runtime.NumCPU() {
		want += besidesCores
	}
	if now := runtime.GOMAXPROCS(0); now != want {
		t.Errorf("%d threads, there were %d", now, before)
	}
}

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 64 << 20: 300, 100 << 20: 156, 128 << 20: 100, 192 << 20: 66, 256 << 20: 50, 1 << 30: 50} {
		if got := growth(live); got != want {
			t.Errorf("with %d MiB live the heap may grow by %d %%, not %d %%", live>>20, got, want)
		}
	}
}

// What has become of the heap counts, and not what it was at the start; and when nobody looks any more, the last
// rule stands.
func TestTheRuleFollowsTheHeap(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer debug.SetGCPercent(100)
	look, ended := make(chan time.Time), make(chan struct{})
	go func() { gatherGarbage(ctx, look); close(ended) }()
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	looked := func() { // a second look is not taken before the first one is over
		look <- time.Time{}
		look <- time.Time{}
	}
	runtime.GC()
	if looked(); percent() != mostGrowth {
		t.Errorf("little is live, and the heap may grow by %d %%", percent())
	}
	held := make([]byte, leastHeap)
	runtime.GC()
	if looked(); percent() != leastGrowth {
		t.Errorf("%d MiB are live, and the heap may grow by %d %%", len(held)>>20, percent())
	}
	runtime.KeepAlive(held)
	stop()
	<-ended
}
