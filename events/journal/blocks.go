package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// readBlocks yields commits from the blocks of the stream, with the same checks as any, as long as they are there and
// one follows the other: from link.next to last, or, when last is 0, what was acknowledged and what will be, as long as they
// are appended here. It reports whether all that was wanted was yielded. The rest is to be asked of the server, which
// also knows what is wrong with a commit that could not be read here. known says whether link.prev is.
//
// For the server it makes a difference: a block that is read from while it is written stays in its memory for ten seconds.
func (j *Journal) readBlocks(ctx context.Context, link *link, known *bool, last uint64, yield func(Commit, error) bool) bool {
	b := blockReading{j: j, link: link, known: known, read: j.cfg.Blocks(), yield: yield}
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

// blockReading is a reading from the blocks.
type blockReading struct {
	j     *Journal
	link  *link
	known *bool
	read  func(ctx context.Context, from, to uint64, yield func(sequence uint64, stored time.Time, header, body []byte) bool) error
	yield func(Commit, error) bool
	full  bool // yield wants no more
	fault error
}

// upTo yields the commits up to last, and reports whether it did.
func (b *blockReading) upTo(ctx context.Context, last uint64) bool {
	if b.link.next > last {
		return true
	}
	first := b.link.next
	if !*b.known {
		first--
	}
	if err := b.read(ctx, first, last, b.take); err != nil && ctx.Err() == nil {
		b.j.cfg.Logger.Warn("the journal is read through the server: its files are not as they were expected", "reason", err)
	}
	if b.fault != nil {
		// The server may have in memory what its file has lost, and a verification that asks it finds nothing.
		b.j.cfg.Logger.Error("a file of the journal is damaged; credits verify with the server stopped says how much", "journal", b.j.cfg.Name.String(), "reason", b.fault)
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
