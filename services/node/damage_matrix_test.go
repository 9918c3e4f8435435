package node

import (
	"strings"
	"testing"

	"creditstream/events/journal"
	"creditstream/services/node/damage"
)

// Each tenant of one directory is damaged in another way. Every damage is noticed at start or by verify, and
// named; nothing wrong is answered; and the tenants that are not damaged are served as if nothing was.
func TestEveryDamageToAJournalIsNoticed(t *testing.T) {
	cases := damage.Journal()
	s := newScene(t, len(cases)+1)
	dir := s.copy(t)
	for i, c := range cases {
		at := damage.Place{
			Dir: dir, Earlier: s.earlier, Sound: s.dir,
			Name: journal.Name{Tenant: s.tenants[i]}, Neighbour: journal.Name{Tenant: s.tenants[0]}, // that one is not damaged
		}
		if err := c.Do(at); err != nil {
			t.Fatalf("%s: %v", c.What, err)
		}
	}
	found := s.look(t.Context(), s.start(t, dir, nil))
	undetected := 0
	for i, c := range cases {
		f := found[s.tenants[i]]
		noticed := f.barred + f.verify
		switch {
		case f.wrong != "":
			t.Errorf("%s: a wrong answer was given: %s", c.What, f)
			undetected++
		case noticed == "" && (f.lost || !c.Harmless && !c.Either):
			t.Errorf("%s: undetected", c.What)
			undetected++
		case c.Harmless && (noticed != "" || f.failed != ""):
			t.Errorf("%s: it does no harm, and %s", c.What, f)
		case noticed == "":
		case !strings.Contains(noticed, s.tenants[i]+"/0"):
			t.Errorf("%s: tenant and shard are not named: %s", c.What, f)
		case !c.Nameless && !strings.Contains(noticed, "commit "):
			t.Errorf("%s: no commit is named: %s", c.What, f)
		}
	}
	if control := found[s.tenants[len(cases)]]; control != (finding{}) {
		t.Errorf("a tenant that is not damaged: %s", control)
	}
	t.Logf("%d kinds of damage, %d undetected", len(cases), undetected)
}

// A view is a fold that can be made again: whatever happens to its files, balances are right or not given, and
// after a restart at the latest everything is there again.
func TestEveryDamageToAViewHeals(t *testing.T) {
	s, other := newScene(t, 2), newScene(t, 1)
	stores, cases := damage.Stores(), damage.View()
	for i := 0; i < len(cases); i += len(stores) {
		dir := s.copy(t)
		var done []string
		for k, store := range stores { // what holds for one store holds for all: they are the same code
			c := cases[(i+k)%len(cases)]
			if err := c.Do(dir, store, s.earlier, other.dir); err != nil {
				t.Fatalf("%s: %s: %v", store, c.What, err)
			}
			done = append(done, store+": "+c.What)
		}
		for _, when := range []string{"at once", "after a restart"} {
			n := s.start(t, dir, nil)
			for tenant, f := range s.look(t.Context(), n) {
				if f.wrong != "" || f.lost || when != "at once" && f != (finding{}) {
					t.Errorf("%s, %s, %s: %s", strings.Join(done, "; "), tenant, when, f)
				}
			}
			if err := n.Close(); err != nil && when != "at once" {
				t.Errorf("%s: %v", strings.Join(done, "; "), err)
			}
		}
	}
}

// What no test on one machine can notice is said here: a whole directory that is put back to what it was
// earlier, journal, anchor and views alike, is a sound directory. (A head that was signed and kept elsewhere
// notices it.)
func TestAWholeOlderDirectoryIsNotNoticed(t *testing.T) {
	s := newScene(t, 1)
	n := s.start(t, s.earlier, nil)
	if barred := n.Accounts().Barred(); len(barred) > 0 {
		t.Errorf("barred: %+v", barred)
	}
	report, err := n.Verify(t.Context(), "", nil)
	if err != nil || !report.OK || report.Journals[0].Events >= s.events {
		t.Errorf("%+v, %v", report, err)
	}
}
