package accounts

import (
	"log/slog"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	view "creditstream/projections/accounts"
	"creditstream/services/rules"
)

// What waits is decided on until an ack arrives, and then not all of it first: the disk should not wait for a long
// queue of single requests.
func TestAnAckIsNoticedAmongSingleRequests(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	b := book(t, now)
	store, err := projections.Open(projections.Config{Dir: t.TempDir(), View: "accounts"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	accounts, err := view.Of(store, journal.Name{Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Shard{view: accounts, log: slog.New(slog.DiscardHandler), cache: newCache(4), recent: newRecent(), open: newCommit(nil), books: b, ids: newIDs(), time: newShardTime(NewTestClock(now), now)}
	s.cfg.setDefaults()
	s.recent.until = now.Add(time.Hour)
	s.cache.put("a", &cached{account: open(t, "a", b, now)})
	const waiting = 3 * decisionsAtOnce
	for range waiting {
		s.backlog = append(s.backlog, &call{requests: []Request{{Account: "a", Command: rules.Use{Meter: "ping", Quantity: 1}}}, answers: make([]Answer, 1)})
	}
	s.arrived.Store(true)
	if s.decideWaiting(); len(s.backlog) != waiting-decisionsAtOnce || len(s.open.tickets) != decisionsAtOnce {
		t.Errorf("%d requests were decided before the ack was looked at, and %d wait", len(s.open.tickets), len(s.backlog))
	}
	s.arrived.Store(false)
	if s.decideWaiting(); len(s.backlog) != 0 {
		t.Errorf("nothing arrived, and %d still wait", len(s.backlog))
	}
}
