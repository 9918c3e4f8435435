package credit

import (
	"bytes"
	"slices"
	"unsafe"
)

// Slab is memory that the entries of decoded commits are cut from, again and again: who reads a whole journal, and is
// done with a commit before the slab is used for another, leaves next to nothing to the collector. Its zero value is
// ready. It is for one goroutine at a time. A nil one cuts from nothing: all is memory of its own, to be kept.
type Slab struct {
	entries []Entry
	facts   []Fact
	uses    []UsageRecorded
	draws   []Draw
}

// reset takes everything back.
func (s *Slab) reset() {
	if s != nil {
		s.entries, s.facts, s.uses, s.draws = s.entries[:0], s.facts[:0], s.uses[:0], s.draws[:0]
	}
}

// Where one of these grows beyond its memory it moves, and what was cut from it stays whole where it is.

// use returns an empty UsageRecorded.
func (s *Slab) use() *UsageRecorded {
	if s == nil {
		return new(UsageRecorded)
	}
	s.uses = append(s.uses, UsageRecorded{})
	return &s.uses[len(s.uses)-1]
}

// room returns an empty slice for n facts.
func (s *Slab) room(n int) []Fact {
	if s == nil {
		return make([]Fact, 0, n)
	}
	from := len(s.facts)
	s.facts = slices.Grow(s.facts, n)[:from+n]
	return s.facts[from : from : from+n]
}

// keep returns a copy of draws.
func (s *Slab) keep(draws []Draw) []Draw {
	if s == nil {
		return slices.Clone(draws)
	}
	from := len(s.draws)
	s.draws = append(s.draws, draws...)
	return s.draws[from:len(s.draws):len(s.draws)]
}

// text is the bytes as a string. With a slab it is no copy: nobody writes to the body of a commit.
func (s *Slab) text(b []byte) string {
	if s == nil {
		return string(b)
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// bytes is text that stays bytes.
func (s *Slab) bytes(b []byte) []byte {
	if s == nil {
		return bytes.Clone(b)
	}
	return b
}
