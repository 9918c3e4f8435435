package node

import (
	"testing"
	"time"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/events/journal"
)

// A tenant that does nothing gets an empty commit with each start: to find its latest entry behind them takes a few
// questions, and not one for each.
func TestTheLatestEntryIsBehindEmptyCommits(t *testing.T) {
	t.Parallel()
	server, err := bus.Start(t.Context(), bus.Config{StoreDir: t.TempDir(), UnsafeNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.ConnectWriter("latest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	name := journal.Name{Tenant: "idle"}
	j, err := journal.Open(t.Context(), nc, journal.Config{Name: name, Create: true, Blocks: blocksOf(server, name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	empty := func(n int) {
		t.Helper()
		for range n {
			if _, err := j.TakeOver(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	latest := func(want time.Time) {
		t.Helper()
		before := nc.Stats().OutMsgs
		at, err := latestEntry(t.Context(), j)
		if asked := nc.Stats().OutMsgs - before; err != nil || !at.Equal(want) || asked > 8 {
			t.Errorf("the latest entry is of %v and not %v, asked %d times: %v", at, want, asked, err)
		}
	}
	write := func(at time.Time) {
		t.Helper()
		catalog := &credit.CatalogPublished{Version: 1, Source: "{}"}
		body, err := credit.EncodeCommit("/creditstream/idle/0", []credit.Entry{{Key: "k", Recorded: at, Facts: []credit.Fact{{ID: [16]byte{1}, At: at, Event: catalog}}}})
		if err != nil {
			t.Fatal(err)
		}
		acked := make(chan error, 1)
		if err := j.Append(body, func(_ journal.Head, err error) { acked <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-acked; err != nil {
			t.Fatal(err)
		}
	}
	latest(time.Time{})
	empty(20)
	latest(time.Time{})
	write(damageClock)
	write(damageClock.Add(time.Hour))
	latest(damageClock.Add(time.Hour))
	for _, n := range []int{1, 7, 8, 100} {
		empty(n)
		latest(damageClock.Add(time.Hour))
	}
}
