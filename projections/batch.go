package projections

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Batch collects records of one view's live generation. It is for one goroutine, and can be used again
// after Commit or Reset.
type Batch struct {
	view   *View
	batch  *pebble.Batch
	prefix []byte // of the generation that the batch is for
	key    []byte
	pile   *pile   // what is put in instead of batch, of one that goes to tables or to the shelf; nil of others
	tables *tables // where it goes, of a view that is built; nil of others
	small  int     // how many commits in a row took little of the memory of the last large one
}

// NewBatch returns an empty batch, which goes to the store. Close it.
func (v *View) NewBatch() *Batch {
	return &Batch{view: v, batch: v.store.db.NewBatch(pebble.WithMaxRetainedSizeBytes(4 << 20))}
}

// NewCommitBatch returns an empty batch for the commits of a journal one by one, as they are made: what it commits
// is kept in memory until there is enough of it for a table. Close it.
func (v *View) NewCommitBatch() *Batch {
	return &Batch{view: v, batch: v.store.db.NewBatch(), pile: new(pile)}
}

// Reset empties the batch.
func (b *Batch) Reset() {
	b.batch.Reset()
	if b.pile != nil {
		b.pile.empty()
	}
}

// Key returns the prefix, to append the rest of a key to; it is valid until the next call.
func (b *Batch) Key() []byte {
	b.bind()
	b.key = append(b.key[:0], b.prefix...)
	return b.key
}

// bind makes an empty batch one for what is the live generation now: the view may have been switched since
// the batch was used last.
func (b *Batch) bind() {
	if b.batch.Empty() {
		b.prefix = b.view.live.Load().prefix
	}
}

// build lets the batch go to tables; with nil, to the store again.
func (b *Batch) build(t *tables) {
	b.tables, b.pile = t, nil
	if t != nil {
		b.pile = t.filling
	}
	b.bind()
}

// Put sets a record; key is Key with the rest appended.
func (b *Batch) Put(key, value []byte) error {
	_, err := b.PutKept(key, value)
	return err
}

// PutKept is Put, and returns what the batch keeps as the value: it does not change until Commit or Reset.
func (b *Batch) PutKept(key, value []byte) ([]byte, error) {
	b.key = key
	if b.pile != nil {
		return b.pile.put(key[len(b.prefix):], value, false), nil
	}
	op := b.batch.SetDeferred(len(key), len(value))
	copy(op.Key, key)
	copy(op.Value, value)
	return op.Value, op.Finish()
}

// Drop deletes a record; key is Key with the rest appended.
func (b *Batch) Drop(key []byte) error {
	b.key = key
	if b.pile != nil {
		b.pile.put(key[len(b.prefix):], nil, true)
		return nil
	}
	return b.batch.Delete(key, nil)
}

// Len is the size of the batch in bytes.
func (b *Batch) Len() int {
	if b.pile != nil {
		return b.pile.size
	}
	return b.batch.Len()
}

// Commit writes the batch and the checkpoint that it leads to, all or nothing and without fsync, and
// empties it.
func (b *Batch) Commit(head Head) error {
	b.bind()
	switch {
	case b.tables != nil:
		err := b.tables.commit(head)
		b.pile = b.tables.filling
		return err
	case b.pile != nil:
		b.pile.head = head
		err := b.view.shelf.take(b.pile)
		b.shrink()
		b.Reset()
		return err
	}
	err := b.view.shelf.clear() // it would hide what is written now
	if err == nil {
		err = b.batch.Set(b.prefix, checkpointRecord(head), nil)
	}
	if err == nil {
		err = b.batch.Commit(pebble.NoSync)
	}
	b.Reset()
	if err != nil {
		return fmt.Errorf("view %s of %s: write up to commit %d: %w", b.view.store.name, b.view.name, head.Sequence, err)
	}
	return nil
}

// A batch for commits one by one keeps usualPile bytes of memory, and more for as long as one commit in so many takes a
// quarter of that.
const (
	usualPile   = 96 << 10
	smallInARow = 64
)

// shrink gives memory back that was for large commits.
func (b *Batch) shrink() {
	if has := b.pile.capacity(); has <= usualPile || b.pile.size > has/4 {
		b.small = 0
	} else if b.small++; b.small == smallInARow {
		b.pile, b.small = new(pile), 0
	}
}

// Close releases the batch.
func (b *Batch) Close() error {
	if b.tables != nil {
		return errors.Join(b.tables.close(), b.batch.Close())
	}
	return b.batch.Close()
}
