package api

import (
	"bytes"
	"strings"
	"testing"
)

// Each byte there is, at each place of texts around the length of a word, is told apart from plain ones before and
// behind it, those next to it in value above all.
func TestSpecialBytesAreFoundWhereverTheyAre(t *testing.T) {
	for _, around := range [...]byte{'a', ' ', '~', '!', '#', '[', ']'} {
		for length := range 20 {
			text := bytes.Repeat([]byte{around}, length)
			if n := firstSpecial(text); n != length || !isPlain(string(text)) {
				t.Fatalf("%q: special at %d", text, n)
			}
			for at := range text {
				for c := range 256 {
					text[at] = byte(c)
					want, escaped := length, strings.IndexByte(`<>&`, byte(c)) >= 0
					if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
						want, escaped = at, true
					}
					if n := firstSpecial(text); n != want {
						t.Fatalf("%q: special at %d, not at %d", text, n, want)
					}
					if isPlain(string(text)) == escaped {
						t.Fatalf("%q: plain is %t", text, !escaped)
					}
				}
				text[at] = around
			}
		}
	}
}

// Of several the first one counts, whatever kinds they are of.
func TestTheFirstSpecialByteCounts(t *testing.T) {
	kinds := []byte{'"', '\\', 0, 0x1f, 0x7f, 0x80, 0xff}
	for _, first := range kinds {
		for _, second := range kinds {
			for at := range 11 {
				for behind := at + 1; behind < 12; behind++ {
					text := bytes.Repeat([]byte{'!'}, 12)
					text[at], text[behind] = first, second
					if n := firstSpecial(text); n != at {
						t.Fatalf("%q: special at %d, not at %d", text, n, at)
					}
				}
			}
		}
	}
}
