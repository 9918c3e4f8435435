package node

import (
	"slices"
	"testing"

	"creditstream/events/bus"
)

// A consumer of a journal has the server keep the journal's blocks in memory: views do without, whatever they read.
func TestReadingAJournalMakesNoConsumer(t *testing.T) {
	t.Parallel()
	n, _ := openShop(t, Config{Data: t.TempDir()})
	j, commits := n.Journal("shop", 0), uint64(0)
	consumers := func() int {
		state, err := n.bus.State()
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(state.Streams, func(s bus.StreamState) bool { return s.Name == j.Name().Stream() })
		return state.Streams[at].Consumers
	}
	before := consumers() // that of the tenant's clients
	for c, err := range j.Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if commits = c.Sequence; consumers() > before {
			t.Errorf("while commit %d is read there are %d consumers, and not %d", commits, consumers(), before)
		}
	}
	if commits < 2 {
		t.Errorf("there are %d commits", commits)
	}
}
