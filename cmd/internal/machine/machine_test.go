package machine

import (
	"os"
	"path/filepath"
	"runtime"
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
