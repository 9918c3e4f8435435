package accounts

import (
	"context"
	"fmt"
	"time"

	"creditstream/events/credit"
)

// reading reads original entries back from the journal, for repeated requests. Those that are repeated
// together were mostly recorded together, so it keeps the commit that it read last.
type reading struct {
	shard    *Shard
	sequence uint64
	entries  []credit.Entry
}

// resolve completes the answer to a repeated request.
func (r *reading) resolve(ctx context.Context, a *Answer) {
	if a.replay == nil {
		return
	}
	entry, err := r.entry(ctx, a.replay.sequence, a.replay.offset)
	if err != nil {
		*a = Answer{Err: fmt.Errorf("%w: read the original answer: %w", ErrUnavailable, err)}
		return
	}
	a.Facts, a.replay = entry.Facts, nil
}

func (r *reading) entry(ctx context.Context, sequence uint64, offset uint32) (credit.Entry, error) {
	if r.sequence != sequence || r.entries == nil {
		commit, err := r.shard.journal.Get(ctx, sequence)
		if err != nil {
			return credit.Entry{}, err
		}
		if r.entries, err = credit.DecodeCommit(commit.Body); err != nil {
			return credit.Entry{}, fmt.Errorf("commit %d: %w", sequence, err)
		}
		r.sequence = sequence
	}
	if offset >= uint32(len(r.entries)) {
		return credit.Entry{}, fmt.Errorf("commit %d has no entry at %d", sequence, offset)
	}
	return r.entries[offset], nil
}

// Entry reads the offset-th entry of a commit.
func (s *Shard) Entry(ctx context.Context, sequence uint64, offset uint32) (credit.Entry, error) {
	read := reading{shard: s}
	return read.entry(ctx, sequence, offset)
}

// Used finds what a use was charged, by its key: for a reversal. ok is false when no use has the key.
func (s *Shard) Used(ctx context.Context, account, key string) (used *credit.UsageRecorded, at time.Time, ok bool, err error) {
	k, ok, err := s.View().Lookup(account, key)
	if err != nil || !ok {
		return nil, time.Time{}, false, err
	}
	entry, err := s.Entry(ctx, k.Sequence, k.Offset)
	if err != nil {
		return nil, time.Time{}, false, err
	}
	for i := range entry.Facts {
		switch e := entry.Facts[i].Event.(type) {
		case *credit.UsageRecorded:
			return e, entry.Facts[i].At, true, nil
		case *credit.HoldCaptured:
			return &credit.UsageRecorded{Meter: e.Meter, Quantity: e.Quantity, Cost: e.Cost, Draws: append(append([]credit.Draw(nil), e.Draws...), e.Excess...), Debt: e.Debt, Unpaid: e.Unpaid, Carry: e.Carry, Remaining: e.Remaining, Catalog: e.Catalog}, entry.Facts[i].At, true, nil
		}
	}
	return nil, time.Time{}, false, nil
}
