package credit

import (
	"encoding/json"
	"time"
)

// Nearly all events of a journal are uses, and all were written by one Encoder: the same attributes in the same
// order, hardly ever a text with an escape in it. plain reads those in one pass, literal by literal, and mostly
// finds each text to be the one that stood there in the event before. At the first byte that is otherwise it gives
// up, and the general reader reads the event from its start: what is wrong, and whether anything is, only that one
// says. A test and a fuzz target hold the two together.

// recent are the texts that stood in an event last, by where they stood. None has an escape.
type recent struct {
	origin, kind, actor, source, meter, why string
	draws                                   [4]struct{ lot, pool, unit string } // by place, modulo 4
	day                                     [len(time.DateOnly)]byte
	midnight                                int64 // of day, unix seconds
}

// plain reads one event up to its closing brace; ev.event is set where it is a use. False leaves all as it was.
func (d *Decoder) plain(c *cursor, s *Slab, ev *envelope) bool {
	c.space()
	start := c.i
	if d.plainAttributes(c, s, ev) && d.plainData(c, s, ev) && c.skip("}") && !c.bad {
		return true
	}
	c.i, c.bad = start, false
	*ev = envelope{}
	return false
}

func (d *Decoder) plainAttributes(c *cursor, s *Slab, ev *envelope) (ok bool) {
	if !c.skip(`{"specversion":"1.0","id":"`) || !c.plainUUID(&ev.id) || !c.skip(`,"source":"`) {
		return false
	}
	if _, ok = d.again(c, &d.recent.origin); !ok || !c.skip(`,"type":"`) {
		return false
	}
	if ev.kind, ok = d.again(c, &d.recent.kind); !ok || ev.kind == "" {
		return false
	}
	if c.skip(`,"subject":"`) {
		text, ok := c.plainText()
		if !ok {
			return false
		}
		ev.entry.Account = d.account(s, text)
	}
	if !c.skip(`,"time":"`) || !d.plainTime(c, &ev.time) || !c.skip(`,"recordedtime":"`) || !d.plainTime(c, &ev.entry.Recorded) {
		return false
	}
	return d.plainEntry(c, s, ev) && c.skip(`,"data":`)
}

// account is the name of an account: a part of the body where that may be, since each fold looks it up once more.
func (d *Decoder) account(s *Slab, b []byte) string {
	if s == nil {
		return d.word(b)
	}
	return s.text(b)
}

// plainEntry reads the attributes that not every event has.
func (d *Decoder) plainEntry(c *cursor, s *Slab, ev *envelope) (ok bool) {
	if c.skip(`,"entrykey":"`) {
		text, ok := c.plainText()
		if !ok {
			return false
		}
		ev.entry.Key = s.text(text)
	}
	if c.skip(`,"entryhash":"`) {
		text, ok := c.plainText()
		if !ok || len(text) != 2*len(Hash{}) || !unhex(ev.entry.Hash[:], text) {
			return false
		}
	}
	if c.skip(`,"entrysize":`) {
		n, ok := c.plainInt()
		if ev.size = int(n); !ok || ev.size < 0 {
			return false
		}
	}
	if c.skip(`,"actor":"`) {
		if ev.entry.Actor, ok = d.again(c, &d.recent.actor); !ok {
			return false
		}
	}
	if c.skip(`,"usagesource":"`) {
		if ev.entry.Source, ok = d.again(c, &d.recent.source); !ok {
			return false
		}
	}
	return true
}

// plainData reads the data: of a use into an event, of all else as it stands.
func (d *Decoder) plainData(c *cursor, s *Slab, ev *envelope) bool {
	if ev.kind != plainUse || !d.plainUses {
		ev.data = c.raw()
		return ev.data != nil
	}
	start := c.i
	u := s.use()
	if !d.plainUsage(c, s, u) {
		return false
	}
	ev.data, ev.event = c.b[start:c.i:c.i], u
	return true
}

// plainUse is the type of the events that plain knows whole.
const plainUse = typePrefix + "UsageRecorded" + typeSuffix

func (d *Decoder) plainUsage(c *cursor, s *Slab, u *UsageRecorded) (ok bool) {
	if !c.skip(`{"meter":"`) {
		return false
	}
	if u.Meter, ok = d.again(c, &d.recent.meter); !ok || !c.field(`,"quantity":`, &u.Quantity) || !c.field(`,"cost":`, (*int64)(&u.Cost)) {
		return false
	}
	if c.skip(`,"draws":[`) {
		if u.Draws, ok = d.plainDraws(c, s); !ok {
			return false
		}
	}
	c.field(`,"debt":`, (*int64)(&u.Debt))
	c.field(`,"unpaid":`, (*int64)(&u.Unpaid))
	if c.skip(`,"why":"`) {
		if u.Why, ok = d.again(c, &d.recent.why); !ok {
			return false
		}
	}
	var carried, catalog int64
	if c.field(`,"carry":`, &carried) {
		carry := carried // allocated only where there is one
		u.Carry = &carry
	}
	if !c.field(`,"remaining":`, (*int64)(&u.Remaining)) || !c.field(`,"catalog":`, &catalog) {
		return false
	}
	u.Catalog = uint32(catalog)
	if c.skip(`,"description":`) { // people write it, and what they write may well have an escape
		u.Description = s.text(c.text())
	}
	if c.skip(`,"attributes":`) {
		u.Attributes = json.RawMessage(s.bytes(c.raw()))
	}
	return c.skip("}")
}

// plainDraws reads draws and the bracket behind them.
func (d *Decoder) plainDraws(c *cursor, s *Slab) (_ []Draw, ok bool) {
	d.drawn = d.drawn[:0]
	for n := 0; ; n++ {
		last := &d.recent.draws[n%len(d.recent.draws)]
		var w Draw
		if !c.skip(`{"lot":"`) {
			return nil, false
		}
		if w.Lot, ok = d.again(c, &last.lot); !ok || !c.skip(`,"pool":"`) {
			return nil, false
		}
		if w.Pool, ok = d.again(c, &last.pool); !ok || !c.field(`,"amount":`, (*int64)(&w.Amount)) {
			return nil, false
		}
		if c.skip(`,"unit":"`) {
			if w.Unit, ok = d.again(c, &last.unit); !ok {
				return nil, false
			}
		}
		var cycle int64
		if !c.field(`,"cycle":`, &cycle) {
			return nil, false
		}
		w.Cycle = uint32(cycle)
		c.field(`,"revenue":`, &w.Revenue)
		d.drawn = append(d.drawn, w)
		switch {
		case c.skip("},"):
		case c.skip("}]"):
			return s.keep(d.drawn), true
		default:
			return nil, false
		}
	}
}

// again reads a text and the quote behind it. Mostly it is the one that was read last in the same place, and is
// then neither copied nor looked up.
func (d *Decoder) again(c *cursor, last *string) (string, bool) {
	if rest, n := c.b[c.i:], len(*last); len(rest) > n && rest[n] == '"' && string(rest[:n]) == *last {
		c.i += n + 1
		return *last, true
	}
	text, ok := c.plainText()
	if !ok {
		return "", false
	}
	*last = d.word(text)
	return *last, true
}

// plainTime reads an instant as the Encoder writes it, in UTC, and the quote behind it. Days come in a row: a new
// one is worked out by the general reader.
func (d *Decoder) plainTime(c *cursor, to *time.Time) bool {
	b := c.b[c.i:]
	if len(b) < 21 || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return false
	}
	if day := [len(time.DateOnly)]byte(b); day != d.recent.day {
		midnight, ok := parseUTC(append(append(make([]byte, 0, 20), day[:]...), "T00:00:00Z"...))
		if !ok {
			return false
		}
		d.recent.day, d.recent.midnight = day, midnight.Unix()
	}
	hour, minute, second := twoDigits(b[11:]), twoDigits(b[14:]), twoDigits(b[17:])
	if hour > 23 || minute > 59 || second > 59 {
		return false
	}
	at, nanos, unit := 19, int64(0), int64(1_000_000_000)
	if b[at] == '.' {
		for at++; at < len(b) && b[at]-'0' <= 9 && unit > 1; at++ {
			unit /= 10
			nanos += int64(b[at]-'0') * unit
		}
		if at == 20 {
			return false
		}
	}
	if at+1 >= len(b) || b[at] != 'Z' || b[at+1] != '"' {
		return false
	}
	c.i += at + 2
	*to = time.Unix(d.recent.midnight+int64(hour)*3600+int64(minute)*60+int64(second), nanos).UTC()
	return !to.IsZero()
}

// twoDigits is the number of two digits, or one above 99.
func twoDigits(b []byte) uint {
	tens, ones := b[0]-'0', b[1]-'0'
	if tens > 9 || ones > 9 {
		return 100
	}
	return uint(tens)*10 + uint(ones)
}

// skip steps over the text when it is what comes next.
func (c *cursor) skip(text string) bool {
	if rest := c.b[c.i:]; len(rest) >= len(text) && string(rest[:len(text)]) == text {
		c.i += len(text)
		return true
	}
	return false
}

// field reads a name and the integer behind it; false when it is not the name that comes next. A name without an
// integer is bad.
func (c *cursor) field(name string, to *int64) (ok bool) {
	if !c.skip(name) {
		return false
	}
	*to, ok = c.plainInt()
	c.bad = c.bad || !ok
	return ok
}

// plainText reads up to the quote that ends a text, and steps over it; false when it is not plain.
func (c *cursor) plainText() ([]byte, bool) {
	for i := c.i; i < len(c.b); i++ {
		switch ch := c.b[i]; {
		case ch == '"':
			text := c.b[c.i:i]
			c.i = i + 1
			return text, true
		case ch == '\\' || ch < 0x20:
			return nil, false
		}
	}
	return nil, false
}

// plainInt reads an integer of at most 18 digits: no such one is too large.
func (c *cursor) plainInt() (n int64, ok bool) {
	i := c.i
	negative := i < len(c.b) && c.b[i] == '-'
	if negative {
		i++
	}
	first := i
	for i < len(c.b) && c.b[i]-'0' <= 9 && i < first+18 {
		n = n*10 + int64(c.b[i]-'0')
		i++
	}
	c.i = i
	if negative {
		n = -n
	}
	return n, i > first
}

// plainUUID reads a UUID and the quote behind it.
func (c *cursor) plainUUID(to *[16]byte) bool {
	const size = 36
	if len(c.b)-c.i <= size || c.b[c.i+size] != '"' || !parseUUID(to, c.b[c.i:c.i+size]) {
		return false
	}
	c.i += size + 1
	return true
}
