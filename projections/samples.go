package projections

import (
	"bytes"
	"slices"
)

// samples are keys of the records of a view, one each so many bytes: where its records are, however large it is.
type samples struct {
	keys  [][]byte
	since int // bytes since the last
}

// take counts the n-th record of a pile, and keeps its key when there were enough bytes since the last.
func (s *samples) take(p *pile, n uint32, every int) {
	r := &p.records[n]
	if s.since += int(r.key + r.value); s.since >= every {
		s.since = 0
		s.keys = append(s.keys, bytes.Clone(p.key(n)))
	}
}

// mostParts is how many parts a view is cut into: some more than a machine has processors, so that all are busy to
// the end though no two parts are of one size.
const mostParts = 16

// cut returns the keys between which there is about as much each, in order. They are fewer where the view is small.
func (s *samples) cut() (borders [][]byte) {
	slices.SortFunc(s.keys, bytes.Compare)
	for n := 1; n < mostParts; n++ {
		key := s.keys[n*len(s.keys)/mostParts:]
		if len(key) > 0 && (len(borders) == 0 || !bytes.Equal(key[0], borders[len(borders)-1])) {
			borders = append(borders, key[0])
		}
	}
	s.keys = nil
	return borders
}
