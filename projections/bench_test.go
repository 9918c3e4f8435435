package projections_test

import (
	"syscall"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/internal/trial"
)

// BenchmarkCatchUp folds a journal of single uses, two hundred to a commit, into a new view on the disk. It reads the
// journal as a server does, from its blocks.
func BenchmarkCatchUp(b *testing.B) {
	server, nc := startBus(b)
	w := newWriter(b, nc, acme, trial.Plain(1, 10_000))
	const commits, size = 1_500, 200
	w.write(commits, size)
	w.entries = nil // they would be the collector's work
	read, err := journal.Open(b.Context(), nc, journal.Config{Name: acme, Blocks: func() journal.Blocks { return server.Blocks(acme.Stream(), acme.Subject()) }})
	if err != nil {
		b.Fatal(err)
	}
	for _, fold := range folds {
		b.Run(fold.Name(), func(b *testing.B) {
			b.ReportAllocs()
			before := processor(b)
			for b.Loop() {
				store, err := projections.Open(projections.Config{Dir: b.TempDir(), View: fold.Name()})
				if err != nil {
					b.Fatal(err)
				}
				view, err := store.View(acme, fold.Version())
				if err != nil {
					b.Fatal(err)
				}
				if err := projections.CatchUp(b.Context(), fold, view, read, discard, nil); err != nil {
					b.Fatal(err)
				}
				if err := store.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*commits*size/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((processor(b)-before).Nanoseconds())/float64(b.N*commits*size), "cpu-ns/event")
		})
	}
}

// processor is the time that all threads ran, the server's too: steadier than the clock on a shared machine.
func processor(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkVerify verifies the same journal, without views.
func BenchmarkVerify(b *testing.B) {
	w := newWriter(b, connect(b), acme, trial.Plain(1, 10_000))
	const commits, size = 500, 200
	w.write(commits, size)
	for b.Loop() {
		r, err := projections.Verify(b.Context(), projections.VerifyConfig{Journal: w.journal, Scratch: b.TempDir()})
		if err != nil || !r.OK {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.N)*commits*size/b.Elapsed().Seconds(), "events/s")
}
