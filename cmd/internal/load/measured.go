package load

import (
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// highestMicros is the longest latency that a histogram tells apart: a minute.
const highestMicros = 60_000_000

// measured is what was seen of a number of requests. Latencies are in microseconds, with three digits.
type measured struct {
	latency *hdrhistogram.Histogram
	spends  *hdrhistogram.Histogram // of the requests that charged, where others only asked
	counted int64                   // charges or checks that were answered
	late    int64                   // requests that started more than lateAfter after they were due
	dropped int64                   // requests that were due and never started
}

func newMeasured() measured {
	return measured{latency: hdrhistogram.New(1, highestMicros, 3), spends: hdrhistogram.New(1, highestMicros, 3)}
}

// add counts one request.
func (m *measured) add(micros int64, n int, spent bool) {
	micros = min(max(micros, 1), highestMicros)
	_ = m.latency.RecordValue(micros) // it is within the bounds
	if spent {
		_ = m.spends.RecordValue(micros)
	}
	m.counted += int64(n)
}

// move adds all of from, and leaves it empty.
func (m *measured) move(from *measured) {
	m.latency.Merge(from.latency)
	m.spends.Merge(from.spends)
	m.counted += from.counted
	m.late += from.late
	m.dropped += from.dropped
	from.latency.Reset()
	from.spends.Reset()
	from.counted, from.late, from.dropped = 0, 0, 0
}

// tallies are shared by many clients: one for each would cost 400 kB a client, one for all a lock that
// they wait for.
type tallies [16]struct {
	mu sync.Mutex
	measured
}

func newTallies() *tallies {
	t := new(tallies)
	for i := range t {
		t[i].measured = newMeasured()
	}
	return t
}

// note lets one client count into its tally.
func (t *tallies) note(client int, f func(m *measured)) {
	own := &t[client%len(t)]
	own.mu.Lock()
	defer own.mu.Unlock()
	f(&own.measured)
}

// take returns what all counted since the last take.
func (t *tallies) take() measured {
	all := newMeasured()
	for i := range t {
		t[i].mu.Lock()
		all.move(&t[i].measured)
		t[i].mu.Unlock()
	}
	return all
}
