package credit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Decoder reads commits back. It remembers short strings that come again and again (meters, pools,
// lots), so a long replay allocates them once. A Decoder belongs to one goroutine.
type Decoder struct {
	words map[string]string
	older func() upcasters // nil: those that there are

	general   bool // even plain events are for the general reader: a test compares
	recent    recent
	plainUses bool   // a use has one version only
	drawn     []Draw // those of the use that is read
}

// smallEvent is about the size of the shortest event of a use, in bytes.
const smallEvent = 320

// maxWords bounds what a Decoder remembers: about 64 bytes each.
const maxWords = 65_536

// ErrCommit says that a body is not a commit of this format.
var ErrCommit = errors.New("not a commit of CloudEvents")

// DecodeCommit reads a body with a Decoder of its own.
func DecodeCommit(body []byte) ([]Entry, error) { return new(Decoder).Decode(body) }

// Decode returns the entries of a commit, in order. Fact.Raw points into body, unless the event is of an older
// version: then it is its data in the current one. It refuses what it
// cannot understand whole: an unknown kind or a newer version, a missing attribute, text after the end.
func (d *Decoder) Decode(body []byte) ([]Entry, error) { return d.decode(nil, body) }

// DecodeInto is Decode for those who do not keep what they read: the entries, their facts, and the uses among the
// events are the slab's, and good until it is used again. The accounts and keys of entries, and the descriptions and
// attributes of uses, are parts of body, as Fact.Raw is: who keeps one of them without a copy keeps all of it, or finds
// another commit there, since a body that is read from a file is written over by a later one (journal.ReadInto). What else there is, events of other kinds and all other texts, may be kept.
func (d *Decoder) DecodeInto(s *Slab, body []byte) ([]Entry, error) {
	s.reset()
	entries, err := d.decode(s, body)
	s.entries = entries
	return entries, err
}

func (d *Decoder) decode(s *Slab, body []byte) ([]Entry, error) {
	c := &cursor{b: body}
	var entries []Entry
	if s != nil {
		entries = s.entries
	} else {
		entries = make([]Entry, 0, min(len(body)/smallEvent, 4096))
	}
	d.plainUses = len(d.upcasters()["UsageRecorded"]) == 0
	open := 0 // facts that the last entry still waits for
	if !c.open('[') {
		return nil, ErrCommit
	}
	for first := true; c.next(']', &first); {
		var ev envelope
		if err := d.next(c, s, &ev); err != nil {
			return nil, fmt.Errorf("event %d of the commit: %w", count(entries), err)
		}
		fact := Fact{ID: ev.id, At: ev.time, Event: ev.event, Raw: ev.data}
		if open > 0 {
			last := &entries[len(entries)-1]
			if last.Account != ev.entry.Account || last.Key != ev.entry.Key {
				return nil, fmt.Errorf("event %d of the commit: entry %q is cut short: %w", count(entries), last.Key, ErrCommit)
			}
			last.Facts = append(last.Facts, fact)
			open--
			continue
		}
		if ev.size > 1 {
			open = ev.size - 1
		}
		ev.entry.Facts = append(s.room(1+min(open, 64)), fact)
		entries = append(entries, ev.entry)
	}
	c.space()
	if c.bad || c.i != len(c.b) || open > 0 {
		return nil, ErrCommit
	}
	return entries, nil
}

// Event returns one event from its kind and its data (Fact.Raw): for those who keep facts and not commits.
func (d *Decoder) Event(kind string, data []byte) (Event, error) {
	if d.words == nil {
		d.words = make(map[string]string)
	}
	return d.event(kind, data)
}

func count(entries []Entry) (n int) {
	for i := range entries {
		n += len(entries[i].Facts)
	}
	return n
}

// next reads one event of a commit.
func (d *Decoder) next(c *cursor, s *Slab, ev *envelope) (err error) {
	if d.general || !d.plain(c, s, ev) {
		if err := d.envelope(c, ev); err != nil {
			return err
		}
	}
	if ev.event != nil {
		return nil
	}
	if ev.kind, ev.data, err = d.upcasters().upcast(ev.kind, ev.data); err != nil {
		return err
	}
	ev.event, err = d.event(ev.kind, ev.data)
	return err
}

func (d *Decoder) upcasters() upcasters {
	if d.older != nil {
		return d.older()
	}
	return older()
}

type envelope struct {
	id    [16]byte
	kind  string // its type, until upcast
	time  time.Time
	size  int
	data  []byte
	event Event // nil where data was not read yet
	entry Entry
}

func (d *Decoder) envelope(c *cursor, ev *envelope) error {
	if !c.open('{') {
		return ErrCommit
	}
	for first := true; c.next('}', &first); {
		name := c.key()
		switch string(name) {
		case "id":
			if !parseUUID(&ev.id, c.text()) {
				return fmt.Errorf("id is not a UUID: %w", ErrCommit)
			}
		case "type":
			ev.kind = d.word(c.text())
		case "subject":
			ev.entry.Account = d.word(c.text())
		case "time":
			ev.time = c.time()
		case "recordedtime":
			ev.entry.Recorded = c.time()
		case "entrykey":
			ev.entry.Key = string(c.text())
		case "entryhash":
			if digits := c.text(); len(digits) != 2*len(Hash{}) || !unhex(ev.entry.Hash[:], digits) {
				return fmt.Errorf("entryhash is not 32 hex digits: %w", ErrCommit)
			}
		case "entrysize":
			ev.size = int(c.int())
		case "actor":
			ev.entry.Actor = d.word(c.text())
		case "usagesource":
			ev.entry.Source = d.word(c.text())
		case "data":
			ev.data = c.raw()
		default:
			c.raw()
		}
		if c.bad {
			return fmt.Errorf("attribute %s: %w", clip(string(name)), ErrCommit)
		}
	}
	if c.bad || ev.kind == "" || ev.data == nil || ev.time.IsZero() || ev.entry.Recorded.IsZero() || ev.size < 0 {
		return fmt.Errorf("type, time, recordedtime or data is missing: %w", ErrCommit)
	}
	return nil
}

func (d *Decoder) event(kind string, data []byte) (Event, error) {
	if kind == "UsageRecorded" {
		u := new(UsageRecorded)
		if d.usage(&cursor{b: data}, u) {
			return u, nil
		}
	}
	e := New(kind)
	if e == nil {
		return nil, fmt.Errorf("kind %q is none that this version knows: %w", clip(kind), ErrCommit)
	}
	if err := json.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return e, nil
}

// usage reads UsageRecorded; false leaves the data to encoding/json, which then says what is wrong.
func (d *Decoder) usage(c *cursor, u *UsageRecorded) bool {
	if !c.open('{') {
		return false
	}
	for first := true; c.next('}', &first); {
		switch string(c.key()) {
		case "meter":
			u.Meter = d.word(c.text())
		case "quantity":
			u.Quantity = c.int()
		case "cost":
			u.Cost = Amount(c.int())
		case "draws":
			if !d.draws(c, u) {
				return false
			}
		case "debt":
			u.Debt = Amount(c.int())
		case "unpaid":
			u.Unpaid = Amount(c.int())
		case "why":
			u.Why = d.word(c.text())
		case "carry":
			carry := c.int()
			u.Carry = &carry
		case "remaining":
			u.Remaining = Amount(c.int())
		case "catalog":
			u.Catalog = uint32(c.int())
		case "description":
			u.Description = string(c.text())
		case "attributes":
			u.Attributes = json.RawMessage(string(c.raw()))
		default:
			return false
		}
	}
	c.space()
	return !c.bad && c.i == len(c.b)
}

func (d *Decoder) draws(c *cursor, u *UsageRecorded) bool {
	if !c.open('[') {
		return false
	}
	for first := true; c.next(']', &first); {
		var w Draw
		if !c.open('{') {
			return false
		}
		for first := true; c.next('}', &first); {
			switch string(c.key()) {
			case "lot":
				w.Lot = d.word(c.text())
			case "pool":
				w.Pool = d.word(c.text())
			case "amount":
				w.Amount = Amount(c.int())
			case "unit":
				w.Unit = d.word(c.text())
			case "cycle":
				w.Cycle = uint32(c.int())
			case "revenue":
				w.Revenue = c.int()
			default:
				return false
			}
		}
		u.Draws = append(u.Draws, w)
	}
	return !c.bad
}

// Word returns b as a string: for those who keep parts of facts, and meet the same ones again and again.
func (d *Decoder) Word(b []byte) string { return d.word(b) }

// word returns the string, the same one for the same bytes as long as the Decoder remembers it.
func (d *Decoder) word(b []byte) string {
	if w, ok := d.words[string(b)]; ok {
		return w
	}
	if len(d.words) >= maxWords {
		clear(d.words)
	}
	if d.words == nil {
		d.words = make(map[string]string)
	}
	w := string(b)
	d.words[w] = w
	return w
}

func parseUUID(dst *[16]byte, text []byte) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	return unhex(dst[0:4], text[0:8]) && unhex(dst[4:6], text[9:13]) && unhex(dst[6:8], text[14:18]) && unhex(dst[8:10], text[19:23]) && unhex(dst[10:16], text[24:36])
}

// unhex reads twice as many hex digits as there are bytes in dst, and is quicker at so few than encoding/hex.
func unhex(dst, digits []byte) bool {
	bad := byte(0)
	for i := range dst {
		high, low := digitOf[digits[2*i]], digitOf[digits[2*i+1]]
		bad |= high | low
		dst[i] = high<<4 | low&0xf
	}
	return bad < 16
}

// digitOf is what a hex digit counts for; 255 for all else.
var digitOf = func() (of [256]byte) {
	for c := range of {
		of[c] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		of[c] = byte(i)
		of[bytes.ToUpper([]byte{c})[0]] = byte(i)
	}
	return of
}()
