package trial

import (
	"testing"

	"creditstream/events/credit"
)

// Everything that the moves claim to cover happens, and what comes out closes: else the tests that build on
// these journals would prove less than they say.
func TestJournalsAreWholeAndClose(t *testing.T) {
	s := New(7, 20)
	kinds := make(map[string]int)
	for range 400 {
		entries, body := s.Commit(20)
		for i := range entries {
			for _, f := range entries[i].Facts {
				kinds[f.Event.Kind()]++
			}
		}
		if _, err := credit.DecodeCommit(body); err != nil {
			t.Fatal(err)
		}
		for _, a := range s.Accounts() {
			for _, p := range a.Pools() {
				if !p.Terms.Close() {
					t.Fatalf("account %s, pool %s: terms do not close: %+v", a.ID(), p.Name, p.Terms)
				}
			}
		}
	}
	for _, kind := range credit.Kinds() {
		if kinds[kind] == 0 {
			t.Errorf("no %s in the journal", kind)
		}
	}
}
