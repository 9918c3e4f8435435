package load

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Repeated is what several runs of one kind, each on a new data directory, had of each figure.
type Repeated struct {
	Runs            int    `json:"runs"`
	EventsPerSecond Spread `json:"events_per_second"`
	EventsPerFsync  Spread `json:"events_per_fsync"`
	P50             Spread `json:"p50_us"`
	P99             Spread `json:"p99_us"`
	P50Fsyncs       Spread `json:"p50_fsyncs"`
	Fsync           Spread `json:"fsync_p50_us"`
}

// Spread is the least, the median and the greatest of a figure. Of an even number of runs the median is the
// lower of the two in the middle, so that it is a figure that was measured.
type Spread struct {
	Least    float64 `json:"least"`
	Median   float64 `json:"median"`
	Greatest float64 `json:"greatest"`
}

// SpreadOf is that of figures, of which there must be one at least.
func SpreadOf(figures []float64) Spread {
	sorted := slices.Sorted(slices.Values(figures))
	return Spread{Least: sorted[0], Median: sorted[(len(sorted)-1)/2], Greatest: sorted[len(sorted)-1]}
}

// Repeat runs times times and returns the run of median rate, with the spread of all. What the books of any
// run lack is added up.
func Repeat(ctx context.Context, cfg Config, times int) (Result, error) {
	if times < 1 {
		return Result{}, fmt.Errorf("a profile is run once at least, not %d times", times)
	}
	runs := make([]Result, 0, times)
	for range times {
		result, err := Run(ctx, cfg)
		if err != nil {
			return Result{}, err
		}
		runs = append(runs, result)
	}
	if times == 1 {
		return runs[0], nil
	}
	return middleOf(runs), nil
}

func middleOf(runs []Result) Result {
	spread := func(figure func(Result) float64) Spread {
		figures := make([]float64, len(runs))
		for i, r := range runs {
			figures[i] = figure(r)
		}
		return SpreadOf(figures)
	}
	repeated := &Repeated{
		Runs:            len(runs),
		EventsPerSecond: spread(func(r Result) float64 { return r.EventsPerSecond }),
		EventsPerFsync:  spread(func(r Result) float64 { return r.EventsPerFsync }),
		P50:             spread(func(r Result) float64 { return r.P50 }),
		P99:             spread(func(r Result) float64 { return r.P99 }),
		P50Fsyncs:       spread(func(r Result) float64 { return r.P50Fsyncs }),
		Fsync:           spread(func(r Result) float64 { return r.FsyncP50 }),
	}
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b Result) int { return cmp.Compare(a.EventsPerSecond, b.EventsPerSecond) })
	middle := sorted[(len(sorted)-1)/2]
	middle.Repeated = repeated
	middle.Lost, middle.Doubled, middle.Overdrawn = 0, 0, 0
	for _, r := range runs {
		middle.Lost += r.Lost
		middle.Doubled += r.Doubled
		middle.Overdrawn += r.Overdrawn
	}
	return middle
}

// HalfMax finds the greatest rate in a closed loop, and then what the latencies are in an open loop at half
// of it: how a server behaves that is not driven to its end.
func HalfMax(ctx context.Context, cfg Config, times int) (Result, error) {
	cfg.Rate = 0
	greatest, err := Repeat(ctx, cfg, times)
	if err != nil {
		return Result{}, err
	}
	cfg.Rate = max(int(greatest.EventsPerSecond/2), 1)
	half, err := Repeat(ctx, cfg, times)
	if err != nil {
		return Result{}, err
	}
	half.Greatest = &greatest
	half.Lost += greatest.Lost
	half.Doubled += greatest.Doubled
	half.Overdrawn += greatest.Overdrawn
	if half.P50 > 0 {
		half.P99ToP50 = half.P99 / half.P50
	}
	return half, nil
}
