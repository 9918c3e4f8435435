package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// readBlocks yields commits from the blocks of the stream, with the same checks as any, as long as they are there and
// one follows the other: from link.next, or, when the hash before that is not known yet (known), from the commit before it,
// which has it. The rest is to be asked of the server, which also knows what is wrong with a commit that could not
// be read here.
//
// For the server it makes a difference: a block that is read from while it is written stays in its memory for ten seconds.
func (j *Journal) readBlocks(ctx context.Context, link *link, known *bool, last uint64, yield func(Commit, error) bool) (done bool) {
	first := link.next
	if !*known {
		first--
	}
	err := j.cfg.Blocks(ctx, first, last, func(sequence uint64, stored time.Time, header, body []byte) bool {
		lines, err := nats.DecodeHeadersMsg(header)
		if err != nil {
			return false
		}
		if !*known {
			before, err := parseCommit(link.journal, sequence, lines, body, stored)
			if *known = err == nil; *known {
				link.prev = before.Hash
			}
			return *known
		}
		c, err := link.join(delivery{&nats.Msg{Header: lines, Data: body}, sequence, stored})
		if err != nil {
			return false
		}
		done = !yield(c, nil)
		return !done
	})
	if err != nil && ctx.Err() == nil {
		j.cfg.Logger.Warn("the journal is read through the server: its files are not as they were expected", "reason", err)
	}
	return done || *known && link.next > last
}
