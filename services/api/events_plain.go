package api

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// events_plain.go reads in one go what nearly every event looks like: known attributes once each, texts of plain
// ASCII, the data a meter and a quantity. Whatever else there is, a fault above all, is left to readEvent, which
// has to read a plain event alike; a fuzz test compares the two.

// decoder decodes events. One that serves many messages makes less of what they have in common.
type decoder struct {
	source, meter string      // of the event before: mostly the next one's, too
	uses          []rules.Use // room for commands; what was handed out is not used again
	canonical     []byte
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// usesAtOnce is how many commands are made together. They live as long as the last of them.
const usesAtOnce = 64

func (d *decoder) use() *rules.Use {
	if len(d.uses) == 0 {
		d.uses = make([]rules.Use, usesAtOnce)
	}
	use := &d.uses[0]
	d.uses = d.uses[1:]
	return use
}

// plain appends the events of text, one or an array of them, or reports that they are not all plain ones.
func (d *decoder) plain(dst []usageEvent, text []byte) (events []usageEvent, ok bool) {
	s := plainScan{text: text}
	s.space()
	if !s.next('[') {
		var e plainEvent
		if !s.event(&e) || !s.ended() || !e.check() {
			return dst, false
		}
		return append(dst, d.request(&e)), true
	}
	from := len(dst)
	if s.space(); s.next(']') {
		return dst, s.ended()
	}
	for {
		var e plainEvent
		if s.space(); !s.event(&e) || !e.check() || len(dst)-from == maxEvents {
			return dst[:from], false
		}
		dst = append(dst, d.request(&e))
		if s.space(); s.next(']') {
			return dst, s.ended()
		}
		if !s.next(',') {
			return dst[:from], false
		}
	}
}

// request makes what is asked for of an event.
func (d *decoder) request(e *plainEvent) (event usageEvent) {
	if string(e.source) != d.source {
		d.source = string(e.source)
	}
	if string(e.meter) != d.meter {
		d.meter = string(e.meter)
	}
	use := d.use()
	use.Meter, use.Quantity, use.Time = d.meter, e.count, e.at
	r := &event.Request
	r.Key, r.Source, r.Account, r.Command = string(e.id), d.source, string(e.subject), use
	r.Hash = d.hash(e)
	return event
}

// hash is contentHash(boundBy(event), "event").
func (d *decoder) hash(e *plainEvent) credit.Hash {
	dst := appendText(append(d.canonical[:0], 1), "event")
	dst = append(dst, '{', 3)
	if e.time != nil {
		dst[len(dst)-1] = 4
	}
	dst = appendText(dst, "data")
	dst = appendBytes(append(appendText(append(dst, '{', 2), "meter"), '"'), e.meter)
	dst = appendBytes(append(appendText(dst, "quantity"), '#'), e.quantity)
	dst = appendBytes(append(appendText(dst, "source"), '"'), e.source)
	dst = appendBytes(append(appendText(dst, "subject"), '"'), e.subject)
	if e.time != nil {
		dst = appendBytes(append(appendText(dst, "time"), '"'), e.time)
	}
	d.canonical = dst
	sum := sha256.Sum256(dst)
	return credit.Hash(sum[:len(credit.Hash{})])
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// plainEvent is the attributes of an event, parts of its text.
type plainEvent struct {
	specversion, id, source, kind, subject, time, media []byte
	meter, quantity                                     []byte
	count                                               int64
	at                                                  time.Time
}

// check checks what readEvent checks of a plain event, and reads its number and its time.
func (e *plainEvent) check() bool {
	if string(e.specversion) != "1.0" || string(e.kind) != UsageType {
		return false
	}
	if !isName(e.id, maxKey) || !isName(e.source, maxKey) || !isName(e.subject, maxID) || !isName(e.meter, maxID) {
		return false
	}
	if len(e.quantity) == 0 || len(e.quantity) > len("1000000000000") {
		return false
	}
	for _, c := range e.quantity {
		if c < '0' || c > '9' {
			return false
		}
		e.count = 10*e.count + int64(c-'0')
	}
	if e.quantity[0] == '0' || e.count > maxQuantity {
		return false
	}
	if e.time != nil {
		at, err := parseTime(string(e.time))
		e.at = at
		return err == nil
	}
	return true
}

// isName leaves a text that begins with a space to those who know whether it is empty.
func isName(b []byte, most int) bool { return len(b) > 0 && len(b) <= most && b[0] != ' ' }

// plainScan is a scan that gives up at whatever is not plain.
type plainScan struct {
	text []byte
	i    int
}

func (s *plainScan) space() {
	for s.i < len(s.text) && (s.text[s.i] == ' ' || s.text[s.i] == '\n' || s.text[s.i] == '\t' || s.text[s.i] == '\r') {
		s.i++
	}
}

func (s *plainScan) next(c byte) bool {
	if s.i < len(s.text) && s.text[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *plainScan) ended() bool {
	s.space()
	return s.i == len(s.text)
}

// string reads a text of printable ASCII in which nothing is escaped.
func (s *plainScan) string() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	rest := s.text[s.i:]
	n := firstSpecial(rest)
	if n == len(rest) || rest[n] != '"' {
		return nil, false
	}
	s.i += n + 1
	return rest[:n:n], true
}

// name reads a field's name and the colon.
func (s *plainScan) name() (name []byte, ok bool) {
	s.space()
	if name, ok = s.string(); !ok {
		return nil, false
	}
	if s.space(); !s.next(':') {
		return nil, false
	}
	s.space()
	return name, true
}

// object reads an object; member reads the value of one that has the name.
func (s *plainScan) object(member func(name []byte) bool) bool {
	if !s.next('{') {
		return false
	}
	for {
		name, ok := s.name()
		if !ok || !member(name) {
			return false
		}
		if s.space(); s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// once reads a text into a place where there is none yet.
func (s *plainScan) once(into *[]byte) bool {
	if *into != nil {
		return false
	}
	var ok bool
	*into, ok = s.string()
	return ok
}

func (s *plainScan) event(e *plainEvent) bool {
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "specversion":
			return s.once(&e.specversion)
		case "id":
			return s.once(&e.id)
		case "source":
			return s.once(&e.source)
		case "type":
			return s.once(&e.kind)
		case "subject":
			return s.once(&e.subject)
		case "time":
			return s.once(&e.time)
		case "datacontenttype":
			return s.once(&e.media)
		case "data":
			return e.meter == nil && e.quantity == nil && s.record(e)
		}
		return false
	})
}

func (s *plainScan) record(e *plainEvent) bool {
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "meter":
			return s.once(&e.meter)
		case "quantity":
			if e.quantity != nil {
				return false
			}
			start := s.i
			for s.i < len(s.text) && !isDelimiter(s.text[s.i]) {
				s.i++
			}
			e.quantity = s.text[start:s.i:s.i]
			return true
		}
		return false
	})
}
