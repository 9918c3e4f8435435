package api

import (
	"fmt"

	"creditstream/services/rules"
)

// scan goes once over a text: its grammar is that of RFC 8259, and beyond it a name that occurs twice in
// an object, half of a surrogate pair and too deep a nesting are refused. Its methods move i behind what
// they read and report whether it was well-formed; fault says what else was wrong.
type scan struct {
	text  []byte
	i     int
	fault *rules.Refusal
}

func (s *scan) refuse(field, detail string) bool {
	s.fault = invalid(field, detail)
	return false
}

func (s *scan) space() {
	for s.i < len(s.text) {
		switch s.text[s.i] {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return
		}
	}
}

// next consumes one byte if it is c.
func (s *scan) next(c byte) bool {
	if s.i < len(s.text) && s.text[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scan) value(depth int) bool {
	if depth > maxDepth {
		return s.refuse("", fmt.Sprintf("the body is nested more than %d deep", maxDepth))
	}
	if s.i >= len(s.text) {
		return false
	}
	switch s.text[s.i] {
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case '"':
		return s.string()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scan) word(w string) bool {
	if len(s.text)-s.i < len(w) || string(s.text[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scan) array(depth int) bool {
	s.i++
	if s.space(); s.next(']') {
		return true
	}
	for {
		s.space()
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		if s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scan) object(depth int) bool {
	s.i++
	if s.space(); s.next('}') {
		return true
	}
	var seen names
	for {
		s.space()
		start := s.i
		if s.i >= len(s.text) || s.text[s.i] != '"' || !s.string() {
			return false
		}
		if name := nameOf(s.text[start:s.i]); !seen.add(name) {
			return s.refuse(clip(name), "this name occurs twice in one object")
		}
		s.space()
		if !s.next(':') {
			return false
		}
		s.space()
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// names are those of one object: nearly all have few, and a hostile one has many.
type names struct {
	few  [16]string
	n    int
	many map[string]bool
}

// add reports whether the name is new.
func (s *names) add(name string) bool {
	for _, seen := range s.few[:s.n] {
		if seen == name {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many[name] {
		return false
	}
	if s.many == nil {
		s.many = make(map[string]bool)
	}
	s.many[name] = true
	return true
}

func (s *scan) string() bool {
	for s.i++; s.i < len(s.text); s.i++ {
		switch c := s.text[s.i]; {
		case c == '"':
			s.i++
			return true
		case c < 0x20:
			return false
		case c == '\\' && !s.escape():
			return false
		}
	}
	return false
}

// escape leaves i at the last byte of an escape.
func (s *scan) escape() bool {
	if s.i++; s.i >= len(s.text) {
		return false
	}
	switch s.text[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
	default:
		return false
	}
	unit, ok := s.hex4()
	if !ok || unit < 0xd800 || unit > 0xdfff {
		return ok
	}
	if unit < 0xdc00 && len(s.text)-s.i > 2 && s.text[s.i+1] == '\\' && s.text[s.i+2] == 'u' {
		s.i += 2
		low, ok := s.hex4()
		if !ok || low >= 0xdc00 && low <= 0xdfff {
			return ok
		}
	}
	return s.refuse("", "a text holds half of a surrogate pair")
}

// hex4 reads the four digits behind i and leaves i at the last of them.
func (s *scan) hex4() (unit int, ok bool) {
	if len(s.text)-s.i <= 4 {
		return 0, false
	}
	for range 4 {
		s.i++
		switch c := s.text[s.i]; {
		case c >= '0' && c <= '9':
			unit = unit<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			unit = unit<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			unit = unit<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}

func (s *scan) number() bool {
	s.next('-')
	if !s.next('0') && !s.digits() {
		return false
	}
	if s.next('.') && !s.digits() {
		return false
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		return s.digits()
	}
	return true
}

func (s *scan) digits() bool {
	start := s.i
	for s.i < len(s.text) && s.text[s.i] >= '0' && s.text[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}
