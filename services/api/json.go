package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// json.go reads JSON as it was sent and keeps what encoding/json forgets: which fields were there, how
// often, and the text of numbers. encoding/json checks the grammar; the walk below relies on that.

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

// parseArray reads one JSON array.
func parseArray(text []byte) ([]value, error) {
	v, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	if v[0] != '[' {
		return nil, invalid("", "the body has to be one JSON array")
	}
	return v.elements(), nil
}

// parseValue checks text in every respect that does not depend on what it means.
func parseValue(text []byte) (value, error) {
	if !utf8.Valid(text) {
		return nil, invalid("", "the body is not UTF-8")
	}
	if !json.Valid(text) {
		return nil, invalid("", "the body is not JSON: "+syntaxFault(text))
	}
	text = bytes.Trim(text, " \t\r\n")
	if _, err := strict(text, 0, 0); err != nil {
		return nil, err
	}
	return text, nil
}

func syntaxFault(text []byte) string {
	var raw json.RawMessage
	err := json.Unmarshal(text, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v, at byte %d", syntax, syntax.Offset)
	}
	return "it is empty"
}

// strict walks over the value at text[i:] and returns where it ends. It refuses a name that occurs
// twice, half of a surrogate pair, and too deep a nesting.
func strict(text []byte, i, depth int) (end int, err error) {
	if depth > maxDepth {
		return 0, invalid("", fmt.Sprintf("the body is nested more than %d deep", maxDepth))
	}
	switch text[i] {
	case '"':
		return strictString(text, i)
	case '{':
		return strictObject(text, i, depth)
	case '[':
		i = skipSpace(text, i+1)
		for text[i] != ']' {
			if i, err = strict(text, i, depth+1); err != nil {
				return 0, err
			}
			i = skipComma(text, i)
		}
		return i + 1, nil
	}
	for i < len(text) && !isDelimiter(text[i]) {
		i++
	}
	return i, nil
}

func strictObject(text []byte, i, depth int) (end int, err error) {
	var few [16]string
	names := few[:0]
	var many map[string]bool
	i = skipSpace(text, i+1)
	for text[i] != '}' {
		if end, err = strictString(text, i); err != nil {
			return 0, err
		}
		name := value(text[i:end]).unquote()
		if occurs(name, names, many) {
			return 0, invalid(clip(name), "this name occurs twice in one object")
		}
		if len(names) == cap(few[:]) && many == nil {
			many = make(map[string]bool)
		}
		if many != nil {
			many[name] = true
		} else {
			names = append(names, name)
		}
		i = skipSpace(text, end)
		if i, err = strict(text, skipSpace(text, i+1), depth+1); err != nil {
			return 0, err
		}
		i = skipComma(text, i)
	}
	return i + 1, nil
}

func occurs(name string, names []string, many map[string]bool) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return many[name]
}

// strictString returns the end of the string that starts at i.
func strictString(text []byte, i int) (end int, err error) {
	for i++; text[i] != '"'; i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		switch unit := hex4(text[i+1:]); {
		case unit >= 0xdc00 && unit <= 0xdfff:
			return 0, invalid("", "a text holds half of a surrogate pair")
		case unit >= 0xd800 && unit <= 0xdbff:
			if text[i+5] != '\\' || text[i+6] != 'u' {
				return 0, invalid("", "a text holds half of a surrogate pair")
			}
			if low := hex4(text[i+7:]); low < 0xdc00 || low > 0xdfff {
				return 0, invalid("", "a text holds half of a surrogate pair")
			}
			i += 6
		}
		i += 4
	}
	return i + 1, nil
}

// skip is strict for what was checked before: it returns the end of the value at i.
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

func hex4(text []byte) int {
	n, err := strconv.ParseUint(string(text[:4]), 16, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// members are the fields of an object that was checked.
func (v value) members() object {
	o := make(object, 0, 6)
	i := skipSpace(v, 1)
	for v[i] != '}' {
		end := skip(v, i)
		name := value(v[i:end]).unquote()
		i = skipSpace(v, skipSpace(v, end)+1)
		end = skip(v, i)
		o = append(o, member{name, value(v[i:end])})
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
		list = append(list, value(v[i:end]))
		i = skipComma(v, end)
	}
	return list
}

func (v value) isNull() bool   { return len(v) > 0 && v[0] == 'n' }
func (v value) isString() bool { return len(v) > 0 && v[0] == '"' }
func (v value) isObject() bool { return len(v) > 0 && v[0] == '{' }
func (v value) isArray() bool  { return len(v) > 0 && v[0] == '[' }

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
