package credit

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// What an event has in a commit beside its texts, at most, in bytes: names, quotes, instants, hash and identity.
const (
	mostEvent   = 420
	mostUsage   = 270 // of its data, with its numbers
	mostDraw    = 115
	mostEscaped = 6 // of a byte
)

// Measure returns how many bytes an entry takes in a commit at most. It does by itself, and leaves in Raw, the part of the encoding that may fail and whose size cannot be told before: the data of
// everything that is not a use. So whoever decides knows when a commit is full, and somebody else may encode it.
func (e *Entry) Measure() (most int, err error) {
	texts := textSize(e.Account) + textSize(e.Key) + textSize(e.Actor) + textSize(e.Source)
	for i := range e.Facts {
		f := &e.Facts[i]
		most += mostEvent + texts
		if u, ok := f.Event.(*UsageRecorded); ok {
			most += u.size()
			continue
		}
		if f.Raw, err = f.appendData(nil); err != nil {
			return 0, fmt.Errorf("encode %s of account %s: %w", f.Event.Kind(), e.Account, err)
		}
		most += len(f.Raw)
	}
	return most, nil
}

func (u *UsageRecorded) size() int {
	most := mostUsage + textSize(u.Meter) + textSize(u.Why) + textSize(u.Description) + len(u.Attributes)
	for i := range u.Draws {
		d := &u.Draws[i]
		most += mostDraw + textSize(d.Lot) + textSize(d.Pool) + textSize(d.Unit)
	}
	return most
}

// textSize is how many bytes a text takes between its quotes, at most.
func textSize(s string) int {
	if isPlain(s) {
		return len(s)
	}
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20:
			n += mostEscaped
		case c == '"' || c == '\\':
			n += 2
		case c < utf8.RuneSelf:
			n++
		default:
			n += 3 // what is not UTF-8 is replaced by as many
		}
	}
	return n
}

// isPlain reports whether a text is ASCII and stands in JSON as it is. It looks at eight bytes at a time.
func isPlain(s string) bool {
	for len(s) >= 8 {
		if notPlain(binary.LittleEndian.Uint64([]byte(s[:8]))) != 0 {
			return false
		}
		s = s[8:]
	}
	if len(s) == 0 {
		return true
	}
	var rest [8]byte
	copy(rest[:], s)
	const blanks = 0x2020202020202020
	return notPlain(binary.LittleEndian.Uint64(rest[:])|blanks<<(8*len(s))) == 0
}

// notPlain has the highest bit of a byte set where that is below a blank, a quote, a backslash or above ASCII. A byte above
// one that is may be marked without being such: only zero counts.
func notPlain(w uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	below := w - ones*0x20
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return (below | (quote - ones) | (slash - ones) | w) & high
}
