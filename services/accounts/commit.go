package accounts

import (
	"sync"
	"sync/atomic"

	"creditstream/events/credit"
	"creditstream/events/journal"
	view "creditstream/projections/accounts"
	"creditstream/services/rules"
)

// Request is one command for one account.
type Request struct {
	Account string
	Key     string      // idempotency key; "" for commands that do without
	Hash    credit.Hash // of the request's content; not zero when there is a key
	Actor   string
	Source  string // the CloudEvents source of a usage, if any
	Command rules.Command
}

// Answer is what became of a request: exactly one of an entry or an error. Err is a *rules.Refusal, a
// *Conflict, or a fault after which the outcome is unknown.
type Answer struct {
	Position Position
	Facts    []credit.Fact // of the request's own entry; nil when nothing had to change
	Replayed bool
	Err      error

	replay *place // where to read the original entry; resolved before the caller sees the answer
}

// place is where an entry stands in the journal.
type place struct {
	sequence uint64
	offset   uint32
}

// call is one or many requests whose answers are waited for together: one wake-up for all of them.
type call struct {
	requests []Request
	answers  []Answer
	publish  *publication // instead of requests: a catalog
	pause    func() error // instead of requests: something to do between two commits
	sweep    bool         // requests that only settle; they come after everything else
	waiting  atomic.Int32
	given    atomic.Bool // the answers to the caller, or the caller up: whichever came first
	done     chan struct{}
	one      [1]Request
	oneReply [1]Answer
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// ticket is one answer that waits for a commit.
type ticket struct {
	call   *call
	index  int
	answer Answer
}

// commit is the entries that one journal message carries, on their way: open (being decided), sent,
// acknowledged, applied, answered.
type commit struct {
	sequence uint64 // in the journal; known when it is sent
	body     []byte // known when it is appended
	entries  []credit.Entry
	early    int // how many of them were handed on to be encoded
	events   uint32
	size     int  // of body, at most
	closed   bool // takes no further entry
	touched  []*cached
	again    []*cached // those that were touched more than once
	tickets  []ticket
	books    *rules.Book // the catalogs from here on, when the commit publishes one
	stage    *view.Stage
	head     journal.Head
	fault    error // why it could not be applied

	answeredTickets []ticket // empty; to be used again

	mu       sync.Mutex // guards tickets and answered once it was sent
	answered bool
}

// wait lets a ticket wait for the commit, unless its answers were given already.
func (o *commit) wait(t ticket) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.answered {
		return false
	}
	o.tickets = append(o.tickets, t)
	return true
}

// take returns the tickets to be answered; from now on none waits for the commit.
func (o *commit) take() []ticket {
	o.mu.Lock()
	defer o.mu.Unlock()
	tickets := o.tickets
	o.tickets, o.answered = nil, true
	return tickets
}

// complete adds to an answer where its entry stands.
func (o *commit) complete(a Answer) Answer {
	if a.Err == nil && a.replay == nil {
		a.Position.Sequence = o.sequence
	}
	return a
}

// add puts entries into an open commit that take so many bytes at most.
func (o *commit) add(size int, entries ...credit.Entry) {
	o.size += size
	o.entries = append(o.entries, entries...)
	for i := range entries {
		o.events += uint32(len(entries[i].Facts))
	}
}

// newCommit returns an open commit that uses what is left of spare, a retired one, or nil.
func newCommit(spare *commit) *commit {
	o := &commit{}
	if spare != nil {
		clear(spare.touched)
		clear(spare.again)
		o.touched, o.again, o.tickets = spare.touched[:0], spare.again[:0], spare.answeredTickets
	}
	return o
}
