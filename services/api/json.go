package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// json.go reads JSON as it was sent and keeps what encoding/json forgets: which fields were there, how
// often, and the text of numbers. scan.go has checked all of a text before anything here looks into it.

// maxDepth is how deep a body may be nested.
const maxDepth = 32

// value is the text of one JSON value, without space around it.
type value []byte

// member is one field of an object.
type member struct {
	name  string
	value value
}

// object is the fields of a JSON object in the order sent. No name occurs twice in it, or in any object
// within it.
type object []member

func (o object) get(name string) value {
	for i := range o {
		if o[i].name == name {
			return o[i].value
		}
	}
	return nil
}

// parseObject reads one JSON object. Its values are parts of text.
func parseObject(text []byte) (object, error) {
	v, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	if v[0] != '{' {
		return nil, invalid("", "the body has to be one JSON object")
	}
	return v.members(), nil
}

// parseValue checks text in every respect that does not depend on what it means.
func parseValue(text []byte) (value, error) {
	if !utf8.Valid(text) {
		return nil, invalid("", "the body is not UTF-8")
	}
	s := scan{text: text}
	s.space()
	start := s.i
	ok := s.value(0)
	end := s.i
	s.space()
	if ok && s.i == len(text) {
		return text[start:end], nil
	}
	if s.fault != nil {
		return nil, s.fault
	}
	return nil, invalid("", "the body is not JSON: "+syntaxFault(text))
}

func syntaxFault(text []byte) string {
	var raw json.RawMessage
	err := json.Unmarshal(text, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && len(text) > 0 {
		return fmt.Sprintf("%v, at byte %d", syntax, syntax.Offset)
	}
	return "it is empty"
}

// skip returns the end of the value at i, in text that was checked before.
func skip(text []byte, i int) int {
	switch text[i] {
	case '"':
		for i++; text[i] != '"'; i++ {
			if text[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		depth := 0
		for {
			switch text[i] {
			case '"':
				i = skip(text, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(text) && !isDelimiter(text[i]) {
		i++
	}
	return i
}

func skipSpace(text []byte, i int) int {
	for text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r' {
		i++
	}
	return i
}

func skipComma(text []byte, i int) int {
	if i = skipSpace(text, i); text[i] == ',' {
		return skipSpace(text, i+1)
	}
	return i
}

func isDelimiter(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r'
}

// members are the fields of an object that was checked.
func (v value) members() object {
	o := make(object, 0, 6)
	i := skipSpace(v, 1)
	for v[i] != '}' {
		end := skip(v, i)
		name := nameOf(v[i:end])
		i = skipSpace(v, skipSpace(v, end)+1)
		end = skip(v, i)
		o = append(o, member{name, v[i:end]})
		i = skipComma(v, end)
	}
	return o
}

// elements are the values of an array that was checked.
func (v value) elements() []value {
	var list []value
	i := skipSpace(v, 1)
	for v[i] != ']' {
		end := skip(v, i)
		list = append(list, v[i:end])
		i = skipComma(v, end)
	}
	return list
}

func (v value) isNull() bool   { return len(v) > 0 && v[0] == 'n' }
func (v value) isString() bool { return len(v) > 0 && v[0] == '"' }
func (v value) isObject() bool { return len(v) > 0 && v[0] == '{' }
func (v value) isArray() bool  { return len(v) > 0 && v[0] == '[' }

// nameOf is the text of a field's name; those that nearly all requests have cost no memory.
func nameOf(v value) string {
	switch string(v) {
	case `"id"`:
		return "id"
	case `"type"`:
		return "type"
	case `"time"`:
		return "time"
	case `"data"`:
		return "data"
	case `"meter"`:
		return "meter"
	case `"source"`:
		return "source"
	case `"subject"`:
		return "subject"
	case `"quantity"`:
		return "quantity"
	case `"attributes"`:
		return "attributes"
	case `"description"`:
		return "description"
	case `"specversion"`:
		return "specversion"
	case `"datacontenttype"`:
		return "datacontenttype"
	}
	return v.unquote()
}

// unquote is the text of a string.
func (v value) unquote() string {
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		panic("api: a string that was checked cannot be read: " + err.Error())
	}
	return s
}

func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
