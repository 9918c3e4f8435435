package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Read yields the commits from a sequence (1 is the first) to the journal's end
// as it is now, in order, and verifies all that it yields: that no sequence is
// missing, that each body has the hash its header names, and that each follows
// the one before it, from the commit before the first or the journal's start on.
// It ends with the first error; ErrDamaged names the sequence.
//
// The bodies are the caller's to keep.
func (j *Journal) Read(ctx context.Context, from uint64) iter.Seq2[Commit, error] {
	return j.readToEnd(ctx, from, pullBytes, nil)
}

// Trickle is Read on behalf of a client who may be slow: at most 2 MiB are kept
// ready for him, and not 16.
func (j *Journal) Trickle(ctx context.Context, from uint64) iter.Seq2[Commit, error] {
	return j.readToEnd(ctx, from, trickleBytes, nil)
}

// ReadInto is Read for who uses memory again: a commit that is read from a file is in what memory returned last for
// so many bytes, its body a part of that.
func (j *Journal) ReadInto(ctx context.Context, from uint64, memory func(size int) []byte) iter.Seq2[Commit, error] {
	return j.readToEnd(ctx, from, pullBytes, memory)
}

func (j *Journal) readToEnd(ctx context.Context, from uint64, bytes int, memory func(size int) []byte) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		last, err := j.last(ctx)
		if err == nil && from <= last {
			err = j.read(ctx, from, last, bytes, memory, yield)
		}
		if err != nil {
			yield(Commit{}, fmt.Errorf("read journal %s: %w", j.cfg.Name, err))
		}
	}
}

// Follow is Trickle that does not end: it waits for what is appended later, through
// restarts of the server, until ctx ends. It then yields ctx's error.
func (j *Journal) Follow(ctx context.Context, from uint64) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		if err := j.read(ctx, from, 0, trickleBytes, nil, yield); err != nil {
			yield(Commit{}, fmt.Errorf("follow journal %s: %w", j.cfg.Name, err))
		}
	}
}

// read yields commits until last, or without end when last is 0, in pulls of so
// many bytes. It returns nil when all were yielded or yield wants no more.
func (j *Journal) read(ctx context.Context, from, last uint64, bytes int, memory func(size int) []byte, yield func(Commit, error) bool) error {
	link := link{journal: j.id.journal, next: max(from, 1), prev: j.start, bytes: bytes}
	known := link.next == 1
	if j.cfg.Blocks != nil && j.readBlocks(ctx, &link, &known, last, memory, yield) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.pullAll(ctx, &link, &known, last, yield)
}

// pullAll is read through the server. known says whether link.prev is.
func (j *Journal) pullAll(ctx context.Context, link *link, known *bool, last uint64, yield func(Commit, error) bool) error {
	if !*known {
		var err error
		if link.prev, err = j.hashBefore(ctx, link.next); err != nil {
			return err
		}
		*known = true
	}
	for last == 0 || link.next <= last {
		done, err := j.pull(ctx, link, last, yield)
		if done || err != nil {
			return err
		}
	}
	return nil
}

// hashBefore is the hash that the commit at from, which is not the first, has to follow.
func (j *Journal) hashBefore(ctx context.Context, from uint64) (Hash, error) {
	before, err := j.get(ctx, from-1)
	if err != nil {
		return Hash{}, &At{from - 1, err}
	}
	return before.Hash, nil
}

// link is where the chain was verified up to.
type link struct {
	journal string
	next    uint64
	prev    Hash
	bytes   int // of one pull
	starved int // consumers in a row that delivered nothing
	lost    int // and such as were lost before they did
}

// errRepeated is for a commit that was delivered before.
var errRepeated = errors.New("commit was read before")

// join verifies that a message is the next commit of the chain.
func (l *link) join(m delivery) (Commit, error) {
	if m.sequence < l.next {
		return Commit{}, errRepeated
	}
	if m.sequence > l.next {
		return Commit{}, &At{l.next, fmt.Errorf("%w: it is missing or unreadable, the next one is %d", ErrDamaged, m.sequence)}
	}
	c, err := parseCommit(l.journal, m.sequence, m.msg.Header, m.msg.Data, m.stored)
	if err != nil {
		return Commit{}, &At{m.sequence, fmt.Errorf("%w: %w", ErrDamaged, err)}
	}
	if c.Prev != l.prev {
		return Commit{}, &At{m.sequence, fmt.Errorf("%w: it follows %s, but the one before it is %s", ErrDamaged, c.Prev, l.prev)}
	}
	l.next, l.prev = c.Sequence+1, c.Hash
	return c, nil
}
