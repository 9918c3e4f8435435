package projections

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// View is the view of one journal in one store: its live generation. It may be read concurrently, and
// written by one goroutine at a time.
type View struct {
	store *Store
	name  Name
	live  atomic.Pointer[generation]

	broken     atomic.Pointer[error]
	building   atomic.Pointer[tables] // while it is built from the start of its journal
	unreadable atomic.Pointer[unreadable]
	shelf      *shelf // of the records of its latest commits

	// borders cut the records of a view that was built in tables, and that only who built it uses, into parts of about
	// one size: keys without the prefix, in order.
	borders [][]byte
}

// built returns when what was committed while the view was built can be read.
func (v *View) built() error {
	if t := v.building.Load(); t != nil {
		return t.wait()
	}
	return nil
}

// settled returns when all that was committed can be read in the store.
func (v *View) settled() error {
	return errors.Join(v.built(), v.shelf.clear())
}

// Break ends all reading: a commit that was answered could not be written. The store has to be opened anew.
func (v *View) Break(reason error) {
	reason = fmt.Errorf("view %s of %s: a commit could not be applied: %w", v.store.name, v.name, reason)
	v.broken.Store(&reason)
}

// generation is one set of records of a view. It is not changed once made.
type generation struct {
	standing Standing
	prefix   []byte
}

func newGeneration(name Name, standing Standing) *generation {
	return &generation{standing: standing, prefix: appendPrefix(nil, standing.Generation, name)}
}

func appendPrefix(dst []byte, generation uint32, name Name) []byte {
	dst = binary.BigEndian.AppendUint32(dst, generation)
	dst = append(append(dst, name.Tenant...), 0)
	return binary.BigEndian.AppendUint16(dst, uint16(name.Shard))
}

// Name says which journal the view is a fold of.
func (v *View) Name() Name { return v.name }

// Standing is what the store notes about the view.
func (v *View) Standing() Standing { return v.live.Load().standing }

// Err is ErrDamaged, with the reason, when the view must not be served.
func (v *View) Err() error {
	if why := v.Standing().Damaged; why != "" {
		return fmt.Errorf("view %s of %s: %w: %s", v.store.name, v.name, ErrDamaged, why)
	}
	return nil
}

// note changes the standing of the live generation.
func (v *View) note(change func(*Standing)) error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	standing := v.Standing()
	change(&standing)
	if err := v.store.setStanding(v.name, standing); err != nil {
		return fmt.Errorf("view %s of %s: note its standing: %w", v.store.name, v.name, err)
	}
	v.live.Store(newGeneration(v.name, standing))
	return nil
}

// become makes another generation of the same journal the live one and deletes the former. It may have
// switched though the former could not be deleted.
func (v *View) become(draft *View) (switched bool, err error) {
	if err := v.settled(); err != nil {
		return false, err
	}
	former := v.live.Load()
	next := draft.live.Load()
	if err := v.note(func(s *Standing) { *s = next.standing }); err != nil {
		return false, err
	}
	if err := v.store.db.DeleteRange(former.prefix, after(former.prefix), pebble.NoSync); err != nil {
		return true, fmt.Errorf("view %s of %s: drop generation %d: %w", v.store.name, v.name, former.standing.Generation, err)
	}
	return true, nil
}

// discard deletes the records of a draft.
func (v *View) discard() error {
	prefix := v.live.Load().prefix
	return v.store.db.DeleteRange(prefix, after(prefix), pebble.NoSync)
}

// Reset throws the view's records away: what follows starts at the beginning of the journal.
func (v *View) Reset(version uint32) error {
	draft, err := v.store.draft(v.name, version)
	if err != nil {
		return fmt.Errorf("reset view %s of %s: %w", v.store.name, v.name, err)
	}
	_, err = v.become(draft)
	return err
}

// Size is about how many bytes the view has on disk.
func (v *View) Size() (uint64, error) {
	prefix := v.live.Load().prefix
	size, err := v.store.db.EstimateDiskUsage(prefix, after(prefix))
	return size, v.lost(prefix, err)
}

// Empty reports whether the view has nothing yet, not even a checkpoint.
func (v *View) Empty() bool {
	head, err := v.Checkpoint()
	return err == nil && head == (Head{})
}

// Get appends the value of one record to dst; false when there is none.
func (v *View) Get(dst, rest []byte) ([]byte, bool, error) {
	if broken := v.broken.Load(); broken != nil {
		return dst, false, *broken
	}
	if err := v.built(); err != nil {
		return dst, false, err
	}
	if value, known, there, err := v.shelf.get(dst, rest); known || err != nil {
		return value, there, err
	}
	key := v.store.keys.Get().(*[]byte)
	defer v.store.keys.Put(key)
	for {
		g := v.live.Load()
		*key = append(append((*key)[:0], g.prefix...), rest...)
		value, closer, err := v.store.db.Get(*key)
		if errors.Is(err, pebble.ErrNotFound) {
			if v.live.Load() != g {
				continue // it was switched and the records that we asked for are gone
			}
			return dst, false, nil
		}
		if err != nil {
			return dst, false, fmt.Errorf("view %s of %s: %w", v.store.name, v.name, v.lost(g.prefix, err))
		}
		dst = append(dst, value...)
		return dst, true, closer.Close()
	}
}

// Iter goes over the records whose keys, without the prefix, are in [from, to); an empty to means all from
// there. Close it.
func (v *View) Iter(from, to []byte) (*Iter, error) {
	if broken := v.broken.Load(); broken != nil {
		return nil, *broken
	}
	if err := v.built(); err != nil {
		return nil, err
	}
	if v.shelf.has(from, to) {
		if len(from) > 0 { // else the checkpoint is among them
			if it, fits, err := v.overlaid(from, to); fits || err != nil {
				return it, err
			}
		}
		if err := v.shelf.clear(); err != nil {
			return nil, err
		}
	}
	return v.iter(from, to)
}

// IterWith is Iter over records none of which changes but in a commit that puts the record of a key as well: it
// costs no more than that when that record was not put lately.
func (v *View) IterWith(rest, from, to []byte) (*Iter, error) {
	if broken := v.broken.Load(); broken == nil && v.building.Load() == nil {
		if known, err := v.shelf.knows(rest); err == nil && !known {
			return v.iter(from, to)
		}
	}
	return v.Iter(from, to)
}

// iter goes over what is in the store.
func (v *View) iter(from, to []byte) (*Iter, error) {
	for {
		g := v.live.Load()
		it, err := v.iterOf(g, v.store.db, from, to)
		if err != nil {
			return nil, err
		}
		if v.live.Load() == g {
			return it, nil
		}
		// A switch deletes what was live: what we hold may be half of it.
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
}

// iterOf goes over records of a generation.
func (v *View) iterOf(g *generation, reader pebble.Reader, from, to []byte) (*Iter, error) {
	it := &Iter{view: v, prefix: g.prefix}
	bounds := make([]byte, 0, 2*len(g.prefix)+len(from)+len(to))
	bounds = append(append(bounds, g.prefix...), from...)
	lower := bounds[:len(bounds):len(bounds)]
	upper := append(append(bounds, g.prefix...), to...)[len(lower):]
	if len(to) == 0 {
		upper = after(g.prefix)
	}
	var err error
	if it.Iterator, err = reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper}); err != nil {
		return nil, fmt.Errorf("view %s of %s: %w", v.store.name, v.name, v.lost(g.prefix, err))
	}
	return it, nil
}

// Iter is Pebble's iterator with keys as folds know them.
type Iter struct {
	*pebble.Iterator
	view   *View // whose records they are; nil for those that are made for a comparison
	prefix []byte
	seek   []byte
	over   *pebble.Batch // what is laid over the store's records; nil when nothing is
}

// Error is what ended the iteration early, if anything did.
func (it *Iter) Error() error { return it.view.lost(it.prefix, it.Iterator.Error()) }

// Close releases the iterator, and returns what Error does.
func (it *Iter) Close() error {
	err := it.view.lost(it.prefix, it.Iterator.Close())
	if it.over != nil {
		err = errors.Join(err, it.over.Close())
	}
	return err
}

// Key is the key without the view's prefix, valid until the iterator moves.
func (it *Iter) Key() []byte { return it.Iterator.Key()[len(it.prefix):] }

// SeekGE moves to the first record with a key at or after rest.
func (it *Iter) SeekGE(rest []byte) bool {
	it.seek = append(append(it.seek[:0], it.prefix...), rest...)
	return it.Iterator.SeekGE(it.seek)
}

// SeekLT moves to the last record with a key before rest.
func (it *Iter) SeekLT(rest []byte) bool {
	it.seek = append(append(it.seek[:0], it.prefix...), rest...)
	return it.Iterator.SeekLT(it.seek)
}

// Checkpoint is the place in the journal that the records stand for; Sequence 0, with no journal, when the
// view is empty.
func (v *View) Checkpoint() (Head, error) {
	if err := v.built(); err != nil {
		return Head{}, err
	}
	if head, ok := v.shelf.head(); ok {
		return head, nil
	}
	for {
		g := v.live.Load()
		head, err := checkpointOf(v.store.db, g.prefix)
		if err != nil {
			return Head{}, fmt.Errorf("view %s of %s: %w", v.store.name, v.name, v.lost(g.prefix, err))
		}
		if v.live.Load() == g {
			return head, nil
		}
	}
}

func checkpointOf(reader pebble.Reader, prefix []byte) (head Head, err error) {
	value, closer, err := reader.Get(prefix)
	if errors.Is(err, pebble.ErrNotFound) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	if len(value) < 8+len(head.Hash) {
		return Head{}, fmt.Errorf("checkpoint: %w", ErrDamaged)
	}
	head.Sequence = binary.BigEndian.Uint64(value)
	head.Journal = string(value[8+copy(head.Hash[:], value[8:]):])
	return head, nil
}

func checkpointRecord(head Head) []byte {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(head.Hash)+len(head.Journal)), head.Sequence)
	return append(append(value, head.Hash[:]...), head.Journal...)
}

// AppendText writes s and its end, so that the order of keys is that of the texts and no text can run into
// what follows: 0x00 ends it, and one inside is written as 0x00 0xff. The next byte must not be 0xff.
func AppendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == 0 {
			return append(append(dst, bytes.ReplaceAll([]byte(s), []byte{0}, []byte{0, 0xff})...), 0)
		}
	}
	return append(append(dst, s...), 0)
}

// CutText reads what AppendText wrote.
func CutText(b []byte) (s string, rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			continue
		}
		if i+1 < len(b) && b[i+1] == 0xff {
			i++
			continue
		}
		text := b[:i]
		if bytes.IndexByte(text, 0) >= 0 {
			text = bytes.ReplaceAll(text, []byte{0, 0xff}, []byte{0})
		}
		return string(text), b[i+1:], true
	}
	return "", nil, false
}

// after is the first key behind all that start with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
