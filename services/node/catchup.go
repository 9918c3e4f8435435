package node

import (
	"context"
	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections"
	accountsview "creditstream/projections/accounts"
)

func catchUp(ctx context.Context, view *accountsview.View, j *journal.Journal) error {
	at, err := view.Checkpoint()
	if err != nil {
		return err
	}
	work := accountsview.Fold{}.Begin(view.View)
	batch := view.NewBatch()
	defer batch.Close()
	for commit, err := range j.Read(ctx, at.Sequence+1) {
		if err != nil {
			return err
		}
		entries, err := credit.DecodeCommit(commit.Body)
		if err != nil {
			return err
		}
		for i := range entries {
			if err := work.Apply(batch, projections.Position{Sequence: commit.Sequence, Offset: uint32(i)}, &entries[i]); err != nil {
				return err
			}
		}
		if err := work.Flush(batch); err != nil {
			return err
		}
		if err := batch.Commit(commit.Head); err != nil {
			return err
		}
	}
	return nil
}
