package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/minio/highwayhash"
)

// A record of a block, in little endian (writeMsgRecordLocked of the server):
//
//	length (4, its highest bit says that there are headers), sequence (8), time (8), length of the subject (2),
//	subject, [length of the headers (4), headers,] body, checksum (8)
//
// The checksum covers sequence, time, subject, headers and body, and none of the lengths. A sequence whose highest bit
// or the one below it is set is a tombstone, or a record that was erased.
const (
	headSize   = 22
	withHeader = 1 << 31
	maxSeq     = 1<<62 - 1
)

// Headers begin and end with these.
var headersBegin, headersEnd = []byte("NATS/1.0"), []byte("\r\n\r\n")

// Headers by which a message expires or is scheduled, which an index counts.
var headersCounted = [][]byte{[]byte("\r\nNats-TTL:"), []byte("\r\nNats-Schedule")}

// sumOf is the checksum of an index.
func sumOf(stream string, text []byte) []byte {
	h := hashFor(stream)
	_, _ = h.Write(text)
	return h.Sum(nil)
}

// hashFor is the hash of what is called so.
func hashFor(name string) *highwayhash.Digest64 {
	key := sha256.Sum256([]byte(name))
	h, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		panic(fmt.Sprintf("a key of 32 bytes was refused: %v", err)) // the only thing that it checks
	}
	return h
}

// follow takes in what was appended to a block: records stands at the block's end, behind what the state knows
// of it. taken are the subjects that the stream takes, each by its whole name. The error is errUnusual when anything
// but sound, consecutive messages of theirs is there; then the state is of no use any more.
func (s *state) follow(stream string, taken []string, number uint32, records []byte) error {
	if len(s.blocks) == 0 || s.end().number != number {
		if len(records) == 0 {
			return unusual("block %d is empty", number)
		}
		s.blocks = append(s.blocks, block{number: number, first: s.last + 1})
	}
	h := hashFor(fmt.Sprintf("%s-%d", stream, number))
	for len(records) > 0 {
		size, err := s.followOne(h, taken, records)
		if err != nil {
			return fmt.Errorf("block %d behind sequence %d: %w", number, s.last, err)
		}
		records = records[size:]
	}
	return nil
}

// followOne takes in the first of the records and returns its length.
func (s *state) followOne(h *highwayhash.Digest64, taken []string, records []byte) (int, error) {
	r, err := readRecord(h, records)
	if err != nil {
		return 0, err
	}
	if r.seq != s.last+1 || r.seq > maxSeq || r.at <= 0 {
		return 0, unusual("the next record is not the next message")
	}
	if !slices.Contains(taken, string(r.subject)) {
		return 0, unusual("a message of subject %q", r.subject)
	}
	s.add(string(r.subject), r.seq, r.at, uint64(r.size))
	copy(s.sum[:], r.sum)
	return r.size, nil
}

// stored is a record of a block. Its texts are parts of the text that it was read from.
type stored struct {
	seq           uint64
	at            int64 // nanoseconds since 1970
	size          int   // of all of it
	subject       []byte
	headers, body []byte // headers are nil when there are none
	sum           []byte
}

// sizeOf is how many bytes a record has, from its first headSize ones; more than a block may have when that is
// nonsense.
func sizeOf(head []byte) int { return int(binary.LittleEndian.Uint32(head) &^ withHeader) }

// readRecord reads the first of the records. The error is errUnusual when it is not whole and sound. h is that of its block.
func readRecord(h *highwayhash.Digest64, records []byte) (stored, error) {
	if len(records) < headSize {
		return stored{}, unusual("a record is torn")
	}
	nameSize, size := int(binary.LittleEndian.Uint16(records[20:])), sizeOf(records)
	if size < headSize+nameSize+hashSize || size > min(len(records), maxBlock) {
		return stored{}, unusual("a record is torn")
	}
	r := stored{
		seq: binary.LittleEndian.Uint64(records[4:]), at: int64(binary.LittleEndian.Uint64(records[12:])), size: size,
		subject: records[headSize : headSize+nameSize], body: records[headSize+nameSize : size-hashSize : size-hashSize], sum: records[size-hashSize : size],
	}
	h.Reset()
	_, _ = h.Write(records[4:20])
	_, _ = h.Write(r.subject)
	if binary.LittleEndian.Uint32(records)&withHeader != 0 {
		if len(r.body) < 4 {
			return stored{}, unusual("a record is torn")
		}
		headers, text := binary.LittleEndian.Uint32(r.body), r.body[4:]
		if err := checkHeaders(headers, text); err != nil {
			return stored{}, err
		}
		r.headers, r.body = text[:headers], text[headers:]
	}
	_, _ = h.Write(r.headers)
	_, _ = h.Write(r.body)
	var found [hashSize]byte
	if !bytes.Equal(h.Sum(found[:0]), r.sum) {
		return stored{}, unusual("a record's checksum does not match")
	}
	return r, nil
}

// checkHeaders refuses headers whose length, which no checksum covers, is not that of headers.
func checkHeaders(size uint32, text []byte) error {
	if uint64(size) > uint64(len(text)) || !bytes.HasPrefix(text, headersBegin) || !bytes.HasSuffix(text[:size], headersEnd) {
		return unusual("a record's headers are not headers")
	}
	for _, counted := range headersCounted {
		if bytes.Contains(text[:size], counted) {
			return unusual("a message that expires or is scheduled")
		}
	}
	return nil
}

// add takes in one message that is in the last block.
func (s *state) add(name string, seq uint64, at int64, size uint64) {
	b := s.end()
	if b.first == seq {
		b.firstAt = at
	}
	b.last, b.lastAt = seq, at
	b.bytes += size
	s.bytes += size
	s.last, s.lastAt = seq, at
	i := slices.IndexFunc(s.subjects, func(of subject) bool { return of.name == name })
	if i < 0 {
		i, s.subjects = len(s.subjects), append(s.subjects, subject{name: name, first: b.number})
	}
	s.subjects[i].total++
	s.subjects[i].last = b.number
}
