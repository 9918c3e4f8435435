package projections

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Whoever goes over a few records that are on the shelf, those of an account as a rule, goes over what the store has with
// them laid over it: the shelf stays as it is. For that its records are put in order as far as somebody asks. Where many came
// since somebody asked, they are looked through instead: that takes a millisecond, and to put them in order a tenth of a
// second, while nobody could write.

// order is the records of a shelved by their keys, tag by tag, as far as somebody asked.
type order struct {
	mu   sync.Mutex
	seen int // how many records are in one of the lists
	tags map[byte]*ordered
}

// ordered is the records of one tag.
type ordered struct {
	fresh  []uint32 // in the order in which they were put
	sorted []uint32 // those before them, by key, of each key the last
	spare  []uint32
	looks  int // how often fresh was looked through
}

// manyLooks at the records of a tag cost about what it costs to put them in order.
const manyLooks = 64

// mostOverlaid is how many bytes of records of the shelf are laid over the store's: for more it is cleared.
const mostOverlaid = 256 << 10

// overlaid goes over records from and to with those on the shelf over those in the store, all as of one moment. fits is
// false when they are too many for that.
func (v *View) overlaid(from, to []byte) (it *Iter, fits bool, err error) {
	s := v.shelf
	s.mu.RLock() // what is leaving may come to the store meanwhile, but nothing else
	defer s.mu.RUnlock()
	if s.err != nil {
		return nil, false, s.err
	}
	g := v.live.Load()
	over := v.store.db.NewIndexedBatch()
	var key []byte
	room := mostOverlaid
	for _, on := range [...]*shelved{s.leaving, s.late} {
		on.between(from, to, s.store.tables.fresh, func(n uint32) bool {
			key = append(append(key[:0], g.prefix...), on.key(n)...)
			if on.records[n].dropped {
				err = over.Delete(key, nil)
			} else {
				err = over.Set(key, on.value(n), nil)
			}
			room -= len(key) + len(on.value(n))
			return err == nil && room >= 0
		})
	}
	if err == nil && room >= 0 {
		it, err = v.iterOf(g, over, from, to)
	}
	if it == nil || v.live.Load() != g {
		if it != nil {
			err = it.Close()
		}
		return nil, false, errors.Join(err, over.Close())
	}
	it.over = over
	return it, true, nil
}

// between yields the records with keys in [from, to), a later one of the same key behind the former, until yield says that it
// is enough. Of each tag more than so many fresh ones are not put in order. Nobody may put records meanwhile.
func (s *shelved) between(from, to []byte, fresh int, yield func(n uint32) bool) {
	if s == nil || !s.within(from, to) {
		return
	}
	o := &s.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tags == nil {
		o.tags = make(map[byte]*ordered)
	}
	for ; o.seen < len(s.records); o.seen++ {
		tag := s.key(uint32(o.seen))[0]
		if o.tags[tag] == nil {
			o.tags[tag] = new(ordered)
		}
		o.tags[tag].fresh = append(o.tags[tag].fresh, uint32(o.seen))
	}
	for tag, last := tagsBetween(from, to); tag <= last; tag++ {
		t := o.tags[byte(tag)]
		if t == nil {
			continue
		}
		if t.looks++; len(t.fresh) <= fresh || t.looks > manyLooks {
			t.sort(s)
		}
		at, _ := slices.BinarySearchFunc(t.sorted, from, s.compare)
		for _, n := range t.sorted[at:] {
			if len(to) > 0 && s.compare(n, to) >= 0 {
				break
			}
			if !yield(n) {
				return
			}
		}
		for _, n := range t.fresh {
			if s.compare(n, from) >= 0 && (len(to) == 0 || s.compare(n, to) < 0) && !yield(n) {
				return
			}
		}
	}
}

func (s *shelved) compare(n uint32, key []byte) int { return bytes.Compare(s.key(n), key) }

// sort puts what is fresh in its place.
func (t *ordered) sort(s *shelved) {
	t.looks = 0
	if len(t.fresh) == 0 {
		return
	}
	slices.SortStableFunc(t.fresh, func(a, b uint32) int { return bytes.Compare(s.key(a), s.key(b)) })
	merged, rest := t.spare[:0], t.sorted
	for i, n := range t.fresh {
		if i+1 < len(t.fresh) && s.compare(t.fresh[i+1], s.key(n)) == 0 {
			continue // put again
		}
		at, former := slices.BinarySearchFunc(rest, s.key(n), s.compare)
		merged = append(append(merged, rest[:at]...), n)
		if rest = rest[at:]; former {
			rest = rest[1:]
		}
	}
	t.sorted, t.spare, t.fresh = append(merged, rest...), t.sorted, t.fresh[:0]
}

// empty forgets the order, and keeps the memory.
func (o *order) empty() {
	o.seen = 0
	for _, t := range o.tags {
		t.fresh, t.sorted = t.fresh[:0], t.sorted[:0]
	}
}

// capacity is how many bytes it takes.
func (o *order) capacity() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.tags {
		n += 4 * (cap(t.fresh) + cap(t.sorted) + cap(t.spare))
	}
	return n
}

// Last is the greatest key in [from, to) of which there is a record; false when there is none. to is not empty. It looks through all
// that is on the shelf: that takes a millisecond or two.
func (v *View) Last(from, to []byte) (key []byte, ok bool, err error) {
	if broken := v.broken.Load(); broken != nil {
		return nil, false, *broken
	}
	if err := v.built(); err != nil {
		return nil, false, err
	}
	s := v.shelf
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.err != nil {
		return nil, false, s.err
	}
	for _, on := range [...]*shelved{s.late, s.leaving} {
		if !on.within(from, to) {
			continue
		}
		for n := len(on.records) - 1; n >= 0; n-- { // the last ones are the greatest, mostly
			if k := on.key(uint32(n)); bytes.Compare(k, key) > 0 && bytes.Compare(k, from) >= 0 && bytes.Compare(k, to) < 0 && s.shows(k) {
				key, ok = k, true
			}
		}
	}
	key = bytes.Clone(key)
	it, err := v.iter(from, to)
	if err != nil {
		return nil, false, err
	}
	for it.Last(); it.Valid() && bytes.Compare(it.Key(), key) > 0; it.Prev() {
		if !s.hides(it.Key()) {
			key, ok = bytes.Clone(it.Key()), true
		}
	}
	if err := it.Close(); err != nil {
		return nil, false, fmt.Errorf("find the last record: %w", err)
	}
	return key, ok, nil
}

// shows reports whether the shelf has a record that is not dropped, hides whether it has one that is. They are called
// with mu held.
func (s *shelf) shows(key []byte) bool {
	known, dropped := s.knowsOf(key)
	return known && !dropped
}

func (s *shelf) hides(key []byte) bool {
	known, dropped := s.knowsOf(key)
	return known && dropped
}

func (s *shelf) knowsOf(key []byte) (known, dropped bool) {
	hash := s.hash(key)
	for _, on := range [...]*shelved{s.late, s.leaving} {
		if n, ok := on.find(hash, key); ok {
			return true, on.records[n].dropped
		}
	}
	return false, false
}
