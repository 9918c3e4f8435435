package projections

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// sorter sorts the records of one pile at a time. Its memory is used again.
type sorter struct {
	ranks []ranked
	spare []ranked // as many
}

// ranked is a record with the first bytes of its key in which those of its tag differ: most comparisons need no more.
type ranked struct {
	high, low uint64
	n         uint32 // in records
}

// group is records of one tag.
type group struct {
	tag     byte
	records []ranked // in the order in which they were put, until they are sorted
	spare   []ranked // as many, to sort with
	same    int      // how many bytes the keys of the tag have in common at their beginning
	size    int
}

// byTag tells the records of a pile apart by their tags. What it returns is good until the next call. It looks at each
// record looksToSort times, and rests meanwhile.
func (s *sorter) byTag(p *pile, rest rests) []group {
	counts, sizes := [math.MaxUint8 + 1]int{}, [math.MaxUint8 + 1]int{}
	for i := range p.records {
		rest.at(i)
		tag := p.chunks[p.records[i].chunk][p.records[i].at]
		counts[tag]++
		sizes[tag] += int(p.records[i].key + p.records[i].value)
	}
	s.ranks = slices.Grow(s.ranks[:0], len(p.records))[:len(p.records)]
	s.spare = slices.Grow(s.spare[:0], len(p.records))[:len(p.records)]
	var groups []group
	places, at := [math.MaxUint8 + 1]int{}, 0
	for tag, count := range counts {
		if places[tag] = at; count > 0 {
			groups = append(groups, group{tag: byte(tag), records: s.ranks[at : at+count], spare: s.spare[at : at+count], size: sizes[tag]})
			at += count
		}
	}
	for i := range p.records {
		rest.at(i)
		tag := p.chunks[p.records[i].chunk][p.records[i].at]
		s.ranks[places[tag]].n = uint32(i)
		places[tag]++
	}
	for i := range groups {
		groups[i].rank(p, rest)
	}
	return groups
}

// looksToSort is how often byTag looks at a record.
const looksToSort = 4

// rests is what is called after every so many records, a power of two.
type rests struct {
	every int
	pause func(looks int)
}

func (r rests) at(i int) {
	if i&(r.every-1) == r.every-1 {
		r.pause(r.every)
	}
}

func (g *group) rank(p *pile, rest rests) {
	first := p.key(g.records[0].n)
	g.same = len(first)
	for i := range g.records {
		rest.at(i)
		g.same = common(first[:g.same], p.key(g.records[i].n))
	}
	for i := range g.records {
		rest.at(i)
		r := &g.records[i]
		r.high, r.low = rank(p.key(r.n)[g.same:])
	}
}

// halves parts the group into one with the lesser keys and one with the greater: two of about one size, to be sorted
// at the same time. One of them is empty where all keys rank alike.
func (g *group) halves() (lesser, greater group) { return g.partAt(1, 2) }

// partAt is halves, with about part of all parts in the lesser one.
func (g *group) partAt(part, parts int) (lesser, greater group) {
	sample := make([]ranked, 0, 63)
	for i := range cap(sample) {
		sample = append(sample, g.records[i*len(g.records)/cap(sample)])
	}
	slices.SortFunc(sample, ranked.compare)
	middle := sample[len(sample)*part/parts]
	return g.part(func(r *ranked) bool { return r.compare(middle) < 0 })
}

// partBehind is halves, with what comes behind a key in the greater one.
func (g *group) partBehind(p *pile, key []byte) (lesser, greater group) {
	same := min(g.same, len(key))
	switch bytes.Compare(key[:same], p.key(g.records[0].n)[:same]) {
	case -1:
		return g.part(func(*ranked) bool { return false })
	case 1:
		return g.part(func(*ranked) bool { return true })
	}
	var last ranked
	last.high, last.low = rank(key[same:])
	return g.part(func(r *ranked) bool {
		c := r.compare(last)
		return c < 0 || c == 0 && bytes.Compare(p.key(r.n), key) <= 0
	})
}

// part parts the group, each part in the order in which its records were put.
func (g *group) part(isLess func(*ranked) bool) (lesser, greater group) {
	less := 0
	for i := range g.records {
		if isLess(&g.records[i]) {
			less++
		}
	}
	at, from := 0, less
	for i := range g.records {
		to := &from
		if isLess(&g.records[i]) {
			to = &at
		}
		g.spare[*to] = g.records[i]
		*to++
	}
	lesser, greater = *g, *g
	lesser.records, lesser.spare = g.spare[:less], g.records[:less]
	greater.records, greater.spare = g.spare[less:], g.records[less:]
	lesser.size = int(int64(g.size) * int64(less) / int64(len(g.records)))
	greater.size = g.size - lesser.size
	return lesser, greater
}

func (r ranked) compare(other ranked) int {
	if r.high != other.high {
		return cmp.Compare(r.high, other.high)
	}
	return cmp.Compare(r.low, other.low)
}

// few is how many records are sorted by comparing them.
const few = 256

// sort puts the records in the order of their keys, and of those with one key keeps the last.
func (g *group) sort(p *pile) {
	byKey := func(a, b ranked) int {
		if c := a.compare(b); c != 0 {
			return c
		}
		return cmp.Or(bytes.Compare(p.key(a.n)[g.same:], p.key(b.n)[g.same:]), cmp.Compare(a.n, b.n))
	}
	if len(g.records) <= few {
		slices.SortFunc(g.records, byKey)
	} else {
		g.byRank()
		for from, to := 0, 0; from < len(g.records); from = to { // those that rank alike
			for to = from + 1; to < len(g.records) && g.records[from].compare(g.records[to]) == 0; to++ {
			}
			if to-from > 1 {
				slices.SortFunc(g.records[from:to], byKey)
			}
		}
	}
	kept := g.records[:0]
	for i := range g.records {
		if i+1 < len(g.records) && g.records[i].compare(g.records[i+1]) == 0 && bytes.Equal(p.key(g.records[i].n), p.key(g.records[i+1].n)) {
			continue
		}
		kept = append(kept, g.records[i])
	}
	g.records = kept
}

// byRank sorts by rank, byte by byte from the last, in as many passes as there are bytes that are not the same in all.
func (g *group) byRank() {
	var counts [16][math.MaxUint8 + 1]uint32
	for i := range g.records {
		high, low := g.records[i].high, g.records[i].low
		for b := range 8 {
			counts[b][byte(low>>(8*b))]++
			counts[8+b][byte(high>>(8*b))]++
		}
	}
	for b := range counts {
		count := &counts[b]
		if count[g.records[0].byteAt(b)] == uint32(len(g.records)) {
			continue
		}
		at := uint32(0)
		for i, n := range count {
			count[i], at = at, at+n
		}
		for i := range g.records {
			place := &count[g.records[i].byteAt(b)]
			g.spare[*place] = g.records[i]
			*place++
		}
		g.records, g.spare = g.spare, g.records
	}
}

// byteAt is a byte of the rank, the last one first.
func (r *ranked) byteAt(b int) byte {
	if b < 8 {
		return byte(r.low >> (8 * b))
	}
	return byte(r.high >> (8 * (b - 8)))
}

// common is how many bytes two keys have in common at their beginning.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// rank is the first sixteen bytes of a key as numbers.
func rank(key []byte) (high, low uint64) {
	if len(key) >= 16 {
		return binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])
	}
	var first [16]byte
	copy(first[:], key)
	return binary.BigEndian.Uint64(first[:]), binary.BigEndian.Uint64(first[8:])
}
