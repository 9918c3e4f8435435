package vitals

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A duration is counted by its microseconds: four classes to each power of two, so that a quantile is
// right to a quarter. The last class takes all from a minute on.
const (
	perPower = 4
	classes  = 26 * perPower
)

// Counts are how many durations fell in each class.
type Counts [classes]uint64

// classOf is the class of a duration.
func classOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < perPower {
		return int(us)
	}
	power := bits.Len64(us) - 1 // of the highest bit: at least 2
	return min((power-1)*perPower+int(us>>(power-2)&(perPower-1)), classes-1)
}

// Upper is the end of a class: all that it counts took less.
func Upper(class int) time.Duration {
	class++
	if class < perPower {
		return time.Duration(class) * time.Microsecond
	}
	power := class/perPower + 1
	return time.Duration(perPower+class%perPower) << (power - 2) * time.Microsecond
}

func (c Counts) minus(before Counts) Counts {
	for i := range c {
		c[i] -= before[i]
	}
	return c
}

func (c *Counts) total() (n uint64) {
	for _, count := range c {
		n += count
	}
	return n
}

// Quantile is the time within which percent of all were through, 0 when nothing was counted.
func (c *Counts) Quantile(percent uint64) time.Duration {
	all := c.total()
	if all == 0 {
		return 0
	}
	rank := max((all*percent+99)/100, 1)
	for i, count := range c {
		if count >= rank {
			return Upper(i)
		}
		rank -= count
	}
	return Upper(classes - 1)
}

// Latency counts how long requests took. It is used concurrently and costs next to nothing: where there
// are many, one in sixteen is timed (Thin).
type Latency struct {
	mask   atomic.Uint32
	counts [classes]atomic.Uint64
}

// Begin says when a request began if it is one to be timed; the zero time otherwise.
func (l *Latency) Begin() time.Time {
	if mask := l.mask.Load(); mask != 0 && rand.Uint32()&mask != 0 {
		return time.Time{}
	}
	return time.Now()
}

// End counts a request that Begin saw.
func (l *Latency) End(began time.Time) {
	if !began.IsZero() {
		l.counts[classOf(time.Since(began))].Add(1)
	}
}

// Thin has one in sixteen requests timed, or each.
func (l *Latency) Thin(on bool) {
	mask := uint32(0)
	if on {
		mask = 15
	}
	if l.mask.Load() != mask {
		l.mask.Store(mask)
	}
}

// Counts are all that were counted so far.
func (l *Latency) Counts() (c Counts) {
	for i := range c {
		c[i] = l.counts[i].Load()
	}
	return c
}
