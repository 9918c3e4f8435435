package load

import (
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Every charge of a run has a key that says who made it and which it was: a UUID of version 7 (so it
// sorts by time, as the keys of a good client do) whose random bits are the client's number and a
// count. So the journal can be compared with what was acknowledged, charge by charge, at one bit each.

// KeyOf is the count-th key of a client (at most 4096 of them), made now.
func KeyOf(now time.Time, client int, count uint64) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|0x7000|uint64(client&0xfff))
	binary.BigEndian.PutUint64(id[8:], 1<<63|count)
	var text [36]byte
	hex.Encode(text[:8], id[:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// KeyBytes are the 16 bytes that a key stands for; zeroes for what is no UUID.
func KeyBytes(key string) (id [16]byte) {
	if len(key) != 36 {
		return id
	}
	bare := key[:8] + key[9:13] + key[14:18] + key[19:23] + key[24:]
	if _, err := hex.Decode(id[:], []byte(bare)); err != nil {
		return [16]byte{}
	}
	return id
}

// ReadKey reads what KeyOf wrote; ok is false for any other key.
func ReadKey(key string) (client int, count uint64, ok bool) {
	id := KeyBytes(key)
	head, tail := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	return int(head & 0xfff), tail &^ (1 << 63), head&0xf000 == 0x7000 && tail>>63 == 1
}

// counts is a set of the counts of one client, at one bit each.
type counts []uint64

// add puts one in and reports whether it was new.
func (c *counts) add(count uint64) bool {
	for uint64(len(*c)) <= count/64 {
		*c = append(*c, 0)
	}
	word, bit := &(*c)[count/64], uint64(1)<<(count%64)
	was := *word&bit != 0
	*word |= bit
	return !was
}

func (c counts) has(count uint64) bool {
	return count/64 < uint64(len(c)) && c[count/64]&(1<<(count%64)) != 0
}

// marks is a set of (client, count).
type marks []counts

// add puts one in and reports whether it was new.
func (m *marks) add(client int, count uint64) bool { return m.of(client).add(count) }

// of is what is marked of one client.
func (m *marks) of(client int) *counts {
	for len(*m) <= client {
		*m = append(*m, nil)
	}
	return &(*m)[client]
}

func (m marks) has(client int, count uint64) bool {
	return client < len(m) && m[client].has(count)
}

// merge adds what one client collected by itself.
func (m *marks) merge(client int, own counts) {
	all := m.of(client)
	for i, word := range own {
		if i == len(*all) {
			*all = append(*all, 0)
		}
		(*all)[i] |= word
	}
}

// each calls f for every member.
func (m marks) each(f func(client int, count uint64)) {
	for client, words := range m {
		for i, w := range words {
			for bit := range uint64(64) {
				if w&(1<<bit) != 0 {
					f(client, uint64(i)*64+bit)
				}
			}
		}
	}
}
