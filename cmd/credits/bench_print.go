package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"creditstream/cmd/internal/load"
)

// printBench shows what a run measured: each figure on a line of its own.
func printBench(w io.Writer, r load.Result) {
	line := func(name, format string, values ...any) {
		fmt.Fprintf(w, "%-22s "+format+"\n", append([]any{name}, values...)...)
	}
	if r.Greatest != nil {
		line("greatest rate", "%.0f per second in a closed loop; at half of it:", r.Greatest.EventsPerSecond)
	}
	line("profile", "%s through the door %s, %d clients, batch %d, %d accounts", r.Profile, r.Door, r.Clients, r.Batch, r.Accounts)
	line("events/s", "%.0f%s", r.EventsPerSecond, spread(r, func(s *load.Repeated) load.Spread { return s.EventsPerSecond }, whole))
	line("latency", "p50 %s  p99 %s  p99.9 %s  max %s", micros(r.P50), micros(r.P99), micros(r.P999), micros(r.Max))
	if r.Repeated != nil {
		line("  over the runs", "p50%s  p99%s", spread(r, func(s *load.Repeated) load.Spread { return s.P50 }, micros), spread(r, func(s *load.Repeated) load.Spread { return s.P99 }, micros))
	}
	printLoop(line, r)
	line("this disk's fsync", "p50 %s", micros(r.FsyncP50))
	if r.InJournal > 0 {
		line("in units of it", "%.1f events per fsync time%s, p50 %.1f fsyncs", r.EventsPerFsync, spread(r, func(s *load.Repeated) load.Spread { return s.EventsPerFsync }, tenth), r.P50Fsyncs)
		line("events per commit", "%.1f", r.EventsPerCommit)
	}
	line("processor", "%.1f µs per event, clients included", r.CPU)
	for _, view := range slices.Sorted(maps.Keys(r.Rebuilds)) {
		line("rebuild of "+view, "%.0f charges per second", r.Rebuilds[view])
	}
	line("accounts", "%d with %d lots each, opened at %.0f per second; %d of them charged", r.Accounts, r.Lots, r.Opened, r.WorkingSet)
	if r.Shards > 1 {
		line("shards", "%d", r.Shards)
	}
	line("memory", "%.0f MiB resident, at most %.0f", r.RSS, r.PeakRSS)
	line("views", "%s", strings.Join(append([]string{"accounts"}, r.Views...), ", "))
	line("the books", "acknowledged %d, in the journal %d, lost %d, doubled %d, overdrawn %d", r.Acknowledged, r.InJournal, r.Lost, r.Doubled, r.Overdrawn)
}

// printLoop shows what only some profiles and loops have.
func printLoop(line func(name, format string, values ...any), r load.Result) {
	if r.Rate > 0 {
		line("open loop", "%d a second were due; %d requests started late, %d never", r.Rate, r.Late, r.Dropped)
	}
	if r.P99ToP50 > 0 {
		line("p99 / p50", "%.1f", r.P99ToP50)
	}
	if r.SpendP50 > 0 {
		line("charges among them", "p50 %s  p99 %s", micros(r.SpendP50), micros(r.SpendP99))
	}
	if r.RecordedP50 > 0 {
		line("until recorded", "p50 %s  p99 %s", micros(r.RecordedP50), micros(r.RecordedP99))
	}
}

// spread shows the least and the greatest of several runs; "" for a single one.
func spread(r load.Result, of func(*load.Repeated) load.Spread, show func(float64) string) string {
	if r.Repeated == nil {
		return ""
	}
	s := of(r.Repeated)
	return fmt.Sprintf(" (%s to %s in %d runs)", show(s.Least), show(s.Greatest), r.Repeated.Runs)
}

func whole(n float64) string { return fmt.Sprintf("%.0f", n) }

func tenth(n float64) string { return fmt.Sprintf("%.1f", n) }

func micros(us float64) string {
	return time.Duration(us * 1000).Round(time.Microsecond).String()
}
