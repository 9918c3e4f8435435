package statement

import (
	"fmt"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// A snapshot is the account as it was after one of its facts. Whoever folds its past begins there and not at the
// first fact.
//
// One is written with every snapshotEvery-th fact, in the same batch, but only once the facts since the last one
// take as many bytes as that one does: all but the last together are no larger than the facts, however much the
// account holds. Which facts have one follows from the facts alone, so that a rebuilt view has the same.
const snapshotEvery = 2048

// maxFolded bounds the accounts that are kept folded from one snapshot to the next, in bytes of their snapshots;
// in memory they take four to seven times that. The others are folded again from their last snapshot when the next
// is due, which takes the time of so many facts.
const maxFolded = 2 << 20

// happening is a fact of the batch under way, and its record there.
type happening struct {
	of     *state
	n      uint64
	record []byte
}

// snapshot writes where the account stands after a fact, whose record that is, if one is due.
func (w *work) snapshot(b *projections.Batch, s *state, f *credit.Fact, record []byte) error {
	s.until -= min(s.until, uint64(len(record)))
	if s.folded != nil {
		s.folded.Evolve(f.Event, f.At)
	} else {
		w.recent = append(w.recent, happening{s, s.facts, record})
	}
	if s.facts%w.every != 0 || s.until > 0 {
		return nil
	}
	if s.folded == nil {
		if err := w.refold(s); err != nil {
			return err
		}
	}
	s.folded.DropChanges()
	w.value = s.folded.AppendSnapshot(w.value[:0])
	s.until = uint64(len(w.value))
	w.size += len(w.value) - s.size
	s.size = len(w.value)
	return b.Put(appendSnapshot(b.Key(), s.account, s.facts), w.value)
}

// refold folds the account up to its last fact: what is in the view, and then what is in the batch.
func (w *work) refold(s *state) error {
	past := w.view.open(s.account, s.stored)
	defer past.close()
	a, _, err := past.fold(part{first: s.stored}, time.Time{})
	if err != nil {
		return fmt.Errorf("snapshot of account %s: %w", s.account, err)
	}
	var r Record
	for i := range w.recent {
		h := &w.recent[i]
		if h.of != s {
			continue
		}
		if err := r.decodeFact(h.n, h.record); err != nil {
			return fmt.Errorf("snapshot of account %s: fact %d: %w", s.account, h.n, err)
		}
		event, err := r.Event(&w.decoder)
		if err != nil {
			return fmt.Errorf("snapshot of account %s: %w", s.account, err)
		}
		a.Evolve(event, r.Time)
	}
	s.folded = a
	w.folded = append(w.folded, s)
	return nil
}

// unfold lets go of accounts, those kept longest first, until the others are within the bound.
func (w *work) unfold() {
	drop := 0
	for ; w.size > maxFolded; drop++ {
		s := w.folded[drop]
		w.size -= s.size
		s.folded, s.size = nil, 0
	}
	clear(w.folded[:drop])
	w.folded = append(w.folded[:0], w.folded[drop:]...)
}
