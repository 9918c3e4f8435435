package accounts

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"creditstream/events/credit"
	"creditstream/events/journal"
	view "creditstream/projections/accounts"
)

// BesideInFlight is how many commits may be on their way to the disk beyond Config.InFlight: a full one.
const BesideInFlight = 1

// mayGo reports whether the open commit may be on its way to the disk: while there is room in the journal, and
// one more when it is full, as it gains nothing by waiting then.
func (s *Shard) mayGo() bool {
	most := s.cfg.InFlight
	if s.full() {
		most += BesideInFlight
	}
	return s.open.events > 0 && len(s.sent) < most && len(s.sent)+len(s.applying) < most+maxApplying
}

// send lets the open commit be appended when the journal may take one more.
func (s *Shard) send() {
	if !s.mayGo() {
		return
	}
	o := s.open
	for _, e := range o.again {
		o.stage.Account(e.account)
		e.again = false
	}
	// Handed on, and kept by whoever follows the journal: so as many as they are, and not as many as there
	// might have been. The next commit's grow in the memory of this one's.
	entries := o.entries
	o.entries = append(make([]credit.Entry, 0, len(entries)), entries...)
	s.sequence++
	o.sequence = s.sequence
	s.sent = append(s.sent, o)
	s.toAppend <- part{o.entries[o.early:], o} // it has room for all that may be under way
	clear(entries)
	s.open = s.nextCommit(entries[:0])
	// What is to be appended goes before what is to be decided next: on this thread at once, where it would
	// otherwise wait until another one is woken.
	runtime.Gosched()
}

// sendEarly hands on what the open commit has so far: it is encoded while it waits for the ack of the one before, and no
// longer once the disk does nothing.
func (s *Shard) sendEarly() {
	o := s.open
	if len(o.entries)-o.early < enoughToEncode || len(s.toAppend) >= mostEarly {
		return
	}
	s.toAppend <- part{entries: slices.Clone(o.entries[o.early:])}
	o.early = len(o.entries)
}

// enoughToEncode is how many entries are worth waking the goroutine that encodes them, and mostEarly how many times at
// most it may be told ahead of it.
const (
	enoughToEncode = 32
	mostEarly      = 16
)

// part is some entries of a commit that is to be encoded, and with its last ones the commit itself, to be appended.
type part struct {
	entries []credit.Entry
	last    *commit
}

// appendAll is the second goroutine of a shard: it encodes commits and appends them to the journal, while the loop
// decides on. After one that it could not append it appends none: they rest on that one. It ends when the loop closes
// toAppend.
func (s *Shard) appendAll() {
	defer close(s.appendedAll)
	var fault error
	for p := range s.toAppend {
		if fault == nil {
			fault = s.append(p)
		}
		if fault != nil && p.last != nil {
			s.acked(p.last, journal.Head{}, fault)
		}
	}
}

func (s *Shard) append(p part) (err error) {
	defer func() { // as contain does: no other shard is harmed
		if p := recover(); p != nil {
			err = fmt.Errorf("a commit broke an invariant: %v\n%s", p, debug.Stack())
		}
	}()
	if err = s.encoder.Add(p.entries); err != nil {
		return err
	}
	if p.last == nil {
		s.journal.Begun(s.encoder.Begun())
		return nil
	}
	o := p.last
	o.body = s.encoder.Body()
	if err := s.journal.Append(o.body, func(head journal.Head, err error) { s.acked(o, head, err) }); err != nil {
		return err
	}
	s.trap(TrappedPublished)
	return nil
}

// nextCommit returns an open commit that grows in memory used before.
func (s *Shard) nextCommit(entries []credit.Entry) *commit {
	var spare *commit
	if n := len(s.spare); n > 0 {
		spare, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	o := newCommit(spare)
	o.entries = entries
	return o
}

// stage is where what the open commit changes is put, to be written to the view once the commit is durable.
func (s *Shard) stage() *view.Stage {
	if s.open.stage == nil {
		s.open.stage = s.takeStage()
	}
	return s.open.stage
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
