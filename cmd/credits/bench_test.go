package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run that cannot be measured, or not be drawn, is refused before it is begun, as wrong use that says what to choose.
func TestBenchRefusesBeforeItBegins(t *testing.T) {
	p, dir := program{t: t}, t.TempDir()
	for line, want := range map[string]string{
		"--profile nope":                         "choose one of",
		"--views nope":                           "choose of",
		"--rate -5":                              "rate",
		"--clients 0":                            "--clients must be at least 1",
		"--connections 0":                        "--connections must be at least 1",
		"--batch 20000":                          "batch 1 to 10000",
		"--shards 65":                            "shards must be 1 to 64",
		"--door smtp":                            "through the door",
		"--apart":                                "in this process",
		"--profile rebuild --rate 10":            "no rate",
		"--profile rebuild --half-max":           "no rate",
		"--rate 10 --half-max":                   "leave --rate away",
		"--plot " + dir + "/none/spend.svg":      "make it",
		"--half-max --plot " + dir + "/no/x.svg": "make it",
	} {
		r := p.run(append([]string{"bench", "--dir", dir, "--seconds", "0.1"}, strings.Fields(line)...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("credits bench %s: exit code %d, says %q; want %d and %q", line, r.code, r.stderr, exitUsage, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	picture := filepath.Join(dir, "spend.svg")
	p.must("bench", "--dir", dir, "--seconds", "0.1", "--warm-up", "0", "--clients", "4", "--accounts", "10", "--plot", picture)
	if text, err := os.ReadFile(picture); err != nil || !strings.Contains(string(text), "<svg") {
		t.Errorf("the picture was not drawn: %v", err)
	}
}
