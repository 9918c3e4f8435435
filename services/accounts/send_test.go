package accounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"creditstream/events/bus"
	"creditstream/events/credit"
	"creditstream/events/journal"
)

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

// What was decided rests on everything before it: after a commit that could not be appended the journal gets none.
func TestNothingFollowsACommitThatWasNotAppended(t *testing.T) {
	j, head := journalOf(t)
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	commitOf := func(attributes string) *commit {
		o := newCommit(nil)
		o.add(1, credit.Entry{Account: "a", Recorded: now, Facts: []credit.Fact{{At: now, Event: &credit.UsageRecorded{Meter: "call", Quantity: 1, Attributes: json.RawMessage(attributes)}}}})
		return o
	}
	s := &Shard{journal: j, wake: make(chan struct{}, 1), toAppend: make(chan part, 3), toApply: make(chan *commit, 3), appendedAll: make(chan struct{})}
	commits := []*commit{commitOf("{}"), commitOf(`"` + string(bytes.Repeat([]byte("x"), journal.MaxBody)) + `"`), commitOf("{}")}
	for i, o := range commits {
		o.sequence = head.Sequence + 1 + uint64(i)
		s.toAppend <- part{o.entries, o}
	}
	close(s.toAppend)
	s.appendAll()
	if applied := <-s.toApply; applied != commits[0] || applied.head.Sequence != head.Sequence+1 {
		t.Errorf("the first was acknowledged as %d", applied.head.Sequence)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := 0
	for _, a := range s.acks {
		if errors.Is(a.err, journal.ErrTooLarge) {
			failed++
		} else if a.commit != commits[0] {
			t.Errorf("commit %d: %v", a.commit.sequence, a.err)
		}
	}
	if failed != 2 || j.Head().Sequence != head.Sequence+1 {
		t.Errorf("%d were not appended, and the journal's head is %d", failed, j.Head().Sequence)
	}
}

// What no encoder can write is a fault of its shard and not the end of the process.
func TestACommitThatCannotBeWrittenIsAFault(t *testing.T) {
	o := newCommit(nil)
	o.add(1, credit.Entry{Account: "a", Facts: []credit.Fact{{}}})
	if err := new(Shard).append(part{o.entries, o}); err == nil {
		t.Error("an entry without an event was written")
	}
}

// While a commit waits for its turn, what it has is handed on to be encoded: each entry once, in order, and as it was
// though the memory that it was decided in is used for the next commit.
func TestAWaitingCommitIsEncodedInParts(t *testing.T) {
	s := &Shard{open: newCommit(nil)}
	s.cfg.setDefaults()
	s.toAppend = make(chan part, s.cfg.InFlight+BesideInFlight+mostEarly)
	added := 0
	add := func(n int) {
		for range n {
			added++
			s.open.add(1, credit.Entry{Account: fmt.Sprint(added), Facts: make([]credit.Fact, 1)})
		}
	}
	add(enoughToEncode - 1)
	if s.sendEarly(); len(s.toAppend) != 0 {
		t.Error("a few are handed on")
	}
	add(1)
	for range 2 {
		if s.sendEarly(); len(s.toAppend) != 1 {
			t.Errorf("%d parts are handed on", len(s.toAppend))
		}
	}
	add(5)
	first := s.open
	s.send()
	add(2 * enoughToEncode) // in the memory of the first
	s.sendEarly()
	whole := 0
	for len(s.toAppend) > 0 {
		p := <-s.toAppend
		for _, e := range p.entries {
			if whole++; e.Account != fmt.Sprint(whole) {
				t.Fatalf("entry %d is that of %q", whole, e.Account)
			}
		}
		if p.last != nil && (p.last != first || whole != len(first.entries) || whole != enoughToEncode+5) {
			t.Errorf("the commit ends after %d entries of %d", whole, len(first.entries))
		}
	}
	if whole != added {
		t.Errorf("%d of %d entries are handed on", whole, added)
	}
	for range 2 * mostEarly {
		add(enoughToEncode)
		s.sendEarly()
	}
	if room := cap(s.toAppend) - len(s.toAppend); room != s.cfg.InFlight+BesideInFlight {
		t.Errorf("there is room for %d commits", room)
	}
}

// A commit that went to the encoder in parts stands in the journal as one that is encoded at once.
func TestACommitInPartsIsOneCommit(t *testing.T) {
	j, head := journalOf(t)
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	entries := func() (all []credit.Entry) {
		for n := range 3*enoughToEncode + 5 {
			e := credit.Entry{Account: fmt.Sprint("a", n), Recorded: now, Facts: []credit.Fact{{At: now, Event: &credit.UsageRecorded{Meter: "call", Quantity: int64(n)}}}}
			if n%7 == 0 {
				e.Facts[0].Event = &credit.AccountClosed{}
			}
			if _, err := e.Measure(); err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	want, err := credit.EncodeCommit("/s", entries())
	if err != nil {
		t.Fatal(err)
	}
	s := &Shard{journal: j, encoder: credit.Encoder{Source: "/s"}, open: newCommit(nil), sequence: head.Sequence, wake: make(chan struct{}, 1), appendedAll: make(chan struct{}), toApply: make(chan *commit, 3)}
	s.cfg.setDefaults()
	s.toAppend = make(chan part, s.cfg.InFlight+BesideInFlight+mostEarly)
	for i, e := range entries() {
		if s.open.add(1, e); i%enoughToEncode == 0 {
			s.sendEarly()
		}
	}
	o := s.open
	if o.early == 0 {
		t.Fatal("nothing was handed on early")
	}
	s.send()
	close(s.toAppend)
	s.appendAll()
	if applied := <-s.toApply; applied != o || string(o.body) != string(want) {
		t.Errorf("in parts: %s\nat once: %s", o.body, want)
	}
	for _, e := range o.entries {
		if raw := e.Facts[0].Raw; len(raw) == 0 || !bytes.Contains(o.body, raw) {
			t.Errorf("the data of %s is %q", e.Account, raw)
		}
	}
}

// journalOf is a new journal that was taken over.
func journalOf(t *testing.T) (*journal.Journal, journal.Head) {
	server, err := bus.Start(t.Context(), bus.Config{StoreDir: filepath.Join(t.TempDir(), "nats")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	conn, err := server.ConnectWriter(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	j, err := journal.Open(t.Context(), conn, journal.Config{Name: journal.Name{Tenant: "acme"}, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	head, err := j.TakeOver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return j, head
}
