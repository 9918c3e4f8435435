package api

import (
	"encoding/binary"
	"math/bits"
)

// ascii.go looks at texts eight bytes at a time: what is read and written most is ids and names in plain ASCII, of which
// only has to be known that nothing in them is special.

const (
	eachByte = 0x0101010101010101
	topBits  = 0x80 * eachByte
)

// below has the top bit set of the first byte in w that is less than c. Bytes behind it may be marked as well, and those
// that are not ASCII, which are special in any case.
func below(w uint64, c byte) uint64 { return (w - eachByte*uint64(c)) & topBits }

// equal is the same for the first byte that is c.
func equal(w uint64, c byte) uint64 { return below(w^eachByte*uint64(c), 1) }

// special marks the first byte that ends a text in JSON, or makes it more than plain: a quote, an escape, a control
// character, what is not ASCII.
func special(w uint64) uint64 {
	return below(w, 0x20) | equal(w, '"') | equal(w, '\\') | equal(w, 0x7f) | w&topBits
}

// firstSpecial is where the first such byte of b is, len(b) when there is none.
func firstSpecial(b []byte) int {
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}

// isPlain reports whether s is the same within a JSON text as package json writes it.
func isPlain(s string) bool {
	b := []byte(s) // is not copied: it does not leave this function
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if special(w)|equal(w, '<')|equal(w, '>')|equal(w, '&') != 0 {
			return false
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
