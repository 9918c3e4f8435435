package load

import (
	"fmt"

	"creditstream/cmd/internal/chart"
)

// CheckPlot reports why no picture could be written to a file, before there is a result.
func CheckPlot(file string) error { return chart.CheckPlace(file) }

// Plot draws a result into an SVG file: latency by percentile, with the scale of percentiles stretched
// towards the slowest, and the rate over time.
func Plot(file string, r Result) error {
	latency := chart.Chart{
		Title: fmt.Sprintf("%s through the door %s: latency", r.Profile, r.Door), X: "requests answered within", Y: "µs", LogX: true, LogY: true,
		TicksX: []chart.Tick{{At: 1, Label: "0%"}, {At: 2, Label: "50%"}, {At: 10, Label: "90%"}, {At: 100, Label: "99%"}, {At: 1000, Label: "99.9%"}, {At: 10_000, Label: "99.99%"}, {At: 100_000, Label: "99.999%"}},
		Series: []chart.Series{percentilesOf("this run", r)},
	}
	if r.Greatest != nil {
		latency.Series[0].Name = "at half the greatest rate"
		latency.Series = append(latency.Series, percentilesOf("at the greatest rate, closed loop", *r.Greatest))
	}
	rate, p99, fsync := chart.Series{Name: "answered"}, chart.Series{Name: "p99"}, chart.Series{Name: "this disk's fsync, p50"}
	for _, s := range r.Slices {
		rate.Points = append(rate.Points, chart.Point{X: s.At, Y: s.EventsPerSecond})
		p99.Points = append(p99.Points, chart.Point{X: s.At, Y: s.P99})
		fsync.Points = append(fsync.Points, chart.Point{X: s.At, Y: s.Fsync})
	}
	return chart.Write(file, latency,
		chart.Chart{Title: "rate over time", X: "seconds", Y: "events/s", Series: []chart.Series{rate}},
		chart.Chart{Title: "latency over time", X: "seconds", Y: "µs", LogY: true, Series: []chart.Series{p99, fsync}})
}

// percentilesOf places a percentile q at 1/(1-q): each nine is as wide as the one before.
func percentilesOf(name string, r Result) chart.Series {
	s := chart.Series{Name: name}
	for _, q := range r.Percentiles {
		if q.Percent < 100 {
			s.Points = append(s.Points, chart.Point{X: 100 / (100 - q.Percent), Y: q.Micros})
		}
	}
	return s
}
