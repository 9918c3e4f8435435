package peers

import "fmt"

// Target is a ratio that this project wants to reach. It is of medians.
type Target struct {
	What    string  `json:"what"`
	AtLeast float64 `json:"at_least"`
	Seen    float64 `json:"seen"`
	Met     bool    `json:"met"`
	Missing string  `json:"missing,omitempty"` // the shape that was not measured
}

// formance is what Formance Ledger v3 did on 2 cores with fsync, one transaction a request over 256 connections
// (measured before, not in this run).
const formance = 5600

// fastestOfOne is the better of our two shapes with one event a request.
const fastestOfOne = nats256 + " or 1000"

// targetsOf compares what was measured with what is wanted.
func targetsOf(shapes []Measured) []Target {
	rates := map[string]float64{"formance v3": formance}
	for _, s := range shapes {
		rates[s.Name] = s.PerSecond.Median
	}
	if best := max(rates[nats256], rates[nats1000]); best > 0 {
		rates[fastestOfOne] = best
	}
	var all []Target
	for _, t := range []struct {
		ours, theirs string
		atLeast      float64
	}{
		{nats256, redis256, 1.5},
		{nats1000, redis1000, 2},
		{fastestOfOne, postgresOne, 7},
		{natsBatches, postgresMany, 8},
		{natsBatches, redisPipelines, 1.5},
		{http256, postgresOne, 3},
		{http256, "formance v3", 4},
	} {
		target := Target{What: fmt.Sprintf("%s / %s", t.ours, t.theirs), AtLeast: t.atLeast}
		switch {
		case rates[t.ours] == 0:
			target.Missing = t.ours
		case rates[t.theirs] == 0:
			target.Missing = t.theirs
		default:
			target.Seen = rates[t.ours] / rates[t.theirs]
			target.Met = target.Seen >= t.atLeast
		}
		all = append(all, target)
	}
	return all
}
