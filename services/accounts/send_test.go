package accounts

import "testing"

// A commit waits for the one before it as long as it can grow meanwhile, and not when it is full.
func TestACommitWaitsWhileItCanGrow(t *testing.T) {
	for _, test := range []struct {
		name                          string
		inFlight, sent, applying, has int
		full                          bool
		want                          bool
	}{
		{"nothing to send", 1, 0, 0, 0, false, false},
		{"nothing under way", 1, 0, 0, 1, false, true},
		{"one under way", 1, 1, 0, 1, false, false},
		{"one under way, and full", 1, 1, 0, 1, true, true},
		{"two under way, and full", 1, 2, 0, 1, true, false},
		{"as many applied as may be", 1, 0, 3, 1, false, false},
		{"as many applied as may be, and full", 1, 0, 4, 1, true, false},
		{"far away", 2, 1, 0, 1, false, true},
		{"far away, and two under way", 2, 2, 0, 1, false, false},
		{"far away, two under way, and full", 2, 2, 0, 1, true, true},
	} {
		s := &Shard{cfg: Config{InFlight: test.inFlight, CommitTarget: 10}, open: newCommit(nil), sent: make([]*commit, test.sent), applying: make([]*commit, test.applying)}
		s.open.events = uint32(test.has)
		if test.full {
			s.open.size = 10
		}
		if got := s.mayGo(); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
