package accounts

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	view "creditstream/projections/accounts"
	"creditstream/services/rules"
)

// maxEntry is the largest entry in bytes: with a commit's target below it, a commit stays within what
// the journal carries in one message.
const maxEntry = 384 << 10

// ErrUnavailable says that the outcome of a request is unknown, or that the shard does not write at the
// moment. The same request with the same key is always safe.
var ErrUnavailable = errors.New("unavailable")

// Conflict says that the key was used before for a request of other content.
type Conflict struct{ Key string }

// Error names the key.
func (c *Conflict) Error() string {
	return fmt.Sprintf("idempotency_conflict: key %q was used before for another request", c.Key)
}

// run is the loop. It returns when ctx ends and nothing is in flight any more, or when the journal
// refused an append.
func (s *Shard) run(ctx context.Context) {
	defer close(s.stopped)
	stop := ctx.Done()
	for {
		acks, applied := s.collect()
		for i := range acks {
			s.acknowledged(&acks[i])
		}
		for _, o := range applied {
			s.retire(o)
		}
		if s.failed == nil {
			s.decideWaiting()
			s.send()
		} else {
			s.refuseWaiting()
		}
		if stop == nil && len(s.sent)+len(s.applying) == 0 && (s.failed != nil || s.open.events == 0) {
			s.close(ErrUnavailable)
			return
		}
		if !s.idle() {
			continue
		}
		select {
		case <-s.wake:
		case <-stop:
			stop = nil
		}
	}
}

// collect takes what arrived since the last turn.
func (s *Shard) collect() ([]ack, []*commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlog = append(s.backlog, s.queue...)
	clear(s.queue)
	s.queue = s.queue[:0]
	if len(s.backlog) == 0 {
		s.backlog, s.low = append(s.backlog, s.low...), s.low[:0]
	}
	s.arrived.Store(false)
	s.acks, s.taken = s.taken[:0], s.acks
	s.applied, s.toRetire = s.toRetire[:0], s.applied
	return s.taken, s.toRetire
}

// idle reports whether there is nothing to do before somebody wakes the loop.
func (s *Shard) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.acks)+len(s.applied) > 0 {
		return false
	}
	return s.full() || len(s.backlog)+len(s.queue)+len(s.low) == 0 || s.pausing()
}

// full reports whether the open commit has to be sent before more is decided.
func (s *Shard) full() bool { return len(s.open.body) >= s.cfg.CommitTarget }

// pausing reports whether the next call waits for everything under way to be answered.
func (s *Shard) pausing() bool {
	return len(s.backlog) > 0 && s.backlog[0].pause != nil && (len(s.sent)+len(s.applying) > 0 || s.open.events > 0)
}

// decisionsAtOnce is how many requests are decided before the loop looks whether the journal has room for
// the open commit: the disk should not wait for a large batch to be decided.
const decisionsAtOnce = 32

// decideWaiting decides what waits, until the open commit is full or the journal has room for it.
func (s *Shard) decideWaiting() {
	if len(s.backlog) == 0 {
		return
	}
	now, err := s.time.now()
	if err != nil && s.backlog[0].pause == nil {
		s.log.Warn("no decisions", "reason", err)
		s.refuse(fmt.Errorf("%w: %w", ErrUnavailable, err))
		return
	}
	interrupted := false
	for len(s.backlog) > 0 && !s.full() && !s.pausing() && s.failed == nil && !interrupted {
		c := s.backlog[0]
		if err != nil && c.pause == nil {
			return // only what decides needs the time; it is refused at the next turn
		}
		switch {
		case c.pause != nil:
			c.answers[0].Err = c.pause()
			s.cache.clear()
			s.answered(c)
		case c.publish != nil:
			s.publish(c, now)
		default:
			n := len(c.requests) // once the last one is answered the call is somebody else's
			for s.next < n && !s.full() && s.failed == nil {
				if s.decided >= s.looked {
					s.looked = s.decided + s.ahead.look(s.cache, s.backlog, s.next)
				}
				if s.decide(c, s.next, now) {
					s.next++
				}
				if s.decided++; s.decided%decisionsAtOnce == 0 && s.arrived.Load() {
					interrupted = true
					break
				}
			}
			if s.next < n {
				return
			}
		}
		s.next = 0
		s.backlog[0] = nil
		s.backlog = s.backlog[1:]
	}
	if len(s.backlog) == 0 {
		s.backlog = s.backlog[:0]
	}
}

// settleAtOnce is how many due facts are booked together.
const settleAtOnce = 512

// decide carries out one request as far as the open commit. It is not done, and has to be called again,
// when so much was due for the account that only a part of that was booked.
func (s *Shard) decide(c *call, index int, now time.Time) (done bool) {
	done = true
	defer s.contain(c, index)
	r := &c.requests[index]
	e, err := s.load(r.Account)
	if err != nil {
		s.fail(fmt.Errorf("load account %s: %w", r.Account, err))
		s.reply(c, index, Answer{Err: s.failed})
		return done
	}
	if r.Key > e.floor {
		e.floor = r.Key // whatever becomes of the request
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
	return s.record(c, index, e, account, dues, facts, refusal, now)
}

func overdue(a *credit.Account, now time.Time) bool {
	due := a.NextDue()
	return !due.IsZero() && !now.Before(due)
}

// settle books what is due for an account by itself, the first limit facts of it or as many as fit, and
// reports whether it booked any.
func (s *Shard) settle(id string, e *cached, limit int, now time.Time) bool {
	for ; limit > 0; limit /= 2 {
		account := e.account.Clone()
		if s.write(dueEntries(id, rules.SettleSome(account, s.books, now, limit), now), now) {
			s.keep(e, account)
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

// write encodes entries into the open commit: all of them, or none when they are too much.
func (s *Shard) write(entries []credit.Entry, now time.Time) bool {
	o := s.open
	undo, mark := o.size(), s.encoder.Mark()
	for _, entry := range entries {
		for i := range entry.Facts {
			entry.Facts[i].ID = s.ids.next(now)
		}
		o.entries = append(o.entries, entry)
		var err error
		o.body, err = s.encoder.Append(o.body, &o.entries[len(o.entries)-1])
		o.events += uint32(len(entry.Facts))
		if err != nil || len(o.body)-undo.body > maxEntry {
			s.encoder.Rewind(mark)
			o.shrink(undo)
			return false
		}
	}
	return true
}

// keep makes account the state in memory: what was just written to the open commit is folded into it.
func (s *Shard) keep(e *cached, account *credit.Account) {
	e.account = account
	if e.commit != s.open {
		e.commit = s.open
		s.open.touched = append(s.open.touched, e)
	}
}

// record puts what was decided into the open commit and folds it. It is not done when what is due had to
// be booked by itself first.
func (s *Shard) record(c *call, index int, e *cached, account *credit.Account, dues []rules.Due, facts []credit.Fact, refusal error, now time.Time) (done bool) {
	r := &c.requests[index]
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
	if !s.write(entries, now) {
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
		k := flightKey{r.Account, r.Key}
		o.keys = append(o.keys, k)
		o.offsets = append(o.offsets, own)
		s.recent.put(k, keyed{hash: r.Hash, sequence: s.sequence + 1, offset: own}, s.retired)
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
	e := &cached{account: account, floor: s.recent.greatest()}
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

// publish puts a catalog in force.
func (s *Shard) publish(c *call, now time.Time) {
	if current := s.books.Current(); current != nil && current.Version >= c.publish.event.Version {
		// Whoever asked for that version gave up waiting, and it was on its way all the same.
		s.reply(c, 0, Answer{Err: fmt.Errorf("%w: catalog %d was published meanwhile", ErrUnavailable, current.Version)})
		return
	}
	entry := credit.Entry{Actor: c.publish.actor, Recorded: now, Facts: []credit.Fact{{ID: s.ids.next(now), At: now, Event: c.publish.event}}}
	o := s.open
	undo, mark := o.size(), s.encoder.Mark()
	o.entries = append(o.entries, entry)
	var err error
	if o.body, err = s.encoder.Append(o.body, &o.entries[len(o.entries)-1]); err != nil {
		s.fail(fmt.Errorf("encode catalog: %w", err))
		s.reply(c, 0, Answer{Err: s.failed})
		return
	}
	if most := journal.MaxBody - s.cfg.CommitTarget - 1; len(o.body)-undo.body > most {
		s.encoder.Rewind(mark)
		o.shrink(undo)
		s.reply(c, 0, Answer{Err: &rules.Refusal{Code: rules.CodeInvalid, Detail: fmt.Sprintf("in the journal this catalog would take more than %d KiB: each < > & takes six bytes", most>>10)}})
		return
	}
	answer := Answer{Position: Position{Shard: s.cfg.Number, Offset: uint32(len(o.entries) - 1)}, Facts: entry.Facts}
	o.events++
	s.books = s.books.With(now, c.publish.catalog)
	o.books = s.books
	o.tickets = append(o.tickets, ticket{c, 0, answer})
}

// send appends the open commit when the journal may take one more, and stages what it changes.
func (s *Shard) send() {
	o := s.open
	if o.events == 0 || len(s.sent) >= s.cfg.InFlight || len(s.sent)+len(s.applying) >= s.cfg.InFlight+maxApplying {
		return
	}
	body, entries := o.body, o.entries
	// Handed on, and kept by whoever follows the journal: so as large as they are, and not as large as they
	// might have become. The next commit grows in the memory of this one.
	o.entries = append(make([]credit.Entry, 0, len(entries)), entries...)
	o.body = s.encoder.Seal(append(make([]byte, 0, len(body)+1), body...))
	s.sequence++
	o.sequence = s.sequence
	if err := s.journal.Append(o.body, func(head journal.Head, err error) { s.acked(o, head, err) }); err != nil {
		s.fail(fmt.Errorf("append to the journal: %w", err))
		return
	}
	s.trap(TrappedPublished)
	s.sent = append(s.sent, o)
	clear(entries)
	s.open = s.nextCommit(body[:0], entries[:0])
	// Staged now, because from here on the accounts move on to what the next commit says.
	o.stage = s.takeStage()
	for _, e := range o.touched {
		o.stage.Account(e.account)
	}
	for i, k := range o.keys {
		o.stage.Key(k.account, k.key, o.entries[o.offsets[i]].Hash, o.sequence, o.offsets[i])
	}
	for i := range o.entries {
		if published, ok := o.entries[i].Facts[0].Event.(*credit.CatalogPublished); ok {
			o.stage.Catalog(published.Version, o.entries[i].Recorded, published.Source)
		}
	}
	s.staged(o)
}

// nextCommit returns an open commit that grows in memory used before.
func (s *Shard) nextCommit(body []byte, entries []credit.Entry) *commit {
	var spare *commit
	if n := len(s.spare); n > 0 {
		spare, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	o := newCommit(spare)
	o.body, o.entries = body, entries
	return o
}

// takeStage returns an empty stage: as many are made as commits are under way at once.
func (s *Shard) takeStage() *view.Stage {
	if n := len(s.stages); n > 0 {
		stage := s.stages[n-1]
		s.stages = s.stages[:n-1]
		return stage
	}
	return s.view.Stage()
}

// acknowledged makes room in the journal for the next commit, or gives up when it refused the oldest that
// was sent.
func (s *Shard) acknowledged(a *ack) {
	if s.failed != nil || len(s.sent) == 0 {
		return
	}
	if a.err != nil {
		s.fail(a.err)
		return
	}
	s.applying = append(s.applying, a.commit)
	s.sent = append(s.sent[:0], s.sent[1:]...)
	s.send()
}

// retire forgets a commit that was applied: what it changed is in the view now.
func (s *Shard) retire(o *commit) {
	s.stages = append(s.stages, o.stage)
	o.stage = nil
	if len(s.applying) == 0 || s.applying[0] != o {
		return // the shard failed before it noticed the ack
	}
	s.applying = append(s.applying[:0], s.applying[1:]...)
	s.retired = o.sequence
	if o.fault != nil {
		s.fail(fmt.Errorf("apply commit %d to the view: %w", o.sequence, o.fault))
		return
	}
	for _, e := range o.touched {
		if e.commit == o {
			e.commit = nil
		}
	}
	s.spare = append(s.spare, o)
}

func (s *Shard) answerAll(o *commit, err error) {
	tickets := o.take()
	for i := range tickets {
		t := &tickets[i]
		if err != nil {
			t.answer = Answer{Err: err}
		}
		s.reply(t.call, t.index, o.complete(t.answer))
	}
	if tickets != nil {
		clear(tickets)
		o.answeredTickets = tickets[:0]
	}
}

// fail stops the shard: the state in memory can no longer be trusted to be what the journal says. All
// who wait get an unknown outcome; the shard writes again after a restart, which reads the journal.
func (s *Shard) fail(reason error) {
	if s.failed != nil {
		return
	}
	s.failed = fmt.Errorf("%w: %w", ErrUnavailable, reason)
	s.mu.Lock()
	s.gaveUp = true
	s.mu.Unlock()
	s.log.Error("the shard stopped writing", "reason", reason)
	for _, o := range append(s.sent, s.open) {
		s.answerAll(o, s.failed)
	}
	s.sent, s.open = nil, newCommit(nil) // a full one would let the loop sleep while calls wait
	s.cache.clear()
	s.state.Store(&s.failed)
}

func (s *Shard) refuseWaiting() { s.refuse(s.failed) }

// refuse answers everything that waits with a fault.
func (s *Shard) refuse(reason error) {
	for _, c := range s.backlog {
		if c.requests == nil {
			s.reply(c, 0, Answer{Err: reason})
			continue
		}
		for n := len(c.requests); s.next < n; s.next++ {
			s.reply(c, s.next, Answer{Err: reason})
		}
		s.next = 0
	}
	clear(s.backlog)
	s.backlog = s.backlog[:0]
}

// close refuses what still comes in after the loop has ended.
func (s *Shard) close(reason error) {
	s.mu.Lock()
	s.closed = true
	s.backlog = append(append(s.backlog, s.queue...), s.low...)
	s.queue, s.low = nil, nil
	s.mu.Unlock()
	s.refuse(reason)
	close(s.toApply)
	<-s.appliedAll
	for _, stage := range s.stages {
		if err := stage.Close(); err != nil {
			s.log.Warn("close a stage", "error", err)
		}
	}
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
