package credit

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// What is written around the texts and numbers of an event, as its Encoder does.
const (
	aroundEvent   = len(`,`+"\n"+`{"specversion":"1.0","id":"","type":"creditstream..v1","time":"","recordedtime":"","data":}`) + mostSource + idSize + 2*mostTime
	aroundAccount = len(`,"subject":""`)
	aroundKey     = len(`,"entrykey":""`)
	aroundHash    = len(`,"entryhash":""`) + 2*len(Hash{})
	aroundSize    = len(`,"entrysize":`) + mostDigits
	aroundActor   = len(`,"actor":""`)
	aroundSource  = len(`,"usagesource":""`)

	idSize     = len("00000000-0000-0000-0000-000000000000")
	mostTime   = len("9999-12-31T23:59:59.999999999Z")
	mostSource = len(`,"source":"/creditstream//"`) + 32 + mostDigits // a tenant's name has 32 bytes at most
	mostDigits = 5                                                    // of a shard's number, and of how many events an entry has
)

const mostEscaped = 6 // bytes that one byte of a text takes

// Measure returns how many bytes an entry takes in a commit at most: what most entries are, a use, takes nearly as many. It does by itself, and leaves in Raw, the part of the encoding that may fail and whose size cannot be told before: the data of
// everything that is not a use. So whoever decides knows when a commit is full, and somebody else may encode it.
func (e *Entry) Measure() (most int, err error) {
	head := aroundEvent + aroundAccount + textSize(e.Account)
	if e.Key != "" {
		head += aroundKey + textSize(e.Key)
	}
	if e.Hash != (Hash{}) {
		head += aroundHash
	}
	if e.Actor != "" {
		head += aroundActor + textSize(e.Actor)
	}
	if e.Source != "" {
		head += aroundSource + textSize(e.Source)
	}
	if len(e.Facts) > 1 {
		most = aroundSize
	}
	for i := range e.Facts {
		f := &e.Facts[i]
		most += head + len(f.Event.Kind())
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
	most := len(`{"meter":"","quantity":,"cost":,"remaining":,"catalog":}`) +
		textSize(u.Meter) + digits(u.Quantity) + digits(int64(u.Cost)) + digits(int64(u.Remaining)) + digits(int64(u.Catalog))
	if len(u.Draws) > 0 {
		most += len(`,"draws":[]`)
		for i := range u.Draws {
			most += u.Draws[i].size()
		}
	}
	if u.Debt != 0 {
		most += len(`,"debt":`) + digits(int64(u.Debt))
	}
	if u.Unpaid != 0 {
		most += len(`,"unpaid":`) + digits(int64(u.Unpaid))
	}
	if u.Why != "" {
		most += len(`,"why":""`) + textSize(u.Why)
	}
	if u.Carry != nil {
		most += len(`,"carry":`) + digits(*u.Carry)
	}
	if u.Description != "" {
		most += len(`,"description":""`) + textSize(u.Description)
	}
	if len(u.Attributes) > 0 {
		most += len(`,"attributes":`) + len(u.Attributes)
	}
	return most
}

func (d *Draw) size() int {
	most := len(`,{"lot":"","pool":"","amount":,"cycle":}`) + textSize(d.Lot) + textSize(d.Pool) + digits(int64(d.Amount)) + digits(int64(d.Cycle))
	if d.Unit != "" {
		most += len(`,"unit":""`) + textSize(d.Unit)
	}
	if d.Revenue != 0 {
		most += len(`,"revenue":`) + digits(d.Revenue)
	}
	return most
}

// digits is how many bytes a number takes, or one more.
func digits(n int64) int {
	magnitude, sign := uint64(n), 0
	if n < 0 {
		magnitude, sign = -magnitude, 1
	}
	return sign + 1 + bits.Len64(magnitude)*1233>>12 // 1233/4096 is the logarithm of 2, as near as 64 bits need it
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
