package projections

import (
	"encoding/binary"
	"errors"

	"creditstream/events/credit"
)

// OwnDecoder returns how verification reads commits; with library, encoding/json alone does.
func OwnDecoder(library bool) func(body []byte) ([]credit.Entry, error) {
	o := newOwnDecoder()
	o.library = library
	return o.decode
}

// UsedKeys tells of each key whether it was used before.
func UsedKeys(s *Store) (use func(key []byte) (bool, error), done func() error) {
	k := newUsedKeys(s.db)
	return k.use, k.close
}

// SmallTables lets views that are built from their start be written in tables that a test can fill.
func (s *Store) SmallTables() *Store {
	s.tables = tableSizes{pile: 8 << 10, least: 2 << 10}
	return s
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
