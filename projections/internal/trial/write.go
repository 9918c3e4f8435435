package trial

import (
	"fmt"

	"creditstream/events/credit"
	"creditstream/projections"
)

// Write folds commits into a view, in batches of size commits. The journal that they are of is called "trial",
// and its first commit has sequence 1.
func Write(fold projections.Fold, view *projections.View, commits [][]credit.Entry, size int) error {
	work, batch := fold.Begin(view), view.NewBatch()
	defer func() { _ = batch.Close() }()
	for i, entries := range commits {
		sequence := uint64(i + 1)
		for j := range entries {
			if err := work.Apply(batch, projections.Position{Sequence: sequence, Offset: uint32(j)}, &entries[j]); err != nil {
				return err
			}
		}
		if sequence%uint64(size) != 0 && i+1 < len(commits) {
			continue
		}
		if err := work.Flush(batch); err != nil {
			return err
		}
		if err := batch.Commit(projections.Head{Journal: "trial", Sequence: sequence}); err != nil {
			return err
		}
	}
	return nil
}

// Dump lists all records of a view, the checkpoint first.
func Dump(view *projections.View) ([]string, error) {
	iter, err := view.Iter(nil, nil)
	if err != nil {
		return nil, err
	}
	var records []string
	for iter.First(); iter.Valid(); iter.Next() {
		records = append(records, fmt.Sprintf("%q = %x", iter.Key(), iter.Value()))
	}
	return records, iter.Close()
}

// Journal makes n commits of about size entries.
func (s *Source) Journal(n, size int) [][]credit.Entry {
	commits := make([][]credit.Entry, n)
	for i := range commits {
		commits[i], _ = s.Commit(size)
	}
	return commits
}
