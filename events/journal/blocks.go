package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
)

// readBlocks yields commits from the blocks of the stream, with the same checks as any, as long as they are there and
// one follows the other: from link.next to last, or, when last is 0, what was acknowledged and what will be, as long as they
// are appended here. It reports whether all that was wanted was yielded. The rest is to be asked of the server, which
// also knows what is wrong with a commit that could not be read here. known says whether link.prev is.
//
// For the server it makes a difference: a block that is read from while it is written stays in its memory for ten seconds.
func (j *Journal) readBlocks(ctx context.Context, link *link, known *bool, last uint64, memory func(size int) []byte, yield func(Commit, error) bool) bool {
	b := blockReading{j: j, link: link, known: known, blocks: j.cfg.Blocks(), yield: yield}
	if memory != nil {
		b.blocks.Into(memory)
	}
	if last != 0 {
		return b.upTo(ctx, last) || b.full
	}
	for head := j.Head().Sequence; b.upTo(ctx, head) && link.next == head+1; {
		var moved bool
		if head, moved = j.awaitHead(ctx, head); !moved {
			return false
		}
	}
	return b.full
}

// FileDamage is a part of a journal that a file of its server does not have any more as it was stored. The server may
// have it in memory, and answer from there: it is lost when the server forgets it, at the latest at its next start.
type FileDamage struct {
	// File is the path of the file.
	File string
	// First and Last are the commits that it has not.
	First, Last uint64
	// Problem says what is wrong with the first of them.
	Problem string
}

// Audit is Read that looks at the server's files wherever it can, and tells damaged what of the journal they have lost; it
// asks the server for that alone. damaged is called between two commits that are yielded, or before the error that ends
// the reading. Only acknowledged commits are damaged: what was written a moment ago may be half in its file.
func (j *Journal) Audit(ctx context.Context, from uint64, damaged func(FileDamage)) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		last, err := j.last(ctx)
		if err == nil && from <= last {
			err = j.audit(ctx, from, last, damaged, yield)
		}
		if err != nil {
			yield(Commit{}, fmt.Errorf("read journal %s: %w", j.cfg.Name, err))
		}
	}
}

func (j *Journal) audit(ctx context.Context, from, last uint64, damaged func(FileDamage), yield func(Commit, error) bool) error {
	link := link{journal: j.id.journal, next: max(from, 1), prev: j.start, bytes: pullBytes}
	known := link.next == 1
	if j.cfg.Blocks == nil {
		return j.pullAll(ctx, &link, &known, last, yield)
	}
	b := blockReading{j: j, link: &link, known: &known, blocks: j.cfg.Blocks(), yield: yield}
	told, behind := uint64(0), uint64(0) // damage of commits up to there, and of what is in front of that one
	passing := 0                         // troubles in a row that are no damage, or none that was not told
	for link.next <= last {
		before := link.next
		if b.upTo(ctx, last) || b.full {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if link.next > before {
			passing = 0
		}
		d, stop := b.damage, link.next
		switch {
		case d == nil || d.First <= told || d.First > d.Last && d.First <= behind:
			d = nil
			if passing++; passing > mostPassing {
				stop = last // they are files of another make
			}
		case d.Last < link.next:
			stop = 0
		default:
			stop = d.Last
		}
		var err error
		if stop > 0 {
			err = j.pullAll(ctx, &link, &known, stop, func(c Commit, err error) bool {
				b.full = !yield(c, err)
				return !b.full
			})
		}
		if d != nil {
			// A commit that is sound by itself, and that the server has no better, is no fault of a file.
			if err == nil || b.fault == nil {
				damaged(*d)
			}
			told, behind = max(told, d.Last), d.First
		}
		if err != nil || b.full {
			return err
		}
	}
	return nil
}

// mostPassing is how many commits in a row are asked of the server one by one because a file could not be read at
// that moment, before all others are.
const mostPassing = 16

// blockReading is a reading from the blocks.
type blockReading struct {
	j      *Journal
	link   *link
	known  *bool
	blocks Blocks
	yield  func(Commit, error) bool
	full   bool // yield wants no more

	// What the last call of upTo met.
	fault  error       // of a message that is no commit of this chain
	damage *FileDamage // nil: none
}

// upTo yields the commits up to last, and reports whether it did.
func (b *blockReading) upTo(ctx context.Context, last uint64) bool {
	b.fault, b.damage = nil, nil
	if b.link.next > last {
		return true
	}
	first := b.link.next
	if !*b.known {
		first--
	}
	sure := b.j.Head().Sequence // before anything is read: so much is in the files
	err := b.blocks.Read(ctx, first, last, b.take)
	var lost interface {
		Damaged() (file string, first, last uint64, problem string)
	}
	switch {
	case b.fault != nil:
		at := cmp.Or(SequenceOf(b.fault), b.link.next)
		b.damage = &FileDamage{b.blocks.File(), at, at, b.fault.Error()}
	case errors.As(err, &lost):
		b.damage = new(FileDamage)
		b.damage.File, b.damage.First, b.damage.Last, b.damage.Problem = lost.Damaged()
		b.damage.Last = min(b.damage.Last, sure)
	}
	if b.damage != nil && b.damage.First > sure {
		b.damage = nil
	}
	switch d := b.damage; {
	case d != nil:
		// The server may have in memory what its file has lost, and who asks it finds nothing.
		b.j.cfg.Logger.Error("a file of the journal is damaged: credits verify says how much", "file", d.File, "first", d.First, "last", d.Last, "reason", d.Problem)
	case err != nil && ctx.Err() == nil:
		b.j.cfg.Logger.Warn("the journal is read through the server: its files are not as they were expected", "reason", err)
	}
	return !b.full && b.link.next > last
}

// take yields one message; before all others one whose hash is to be known.
func (b *blockReading) take(sequence uint64, stored time.Time, header, body []byte) bool {
	lines, err := nats.DecodeHeadersMsg(header)
	if err != nil {
		b.fault = &At{sequence, err}
		return false
	}
	if !*b.known {
		before, err := parseCommit(b.link.journal, sequence, lines, body, stored)
		if err != nil {
			b.fault = &At{sequence, err}
			return false
		}
		*b.known, b.link.prev = true, before.Hash
		return true
	}
	c, err := b.link.join(delivery{&nats.Msg{Header: lines, Data: body}, sequence, stored})
	if err != nil {
		b.fault = err
		return false
	}
	b.full = !b.yield(c, nil)
	return !b.full
}

// awaitHead waits until the journal's head has moved on from a sequence, and returns where it is then; false when ctx ends,
// or when nobody appends here (any more), so that it would not move.
func (j *Journal) awaitHead(ctx context.Context, from uint64) (head uint64, moved bool) {
	for {
		j.mu.Lock()
		if head := j.head.Sequence; head > from {
			j.mu.Unlock()
			return head, true
		}
		if j.dead != nil || j.writer == nil {
			j.mu.Unlock()
			return from, false
		}
		if j.moved == nil {
			j.moved = make(chan struct{})
		}
		moved := j.moved
		j.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return from, false
		}
	}
}

// tellLocked tells those that wait for the head. It is called with j.mu held.
func (j *Journal) tellLocked() {
	if j.moved != nil {
		close(j.moved)
		j.moved = nil
	}
}
