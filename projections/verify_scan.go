package projections

import (
	"bytes"
	"encoding/json"
	"strings"

	"creditstream/events/credit"

	"github.com/google/uuid"
)

// scanner reads JSON a token at a time. It is of verification alone, and knows no more of the codec that wrote what it
// reads than the names of the fields: any order of them will do. It gives up at whatever is seldom (a name that is not
// known or comes twice, a null, a number that is no small integer), and encoding/json then reads the whole commit
// anew: what is a fault and what is not, that alone says.
type scanner struct {
	text []byte
	at   int
	lost bool // nothing that follows is to be believed
}

func (s *scanner) giveUp() { s.lost, s.at = true, len(s.text) }

// peek is the next byte that is no space; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// expect steps over one byte, which has to be next.
func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.giveUp()
		return
	}
	s.at++
}

// each calls item at each item of a list between two brackets.
func (s *scanner) each(open, end byte, item func()) {
	if s.expect(open); s.peek() == end {
		s.at++
		return
	}
	for !s.lost {
		item()
		if s.peek() == end {
			s.at++
			return
		}
		s.expect(',')
	}
}

// fields calls value at the value of each field of an object. No name comes twice.
func (s *scanner) fields(value func(name []byte)) {
	var seen [16][]byte
	n := 0
	s.each('{', '}', func() {
		name := s.bytes()
		for i := range n {
			if bytes.Equal(seen[i], name) {
				s.giveUp()
			}
		}
		if s.expect(':'); n == len(seen) || s.lost {
			s.giveUp()
			return
		}
		at := s.at
		value(name)
		if s.at == at {
			s.giveUp() // nobody wanted it
		}
		seen[n] = name
		n++
	})
}

// bytes is a text of plain ASCII without an escape.
func (s *scanner) bytes() []byte {
	s.expect('"')
	from := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1]
		case c < 0x20 || c >= 0x80 || c == '\\':
			s.giveUp()
			return nil
		}
	}
	s.giveUp()
	return nil
}

// written is a text that somebody wrote: it may be any.
func (s *scanner) written() (text string) {
	if json.Unmarshal(s.value(), &text) != nil {
		s.giveUp()
	}
	return text
}

// number is an integer of at most 18 digits.
func (s *scanner) number() (n int64) {
	sign := int64(1)
	if s.peek() == '-' {
		sign, s.at = -1, s.at+1
	}
	from := s.at
	for ; s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9'; s.at++ {
		if s.at-from >= 18 {
			s.giveUp()
			return 0
		}
		n = n*10 + int64(s.text[s.at]-'0')
	}
	if s.at == from || s.text[from] == '0' && s.at > from+1 {
		s.giveUp()
		return 0
	}
	return sign * n
}

// small is a number that a uint32 holds.
func (s *scanner) small() uint32 {
	n := s.number()
	if n < 0 || n > 1<<32-1 {
		s.giveUp()
	}
	return uint32(n)
}

// value is the text of whatever comes next: where it ends, not whether it is well-formed.
func (s *scanner) value() []byte {
	first := s.peek()
	from := s.at
	switch first {
	case '"':
		s.passText()
	case '{', '[':
		for depth := 0; s.at < len(s.text); {
			switch s.text[s.at] {
			case '"':
				s.passText()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if s.at++; depth == 0 {
				return s.text[from:s.at]
			}
		}
		s.giveUp()
		return nil
	default:
		for s.at < len(s.text) && !strings.ContainsRune(",]}[{\": \n\t\r", rune(s.text[s.at])) {
			s.at++
		}
	}
	if s.at == from || s.lost {
		s.giveUp()
		return nil
	}
	return s.text[from:s.at]
}

// passText steps over a text.
func (s *scanner) passText() {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.giveUp()
}

// words are texts that come again and again, by their bytes.
type words map[string]string

// maxWords bounds the words that are remembered.
const maxWords = 65_536

func (w words) of(text []byte) string {
	if word, ok := w[string(text)]; ok {
		return word
	}
	if len(w) >= maxWords {
		clear(w)
	}
	word := string(text)
	w[word] = word
	return word
}

// events reads the events of a commit; false when encoding/json has to.
func (w words) events(body []byte, events []cloudEvent) ([]cloudEvent, bool) {
	s := &scanner{text: body}
	s.each('[', ']', func() {
		events = append(events, cloudEvent{})
		w.event(s, &events[len(events)-1])
	})
	return events, s.peek() == 0 && s.at == len(body) && !s.lost
}

func (w words) event(s *scanner, ev *cloudEvent) {
	s.fields(func(name []byte) {
		switch string(name) {
		case "specversion":
			ev.SpecVersion = w.of(s.bytes())
		case "id":
			id, err := uuid.ParseBytes(s.bytes())
			if ev.ID = id; err != nil {
				s.giveUp()
			}
		case "source":
			s.bytes()
		case "type":
			ev.Type = w.of(s.bytes())
		case "subject":
			ev.Subject = w.of(s.bytes())
		case "time":
			if ev.Time.UnmarshalText(s.bytes()) != nil {
				s.giveUp()
			}
		case "recordedtime":
			if ev.RecordedTime.UnmarshalText(s.bytes()) != nil {
				s.giveUp()
			}
		case "entrykey":
			ev.EntryKey = string(s.bytes())
		case "entryhash":
			ev.EntryHash = string(s.bytes())
		case "entrysize":
			ev.EntrySize = int(s.number())
		case "actor":
			ev.Actor = w.of(s.bytes())
		case "usagesource":
			ev.UsageSource = w.of(s.bytes())
		case "data":
			ev.Data = s.value()
		}
	})
}

// usage reads the data of a use; nil when encoding/json has to.
func (w words) usage(data []byte) *credit.UsageRecorded {
	s, u := &scanner{text: data}, new(credit.UsageRecorded)
	s.fields(func(name []byte) {
		switch string(name) {
		case "meter":
			u.Meter = w.of(s.bytes())
		case "quantity":
			u.Quantity = s.number()
		case "cost":
			u.Cost = credit.Amount(s.number())
		case "draws":
			u.Draws = make([]credit.Draw, 0, 1)
			s.each('[', ']', func() { u.Draws = append(u.Draws, w.draw(s)) })
		case "debt":
			u.Debt = credit.Amount(s.number())
		case "unpaid":
			u.Unpaid = credit.Amount(s.number())
		case "why":
			u.Why = w.of(s.bytes())
		case "carry":
			carry := s.number()
			u.Carry = &carry
		case "remaining":
			u.Remaining = credit.Amount(s.number())
		case "catalog":
			u.Catalog = s.small()
		case "description":
			u.Description = s.written()
		case "attributes":
			if u.Attributes = s.value(); !json.Valid(u.Attributes) {
				s.giveUp()
			}
		}
	})
	if s.peek(); s.lost || s.at != len(data) {
		return nil
	}
	return u
}

func (w words) draw(s *scanner) (d credit.Draw) {
	s.fields(func(name []byte) {
		switch string(name) {
		case "lot":
			d.Lot = w.of(s.bytes())
		case "pool":
			d.Pool = w.of(s.bytes())
		case "amount":
			d.Amount = credit.Amount(s.number())
		case "unit":
			d.Unit = w.of(s.bytes())
		case "cycle":
			d.Cycle = s.small()
		case "revenue":
			d.Revenue = s.number()
		}
	})
	return d
}
