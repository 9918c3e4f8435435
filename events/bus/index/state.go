package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// What an index begins with: writeFullState of the server.
const (
	magic   = 11
	version = 4
)

// hashSize is how many bytes a checksum has, of a record and of an index.
const hashSize = 8

// maxBlock bounds the bytes of a block, and so what is read at once. The server begins a new one at 8 MiB; larger is
// only the block of a larger message, which may have so many.
const maxBlock = 32 << 20

// state is what an index says of a stream that only grows: sequences 1 to last, none of which is missing.
type state struct {
	bytes    uint64
	last     uint64 // sequence; 0 is an empty stream
	lastAt   int64  // nanoseconds since 1970, like all times here
	subjects []subject
	blocks   []block
	sum      [hashSize]byte // of the last record
}

// subject counts the messages of one, and says between which blocks they are.
type subject struct {
	name        string
	total       uint64
	first, last uint32
}

// block is one file. In a stream from which nothing was ever removed its bytes are the file's length.
type block struct {
	number          uint32
	bytes           uint64
	first, last     uint64 // sequences
	firstAt, lastAt int64
}

// errUnusual says that something is not as it is in a stream that only ever grew, or not understood.
var errUnusual = errors.New("unusual")

func unusual(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUnusual}, args...)...)
}

// parse reads the index of a stream that takes these subjects. The error is errUnusual for one of any other stream
// than one that only grew, and for anything that encode would not write in the very same way.
func parse(stream string, taken []string, text []byte) (*state, error) {
	if len(text) < 2+hashSize || text[0] != magic || text[1] != version {
		return nil, unusual("the index is not of version %d", version)
	}
	if sum := sumOf(stream, text[:len(text)-hashSize]); !bytes.Equal(sum, text[len(text)-hashSize:]) {
		return nil, unusual("the checksum of the index does not match")
	}
	r := reader{text: text[2 : len(text)-hashSize]}
	s := new(state)
	messages := r.uvarint()
	s.bytes = r.uvarint()
	r.uvarint() // the first sequence
	base := r.varint()
	s.last, s.lastAt = r.uvarint(), r.varint()
	subjects := r.count()
	if subjects > uint64(len(taken)) {
		return nil, unusual("the index knows more subjects than the stream takes")
	}
	for range subjects {
		name := r.take(r.uvarint())
		s.subjects = append(s.subjects, subject{string(name), r.uvarint(), r.number(), r.number()})
	}
	for blocks := r.count(); blocks > 0 && !r.failed; blocks-- {
		b := block{number: r.number(), bytes: r.uvarint(), first: r.uvarint()}
		b.firstAt, b.last, b.lastAt = r.varint()+base, r.uvarint(), r.varint()+base
		s.blocks = append(s.blocks, b)
		for range 3 {
			r.uvarint() // what is deleted, expires or is scheduled: encode has none
		}
	}
	r.number() // the last block
	copy(s.sum[:], r.take(hashSize))
	if r.failed || len(r.text) > 0 {
		return nil, unusual("the index cannot be read")
	}
	if s.last == 0 && messages == 0 && s.bytes == 0 && len(s.subjects) == 0 {
		return new(state), nil // an empty stream may have an empty block, or none
	}
	if err := s.check(taken); err != nil {
		return nil, err
	}
	if !bytes.Equal(s.encode(stream), text) {
		return nil, unusual("the index is not that of a stream that only grew")
	}
	return s, nil
}

// check looks whether the parts agree with each other.
func (s *state) check(taken []string) error {
	var bytes, total uint64
	next, number := uint64(1), uint32(0)
	for _, b := range s.blocks {
		if b.number <= number || b.first != next || b.last < b.first || b.bytes < hashSize || b.bytes > maxBlock {
			return unusual("the index's block %d does not follow the one before", b.number)
		}
		bytes, next, number = bytes+b.bytes, b.last+1, b.number
	}
	for i, of := range s.subjects {
		total += of.total
		again := slices.ContainsFunc(s.subjects[:i], func(o subject) bool { return o.name == of.name })
		if again || !slices.Contains(taken, of.name) || of.total > s.last || of.first > of.last || of.last > number {
			return unusual("the index counts subject %q as no stream has it", of.name)
		}
	}
	if len(s.blocks) == 0 || s.last > maxSeq || s.last+1 != next || s.lastAt != s.end().lastAt || bytes != s.bytes || total != s.last {
		return unusual("the parts of the index disagree")
	}
	return nil
}

// end is the last block.
func (s *state) end() *block { return &s.blocks[len(s.blocks)-1] }

// encode writes the index as the server does: writeFullState. The stream is not empty.
func (s *state) encode(stream string) []byte {
	base := s.blocks[0].firstAt
	text := []byte{magic, version}
	text = binary.AppendUvarint(text, s.last) // as many messages
	text = binary.AppendUvarint(text, s.bytes)
	text = binary.AppendUvarint(text, 1)
	text = binary.AppendVarint(text, base)
	text = binary.AppendUvarint(text, s.last)
	text = binary.AppendVarint(text, s.lastAt)
	text = binary.AppendUvarint(text, uint64(len(s.subjects)))
	for _, of := range s.subjects {
		text = binary.AppendUvarint(text, uint64(len(of.name)))
		text = append(text, of.name...)
		text = binary.AppendUvarint(text, of.total)
		text = binary.AppendUvarint(text, uint64(of.first))
		text = binary.AppendUvarint(text, uint64(of.last))
	}
	text = binary.AppendUvarint(text, uint64(len(s.blocks)))
	for _, b := range s.blocks {
		text = binary.AppendUvarint(text, uint64(b.number))
		text = binary.AppendUvarint(text, b.bytes)
		text = binary.AppendUvarint(text, b.first)
		text = binary.AppendVarint(text, b.firstAt-base)
		text = binary.AppendUvarint(text, b.last)
		text = binary.AppendVarint(text, b.lastAt-base)
		text = append(text, 0, 0, 0) // nothing is deleted, expires or is scheduled
	}
	text = binary.AppendUvarint(text, uint64(s.end().number))
	text = append(text, s.sum[:]...)
	return append(text, sumOf(stream, text)...)
}

// reader takes an index apart. After a failure it returns zeros.
type reader struct {
	text   []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed = r.failed || n > uint64(len(r.text)); r.failed {
		return nil
	}
	taken := r.text[:n]
	r.text = r.text[n:]
	return taken
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.text)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.text)
	r.skip(n)
	return v
}

func (r *reader) skip(n int) {
	if r.failed = r.failed || n <= 0; !r.failed {
		r.text = r.text[n:]
	}
}

// count is how many of something follow, each of which takes more than one byte.
func (r *reader) count() uint64 {
	n := r.uvarint()
	if r.failed = r.failed || n > uint64(len(r.text)); r.failed {
		return 0
	}
	return n
}

// number is that of a block.
func (r *reader) number() uint32 {
	v := r.uvarint()
	r.failed = r.failed || v > 1<<32-1
	return uint32(v)
}
