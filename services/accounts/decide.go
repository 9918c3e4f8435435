package accounts

import (
	"fmt"
	"runtime/debug"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// settleAtOnce is how many due facts are booked together.
const settleAtOnce = 512

// decision is what is to be written for a request: what was due for the account by then, and its own facts.
type decision struct {
	account *cached
	decided *credit.Account // as the decision found it, what was due included
	dues    []rules.Due
	facts   []credit.Fact
	refusal error // of the command itself, with facts all the same
	now     time.Time
}

// decide carries out one request as far as the open commit. It is not done, and has to be called again,
// when so much was due for the account that only a part of that was booked, or the open commit has no room for it.
func (s *Shard) decide(c *call, index int, now time.Time) (done bool) {
	done = true
	defer s.contain(c, index)
	if held := s.held; held != nil {
		s.held = nil
		return s.record(c, index, *held)
	}
	r := &c.requests[index]
	e, err := s.load(r.Account)
	if err != nil {
		s.fail(fmt.Errorf("load account %s: %w", r.Account, err))
		s.reply(c, index, Answer{Err: s.failed})
		return done
	}
	if e.floor.below(r.Key) && s.recent.orders(r.Key) {
		e.floor = boundOf(r.Key) // whatever becomes of the request
	} else if r.Key != "" && s.known(c, index) {
		return done
	}
	account := e.account
	var dues []rules.Due
	if overdue(account, now) {
		account = account.Clone()
		dues = rules.SettleSome(account, s.books, now, settleAtOnce)
		if overdue(account, now) && s.settle(r.Account, e, len(dues), now) {
			return false
		}
	}
	var facts []credit.Fact
	var refusal error
	if r.Command != nil {
		if reverse, ok := r.Command.(*rules.ReverseUsage); ok {
			if err := s.recallReversed(account, reverse); err != nil {
				s.reply(c, index, Answer{Err: err})
				return done
			}
		}
		facts, refusal = rules.Decide(r.Command, r.Key != "", account, s.books, now)
		if refusal != nil && len(facts) > 0 {
			facts = s.denials.record(r.Account, facts, now)
		}
	}
	if refusal != nil && len(facts) == 0 {
		s.answerAfter(e.commit, c, index, Answer{Err: refusal})
		return done
	}
	return s.record(c, index, decision{e, account, dues, facts, refusal, now})
}

func overdue(a *credit.Account, now time.Time) bool {
	due := a.NextDue()
	return !due.IsZero() && !now.Before(due)
}

// settle books what is due for an account by itself, the first limit facts of it or as many as an entry may hold, and
// reports whether it booked any, or will when the open commit was sent.
func (s *Shard) settle(id string, e *cached, limit int, now time.Time) bool {
	for ; limit > 0; limit /= 2 {
		account := e.account.Clone()
		switch s.write(dueEntries(id, rules.SettleSome(account, s.books, now, limit), now), now) {
		case written:
			s.keep(e, account)
			return true
		case noRoom:
			return true
		}
	}
	return false
}

func dueEntries(id string, dues []rules.Due, now time.Time) []credit.Entry {
	entries := make([]credit.Entry, 0, len(dues)+1)
	for _, d := range dues {
		entries = append(entries, credit.Entry{Account: id, Key: d.Key, Recorded: now, Facts: d.Facts})
	}
	return entries
}

// outcome is what became of entries that were to be written.
type outcome int

const (
	written outcome = iota
	tooMuch         // for any commit
	noRoom          // in the open one, which takes nothing more
)

// write puts entries into the open commit: all of them or none.
func (s *Shard) write(entries []credit.Entry, now time.Time) outcome {
	size := 0
	for i := range entries {
		e := &entries[i]
		for k := range e.Facts {
			e.Facts[k].ID = s.ids.next(now)
		}
		most, err := e.Measure()
		if size += most; err != nil || size > maxEntry {
			return tooMuch
		}
	}
	if !s.fits(size) {
		return noRoom
	}
	s.open.add(size, entries...)
	return written
}

// fits reports whether the open commit has room for so many bytes more. One that has not is full, so that what did not fit
// begins the next.
func (s *Shard) fits(size int) bool {
	s.open.closed = s.open.size+size > mostTogether
	return !s.open.closed
}

// keep makes account the state in memory: what was just written to the open commit is folded into it. It is staged
// at once, while the processor has it at hand; when the commit changes it again, once more as it is in the end.
func (s *Shard) keep(e *cached, account *credit.Account) {
	e.account = account
	switch {
	case e.commit != s.open:
		e.commit = s.open
		s.open.touched = append(s.open.touched, e)
		s.stage().Account(account)
	case !e.again:
		e.again = true
		s.open.again = append(s.open.again, e)
	}
}

// record puts what was decided into the open commit and folds it. It is not done when what is due had to
// be booked by itself first, or when it has to wait until the open commit was sent.
func (s *Shard) record(c *call, index int, d decision) (done bool) {
	r, e, account, dues, facts, refusal, now := &c.requests[index], d.account, d.decided, d.dues, d.facts, d.refusal, d.now
	o := s.open
	own := uint32(len(o.entries) + len(dues))
	if len(dues)+len(facts) == 0 {
		s.answerAfter(e.commit, c, index, Answer{Err: refusal, Position: Position{Shard: s.cfg.Number, Sequence: s.head.Load()}})
		return true
	}
	if len(facts) == 0 {
		own-- // the last of what was due
	}
	var one [1]credit.Entry
	entries := one[:0]
	if len(dues) > 0 {
		entries = dueEntries(r.Account, dues, now)
	}
	if len(facts) > 0 {
		entry := credit.Entry{Account: r.Account, Actor: r.Actor, Recorded: now, Facts: facts}
		if refusal == nil {
			entry.Key, entry.Hash, entry.Source = r.Key, r.Hash, r.Source
		}
		entries = append(entries, entry)
	}
	switch s.write(entries, now) {
	case noRoom:
		held := d // most decisions stay on the stack
		s.held = &held
		return false
	case tooMuch:
		if s.settle(r.Account, e, len(dues), now) {
			return false
		}
		s.answerAfter(e.commit, c, index, Answer{Err: &rules.Refusal{Code: rules.CodeInvalid, Detail: fmt.Sprintf("this would write an entry of more than %d KiB; ask for less at once", maxEntry>>10)}})
		return true
	}
	for i := range facts {
		account.Evolve(facts[i].Event, facts[i].At)
	}
	s.keep(e, account)
	answer := Answer{Position: Position{Shard: s.cfg.Number, Offset: own}, Facts: facts, Err: refusal}
	if refusal != nil {
		answer.Facts = nil
	} else if r.Key != "" && len(facts) > 0 {
		s.recent.put(flightKey{r.Account, r.Key}, keyed{hash: r.Hash, sequence: s.sequence + 1, offset: own}, s.retired)
		s.stage().Key(r.Account, r.Key, r.Hash, s.sequence+1, own)
	}
	o.tickets = append(o.tickets, ticket{c, index, answer})
	s.trap(TrappedDecided)
	return true
}

// known answers a request whose key was used before, and reports whether it was.
func (s *Shard) known(c *call, index int) bool {
	r := &c.requests[index]
	k, ok := s.recent.get(flightKey{r.Account, r.Key})
	if !ok && s.recent.complete(r.Key) {
		return false
	}
	if !ok {
		stored, found, err := s.view.Lookup(r.Account, r.Key)
		if err != nil {
			s.fail(fmt.Errorf("look up key %s: %w", r.Key, err))
			s.reply(c, index, Answer{Err: s.failed})
			return true
		}
		if !found {
			return false
		}
		k = keyed{hash: stored.Hash, sequence: stored.Sequence, offset: stored.Offset}
	}
	on := s.underWay(k.sequence)
	answer := Answer{Replayed: true, Position: Position{s.cfg.Number, k.sequence, k.offset}}
	switch {
	case k.hash != r.Hash:
		answer = Answer{Err: &Conflict{r.Key}}
	case on != nil:
		answer.Facts = on.entries[k.offset].Facts
	default:
		answer.replay = &place{k.sequence, k.offset}
	}
	s.answerAfter(on, c, index, answer)
	return true
}

// underWay is the commit with a sequence that is not retired yet, or nil.
func (s *Shard) underWay(sequence uint64) *commit {
	if sequence <= s.retired {
		return nil
	}
	for _, o := range s.applying {
		if o.sequence == sequence {
			return o
		}
	}
	for _, o := range s.sent {
		if o.sequence == sequence {
			return o
		}
	}
	return s.open
}

func (s *Shard) load(id string) (*cached, error) {
	if e := s.cache.get(id); e != nil {
		return e, nil
	}
	account, err := s.view.Load(id)
	if err != nil {
		return nil, err
	}
	e := &cached{account: account, floor: boundOf(s.recent.greatest())}
	s.cache.put(id, e)
	return e, nil
}

// recallReversed tells the account and the command how much of the use was reversed before.
func (s *Shard) recallReversed(a *credit.Account, r *rules.ReverseUsage) error {
	units, known := a.Reversed(r.Usage)
	if !known {
		var err error
		if units, err = s.view.Reversed(a.ID(), r.Usage); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		a.SetReversed(r.Usage, units)
	}
	r.Already = units
	return nil
}

// answerAfter answers once the commit that the answer rests on is applied; at once when there is none.
func (s *Shard) answerAfter(on *commit, c *call, index int, answer Answer) {
	if on == nil {
		s.reply(c, index, answer)
		return
	}
	if !on.wait(ticket{c, index, answer}) {
		s.reply(c, index, on.complete(answer))
	}
}

func (s *Shard) reply(c *call, index int, answer Answer) {
	c.answers[index] = answer
	s.answered(c)
}

// publish puts a catalog in force. It is not done, and has to be called again, when the open commit has no room for it.
func (s *Shard) publish(c *call, now time.Time) (done bool) {
	if current := s.books.Current(); current != nil && current.Version >= c.publish.event.Version {
		// Whoever asked for that version gave up waiting, and it was on its way all the same.
		s.reply(c, 0, Answer{Err: fmt.Errorf("%w: catalog %d was published meanwhile", ErrUnavailable, current.Version)})
		return true
	}
	entry := credit.Entry{Actor: c.publish.actor, Recorded: now, Facts: []credit.Fact{{ID: s.ids.next(now), At: now, Event: c.publish.event}}}
	size, err := entry.Measure()
	if err != nil {
		s.fail(fmt.Errorf("encode catalog: %w", err))
		s.reply(c, 0, Answer{Err: s.failed})
		return true
	}
	if size > maxEntry {
		s.reply(c, 0, Answer{Err: &rules.Refusal{Code: rules.CodeInvalid, Detail: fmt.Sprintf("in the journal this catalog would take more than %d KiB: each < > & takes six bytes", maxEntry>>10)}})
		return true
	}
	if !s.fits(size) {
		return false
	}
	o := s.open
	o.add(size, entry)
	answer := Answer{Position: Position{Shard: s.cfg.Number, Offset: uint32(len(o.entries) - 1)}, Facts: entry.Facts}
	s.stage().Catalog(c.publish.event.Version, now, c.publish.event.Source)
	s.books = s.books.With(now, c.publish.catalog)
	o.books = s.books
	o.tickets = append(o.tickets, ticket{c, 0, answer})
	return true
}

// contain turns a panic of a rule or of the fold, which is a broken invariant, into a stopped shard: no
// other tenant and no other shard is harmed, and nothing is built on a state that is not understood.
func (s *Shard) contain(c *call, index int) {
	if p := recover(); p != nil {
		s.log.Error("a decision broke an invariant", "account", c.requests[index].Account, "panic", p, "stack", string(debug.Stack()))
		s.fail(fmt.Errorf("a decision broke an invariant: %v", p))
		s.reply(c, index, Answer{Err: s.failed})
	}
}
