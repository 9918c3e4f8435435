package accounts

import (
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// Where the open commit has no room, neither a catalog nor what was due is lost or taken for too large: both wait until it
// was sent.
func TestWhatHasNoRoomWaits(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	rule := book(t, now)
	a := open(t, "a", rule, now)
	grant := rules.GrantCredits{Pool: "credits", Credits: 5, Reason: "for a day", Ends: rules.Set(now.AddDate(0, 0, 1))}
	facts, err := grant.Decide(a, rule, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		a.Evolve(f.Event, f.At)
	}
	later := now.AddDate(0, 0, 2)
	if !overdue(a, later) {
		t.Fatal("nothing is due")
	}
	fullNow := func() *Shard {
		s := &Shard{cfg: Config{CommitTarget: mostTogether}, books: rule, ids: newIDs(), open: newCommit(nil)}
		s.open.size = mostTogether - 100
		return s
	}

	s, e := fullNow(), &cached{account: a}
	if !s.settle("a", e, settleAtOnce, later) || !s.full() || len(s.open.entries) > 0 || e.account != a {
		t.Errorf("what was due is not to be booked yet, and not refused: full %t, %d entries", s.full(), len(s.open.entries))
	}

	s = fullNow()
	c := &call{publish: &publication{actor: "ana", event: &credit.CatalogPublished{Version: 2, Source: plain}, catalog: rule.Current()}, answers: make([]Answer, 1)}
	if s.publish(c, later) || !s.full() || len(s.open.entries) > 0 || s.books != rule || c.answers[0].Err != nil {
		t.Errorf("a catalog is not to be published yet, and not refused: full %t, %d entries, %+v", s.full(), len(s.open.entries), c.answers[0])
	}
}
