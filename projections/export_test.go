package projections

import (
	"encoding/binary"
	"errors"
	"iter"
	"time"

	"creditstream/events/credit"
)

// OwnDecoder returns how verification reads commits; with library, encoding/json alone does.
func OwnDecoder(library bool) func(body []byte) ([]credit.Entry, error) {
	o := newOwnDecoder()
	o.library = library
	return o.decode
}

// RepeatedKeys notes keys with limits that a test can reach, each at the place that it comes at, and says which
// were there before.
func RepeatedKeys(dir string, most int, keys iter.Seq2[Position, string]) (count uint64, first []Position, err error) {
	k := newUsedKeys(dir)
	k.limits = keyLimits{waiting: 64 << 10, sorted: 4 << 10}
	for at, key := range keys {
		if err := k.use(at, "account", key); err != nil {
			return 0, nil, err
		}
	}
	count, first, err = k.repeated(most)
	return count, first, errors.Join(err, k.close())
}

// SmallTables lets views that are built from their start be written in tables that a test can fill.
func (s *Store) SmallTables() *Store {
	s.tables = tableSizes{pile: 8 << 10, least: 2 << 10, fresh: 8, rest: 64}
	return s
}

// UsualTables takes SmallTables back.
func (s *Store) UsualTables() {
	s.tables = usualTables
}

// SmallShelves lets the records of late commits be written when they are so many bytes.
func (s *Store) SmallShelves(size int) *Store {
	s.shelves.size = size
	return s
}

// Shelves is how many views have records in memory, or memory for some, and how many bytes that is in all.
func (s *Store) Shelves() (views, size int) {
	for _, v := range s.views {
		some := false
		v.shelf.mu.Lock()
		for _, on := range []*shelved{v.shelf.late, v.shelf.leaving, v.shelf.spare} {
			if on != nil {
				some = true
				size += on.capacity()
			}
		}
		v.shelf.mu.Unlock()
		if some {
			views++
		}
	}
	return views, size
}

// Shelved reports whether the view has a shelf.
func (v *View) Shelved() bool {
	v.shelf.mu.Lock()
	defer v.shelf.mu.Unlock()
	return v.shelf.late != nil
}

// OnShelf is how many records are in memory only.
func (v *View) OnShelf() (records int) {
	v.shelf.mu.Lock()
	defer v.shelf.mu.Unlock()
	for _, on := range []*shelved{v.shelf.late, v.shelf.leaving} {
		if on != nil {
			records += len(on.records)
		}
	}
	return records
}

// LoseShelf is what comes of a shelf that could not be written, and returns how many records are lost.
func (v *View) LoseShelf(err error) (records int) {
	records = v.OnShelf()
	v.shelf.turn.Lock()
	defer v.shelf.turn.Unlock()
	v.shelf.mu.Lock()
	defer v.shelf.mu.Unlock()
	v.shelf.lose(err)
	return records
}

// RetryAfter is for a runner without journals: how long a view is left alone that has to wait.
func (r *Runner) RetryAfter(d time.Duration) {
	for _, k := range r.kinds {
		k.retry = d
	}
}

// Tables is how many tables the store took in.
func (s *Store) Tables() int64 { return int64(s.db.Metrics().Ingest.Count) }

// Parts is how many parts of about one size a view that was built in tables is compared in.
func (v *View) Parts() int { return len(v.borders) + 1 }

// Left is what is in the store and nobody's: generations that are not live, and files that were not taken in.
func (s *Store) Left() (generations, files int, err error) {
	live := map[uint32]bool{0: true}
	for _, v := range s.views {
		live[v.Standing().Generation] = true
	}
	iter, err := s.db.NewIter(nil)
	if err != nil {
		return 0, 0, err
	}
	for valid := iter.First(); valid; {
		generation := binary.BigEndian.Uint32(iter.Key())
		if !live[generation] {
			generations++
		}
		valid = iter.SeekGE(binary.BigEndian.AppendUint32(nil, generation+1))
	}
	names, _ := s.fs.List(draftsOf(s.fs, s.dir)) // there may be no such directory
	return generations, len(names), errors.Join(iter.Error(), iter.Close())
}
