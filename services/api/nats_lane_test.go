package api

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// While messages with usage are on their way, the next ones go as a batch once they are as many; who only asks does not wait
// for that. Whoever is through last takes what is left.
func TestABatchBesideAnotherIsWorthwhile(t *testing.T) {
	for name, c := range map[string]struct {
		underWay, uses int
		asks           bool // the last of the messages
		taken          int
	}{
		"alone":                    {underWay: 0, uses: 1, taken: 1},
		"fewer than are under way": {underWay: 3, uses: 2, taken: 0},
		"as many":                  {underWay: 3, uses: 3, taken: 3},
		"one that asks":            {underWay: 3, uses: 0, asks: true, taken: 1},
		"one that asks after one":  {underWay: 3, uses: 1, asks: true, taken: 2},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lane{}
			waiting, started := 0, 0
			put := func(asks bool) {
				start, taken := l.put(question{Msg: new(nats.Msg)}, asks, -1)
				if !taken {
					t.Fatal("a message was not taken")
				}
				if waiting++; start {
					started++
				}
			}
			if c.underWay > 0 {
				l.running = 1
				l.records(c.underWay)
			}
			for range c.uses {
				put(false)
			}
			if c.asks {
				put(true)
			}
			if runs := started > 0; runs != (c.taken > 0) {
				t.Fatalf("the lane was run %d times, want it for a batch of %d", started, c.taken)
			}
			if c.taken > 0 {
				if taken := len(l.take(nil)); taken != c.taken {
					t.Errorf("a batch of %d, want %d", taken, c.taken)
				}
			}
			l.records(-c.underWay) // the other one is through
			if rest := len(l.take(nil)); rest != waiting-c.taken {
				t.Errorf("the last one takes %d of %d", rest, waiting-c.taken)
			}
			if len(l.waiting)+l.waitingBytes > 0 || l.asked {
				t.Errorf("%d messages of %d bytes wait, asked %v", len(l.waiting), l.waitingBytes, l.asked)
			}
		})
	}
}

// Whoever is through with a batch leaves the next ones to another who is still at it, until they are worthwhile.
func TestWhatIsNotWorthwhileIsLeftToAnother(t *testing.T) {
	l := &lane{running: 2}
	l.records(2) // of the other one
	if _, taken := l.put(question{Msg: new(nats.Msg)}, false, -1); !taken {
		t.Fatal("a message was not taken")
	}
	if batch := l.take(nil); len(batch) != 0 || l.running != 1 {
		t.Errorf("took %d and %d run, want that one leaves", len(batch), l.running)
	}
	if start, _ := l.put(question{Msg: new(nats.Msg)}, false, -1); !start || l.running != 2 {
		t.Error("nobody came for as many as are under way")
	}
}
