package projections

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"slices"
)

// pile is records in the order in which they were put, to be taken by key. It is used again after it was emptied.
type pile struct {
	chunks  [][]byte // keys and values, one after the other
	records []piled
	ranks   []ranked
	size    int // in bytes, with what is kept beside keys and values
	head    Head
}

// piled is where a record is.
type piled struct {
	chunk, at  uint32
	key, value uint32 // lengths
	dropped    bool
}

// ranked is a record with the first bytes of its key in which those of its tag differ: most comparisons need no more.
type ranked struct {
	high, low uint64
	n         uint32 // in records
}

const (
	leastChunk = 32 << 10 // of the first; the next are twice as large each, up to chunkSize
	chunkSize  = 1 << 20
	// perRecord is what a record takes beside its key and value.
	perRecord = 44
)

// put keeps a copy of a record, and returns that of the value, which stays as it is until the pile is emptied.
func (p *pile) put(key, value []byte, dropped bool) []byte {
	n := len(key) + len(value)
	last := len(p.chunks) - 1
	if last < 0 || cap(p.chunks[last])-len(p.chunks[last]) < n {
		if last++; last < cap(p.chunks) && cap(p.chunks[:last+1][last]) >= n {
			p.chunks = p.chunks[:last+1] // one of before
		} else {
			p.chunks = append(p.chunks, make([]byte, 0, max(min(leastChunk<<min(last, 5), chunkSize), n)))
		}
	}
	chunk := p.chunks[last]
	at := len(chunk)
	chunk = append(append(chunk, key...), value...)
	p.chunks[last] = chunk
	p.records = append(p.records, piled{uint32(last), uint32(at), uint32(len(key)), uint32(len(value)), dropped})
	p.size += n + perRecord
	return chunk[at+len(key) : at+n : at+n]
}

func (p *pile) empty() {
	for i := range p.chunks {
		p.chunks[i] = p.chunks[i][:0]
	}
	p.chunks, p.records, p.size, p.head = p.chunks[:0], p.records[:0], 0, Head{}
}

func (p *pile) key(n uint32) []byte {
	r := &p.records[n]
	return p.chunks[r.chunk][r.at : r.at+r.key]
}

func (p *pile) value(n uint32) []byte {
	r := &p.records[n]
	return p.chunks[r.chunk][r.at+r.key : r.at+r.key+r.value]
}

// group is the records of one tag.
type group struct {
	tag     byte
	records []ranked // by key
	size    int
}

// byTag sorts the records, and of those with one key keeps the last.
func (p *pile) byTag() []group {
	counts, sizes := [math.MaxUint8 + 1]int{}, [math.MaxUint8 + 1]int{}
	for i := range p.records {
		tag := p.chunks[p.records[i].chunk][p.records[i].at]
		counts[tag]++
		sizes[tag] += int(p.records[i].key + p.records[i].value)
	}
	p.ranks = slices.Grow(p.ranks[:0], len(p.records))[:len(p.records)]
	var groups []group
	places, at := [math.MaxUint8 + 1]int{}, 0
	for tag, count := range counts {
		if places[tag] = at; count > 0 {
			groups = append(groups, group{byte(tag), p.ranks[at : at+count], sizes[tag]})
			at += count
		}
	}
	for i := range p.records {
		tag := p.chunks[p.records[i].chunk][p.records[i].at]
		p.ranks[places[tag]].n = uint32(i)
		places[tag]++
	}
	for i := range groups {
		groups[i].records = p.sort(groups[i].records)
	}
	return groups
}

func (p *pile) sort(records []ranked) []ranked {
	first := p.key(records[0].n)
	same := len(first)
	for i := range records {
		same = common(first[:same], p.key(records[i].n))
	}
	for i := range records {
		records[i].high, records[i].low = rank(p.key(records[i].n)[same:])
	}
	slices.SortFunc(records, func(a, b ranked) int {
		if c := cmp.Or(cmp.Compare(a.high, b.high), cmp.Compare(a.low, b.low)); c != 0 {
			return c
		}
		return cmp.Or(bytes.Compare(p.key(a.n)[same:], p.key(b.n)[same:]), cmp.Compare(a.n, b.n))
	})
	kept := records[:0]
	for i := range records {
		if i+1 < len(records) && records[i].high == records[i+1].high && records[i].low == records[i+1].low && bytes.Equal(p.key(records[i].n), p.key(records[i+1].n)) {
			continue
		}
		kept = append(kept, records[i])
	}
	return kept
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

// all yields the records in the order in which they were put.
func (p *pile) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range p.records {
			if !yield(uint32(i)) {
				return
			}
		}
	}
}
