package credit

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// cursor walks over JSON text. After the first mistake bad is set and everything reads as empty.
type cursor struct {
	b   []byte
	i   int
	bad bool
}

func (c *cursor) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\n', '\t', '\r':
			c.i++
		default:
			return
		}
	}
}

func (c *cursor) fail() { c.bad, c.i = true, len(c.b) }

// open steps into an array or object.
func (c *cursor) open(with byte) bool {
	c.space()
	if c.i < len(c.b) && c.b[c.i] == with && !c.bad {
		c.i++
		return true
	}
	c.fail()
	return false
}

// next steps to the next item, or out at the end. first starts true.
func (c *cursor) next(end byte, first *bool) bool {
	c.space()
	if c.bad || c.i >= len(c.b) {
		c.fail()
		return false
	}
	if c.b[c.i] == end {
		c.i++
		return false
	}
	if !*first {
		if c.b[c.i] != ',' {
			c.fail()
			return false
		}
		c.i++
	}
	*first = false
	return true
}

func (c *cursor) key() []byte {
	name := c.text()
	c.open(':')
	return name
}

// text reads a string; the result may point into the text.
func (c *cursor) text() []byte {
	if !c.open('"') {
		return nil
	}
	start := c.i
	for c.i < len(c.b) {
		switch ch := c.b[c.i]; {
		case ch == '"':
			c.i++
			return c.b[start : c.i-1]
		case ch == '\\':
			return c.escaped(start)
		case ch < 0x20:
			c.fail()
			return nil
		}
		c.i++
	}
	c.fail()
	return nil
}

func (c *cursor) escaped(start int) []byte {
	out := append([]byte(nil), c.b[start:c.i]...)
	for c.i < len(c.b) {
		ch := c.b[c.i]
		c.i++
		switch {
		case ch == '"':
			return out
		case ch < 0x20:
			c.fail()
			return nil
		case ch != '\\':
			out = append(out, ch)
			continue
		}
		if c.i >= len(c.b) {
			break
		}
		ch = c.b[c.i]
		c.i++
		switch ch {
		case '"', '\\', '/':
			out = append(out, ch)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := c.hex4()
			if utf16.IsSurrogate(r) && c.i+1 < len(c.b) && c.b[c.i] == '\\' && c.b[c.i+1] == 'u' {
				c.i += 2
				r = utf16.DecodeRune(r, c.hex4())
			}
			out = utf8.AppendRune(out, r)
		default:
			c.fail()
			return nil
		}
	}
	c.fail()
	return nil
}

func (c *cursor) hex4() rune {
	if c.i+4 > len(c.b) {
		c.fail()
		return 0
	}
	n, err := strconv.ParseUint(string(c.b[c.i:c.i+4]), 16, 16)
	if err != nil {
		c.fail()
		return 0
	}
	c.i += 4
	return rune(n)
}

// int reads an integer; a fraction, an exponent or an overflow is a mistake.
func (c *cursor) int() int64 {
	c.space()
	start := c.i
	if c.i < len(c.b) && c.b[c.i] == '-' {
		c.i++
	}
	var n uint64
	digits := 0
	for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' && digits < 19 {
		n = n*10 + uint64(c.b[c.i]-'0')
		c.i++
		digits++
	}
	negative := start < c.i && c.b[start] == '-'
	limit := uint64(1<<63 - 1)
	if negative {
		limit++
	}
	if digits == 0 || n > limit || (c.i < len(c.b) && (c.b[c.i] == '.' || c.b[c.i] == 'e' || c.b[c.i] == 'E' || c.b[c.i] >= '0' && c.b[c.i] <= '9')) {
		c.fail()
		return 0
	}
	if negative {
		return -int64(n)
	}
	return int64(n)
}

// time reads an instant. The form that the encoder writes, in UTC, is read by hand: time.Parse would
// be a third of the cost of reading an event.
func (c *cursor) time() time.Time {
	c.space()
	if end := bytes.IndexByte(c.b[min(c.i+1, len(c.b)):], '"'); end > 0 {
		if t, ok := parseUTC(c.b[c.i+1 : c.i+1+end]); ok && c.b[c.i] == '"' {
			c.i += end + 2
			return t
		}
	}
	t, err := time.Parse(time.RFC3339Nano, string(c.text()))
	if err != nil {
		c.fail()
		return time.Time{}
	}
	return t.UTC()
}

// parseUTC reads "2006-01-02T15:04:05.999999999Z" with any number of decimals up to nine.
func parseUTC(b []byte) (t time.Time, ok bool) {
	if len(b) < 20 || len(b) > 30 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return t, false
	}
	digits := func(from, to int) (n int) {
		for _, c := range b[from:to] {
			if c < '0' || c > '9' {
				return -1 << 40
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	nanos := 0
	if len(b) > 20 {
		if b[19] != '.' || len(b) == 21 {
			return t, false
		}
		nanos = digits(20, len(b)-1)
		for range 30 - len(b) {
			nanos *= 10
		}
	}
	year, month, day := digits(0, 4), digits(5, 7), digits(8, 10)
	hour, minute, second := digits(11, 13), digits(14, 16), digits(17, 19)
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || nanos < 0 {
		return t, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC), true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// raw steps over one value and returns its text.
func (c *cursor) raw() []byte {
	c.space()
	start, depth := c.i, 0
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case '"':
			c.text()
			if c.bad {
				return nil
			}
		case '{', '[':
			depth++
			c.i++
		case '}', ']':
			if depth--; depth < 0 {
				c.fail()
				return nil
			}
			c.i++
		case ',', ':', ' ', '\n', '\t', '\r':
			c.i++
			continue
		default:
			for c.i < len(c.b) && !delimits(c.b[c.i]) {
				c.i++
			}
		}
		if depth == 0 {
			return c.b[start:c.i:c.i]
		}
	}
	c.fail()
	return nil
}

func delimits(b byte) bool {
	switch b {
	case ',', ':', ']', '}', '[', '{', '"', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}
