package load

import (
	"encoding/binary"
	"encoding/hex"
	"sync"
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

// marks is a set of (client, count).
type marks struct {
	mu   sync.Mutex
	bits [][]uint64
}

// add puts one in and reports whether it was new. Different clients may add concurrently when they
// use adds of their own (own).
func (m *marks) add(client int, count uint64) bool {
	for len(m.bits) <= client {
		m.bits = append(m.bits, nil)
	}
	words := &m.bits[client]
	for uint64(len(*words)) <= count/64 {
		*words = append(*words, 0)
	}
	bit := uint64(1) << (count % 64)
	was := (*words)[count/64]&bit != 0
	(*words)[count/64] |= bit
	return !was
}

func (m *marks) has(client int, count uint64) bool {
	return client < len(m.bits) && count/64 < uint64(len(m.bits[client])) && m.bits[client][count/64]&(1<<(count%64)) != 0
}

// merge adds what one client collected by itself.
func (m *marks) merge(client int, own *marks) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.bits) <= client {
		m.bits = append(m.bits, nil)
	}
	if client >= len(own.bits) {
		return
	}
	words := own.bits[client]
	for len(m.bits[client]) < len(words) {
		m.bits[client] = append(m.bits[client], 0)
	}
	for i, w := range words {
		m.bits[client][i] |= w
	}
}

// each calls f for every member.
func (m *marks) each(f func(client int, count uint64)) {
	for client, words := range m.bits {
		for i, w := range words {
			for bit := range uint64(64) {
				if w&(1<<bit) != 0 {
					f(client, uint64(i)*64+bit)
				}
			}
		}
	}
}
