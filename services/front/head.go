package front

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// A plain request, the only one that is answered here (RFC 9112, and a good deal less):
//
//	POST /v1/tenants/… HTTP/1.1      a path of plain segments, without a query or anything percent-encoded
//	Name: value                      each name once, values of printable ASCII, every line ended by CR LF
//	Host, Content-Length             both are there
//	and none of                      Transfer-Encoding, Connection (but keep-alive), Expect, Upgrade, TE, Trailer, …
//
// Bytes are taken for what they are: nothing is trimmed but spaces around a value, and no line is folded.

// The sizes that the front takes, in bytes. What is larger is rare, costs more by its content than by its head, and
// is read by net/http after it is known who asks.
const (
	mostHead  = 4 << 10
	mostBytes = 16 << 10 // of head and body together
	mostLines = 32
)

const (
	lineStart = "POST /v1/tenants/"
	lineEnd   = " HTTP/1.1"
)

// verdict is what is known of a request so far.
type verdict int

const (
	more    verdict = iota // it goes on as a plain one
	whole                  // a plain one
	foreign                // not for the front
)

// head reads the heads of one connection's requests, line by line as they come. Lines that are those of the request
// before, as most are, cost a comparison.
type head struct {
	at      int // bytes read of this one
	lines   int // of them
	path    string
	length  int // of the body
	host    string
	fields  []field
	header  http.Header // made of fields
	changed bool        // fields are others than those that header was made of
}

// field is one line of a header.
type field struct {
	line   []byte // as it was sent
	name   string // canonical
	value  []string
	length int // when it is Content-Length
}

// reset begins the next request.
func (h *head) reset() { h.at, h.lines = 0, 0 }

// read goes on where it stood; b holds all that there is of the request. After whole, at is where the body begins.
func (h *head) read(b []byte) verdict {
	for {
		n := bytes.IndexByte(b[h.at:], '\n')
		if n < 0 {
			if len(b) > mostHead || h.lines == 0 && !mayStart(b) {
				return foreign
			}
			return more
		}
		line := b[h.at : h.at+n]
		h.at += n + 1
		if n == 0 || line[n-1] != '\r' || h.at > mostHead {
			return foreign
		}
		line = line[:n-1]
		switch {
		case h.lines == 0:
			if !h.requestLine(line) {
				return foreign
			}
		case len(line) == 0:
			return h.end()
		case !h.fieldLine(line):
			return foreign
		}
		h.lines++
	}
}

// mayStart reports whether b may go on as a plain request's first line.
func mayStart(b []byte) bool {
	n := min(len(b), len(lineStart))
	return string(b[:n]) == lineStart[:n]
}

func (h *head) requestLine(line []byte) bool {
	if len(line) < len(lineStart)+len(lineEnd) || !mayStart(line) || string(line[len(line)-len(lineEnd):]) != lineEnd {
		return false
	}
	path := line[len("POST ") : len(line)-len(lineEnd)]
	for i, c := range path {
		if !plainPath[c] {
			return false
		}
		// A segment that is empty or begins with a dot is left to those who know what it means.
		if c == '/' && (i+1 == len(path) || path[i+1] == '/' || path[i+1] == '.') {
			return false
		}
	}
	if string(path) != h.path {
		h.path = string(path)
	}
	return true
}

// fieldLine reads a line of the header.
func (h *head) fieldLine(line []byte) bool {
	i := h.lines - 1
	if i < len(h.fields) && bytes.Equal(h.fields[i].line, line) {
		return true
	}
	if i == mostLines {
		return false
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return false
	}
	value := bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	if i < len(h.fields) && bytes.HasPrefix(h.fields[i].line, line[:colon+1]) {
		f := &h.fields[i] // of the same name
		f.line = append(f.line[:0], line...)
		f.value[0] = string(value) // in the header, too
		h.changed = h.changed || f.name == "Host" || f.name == "Content-Length"
		return f.check()
	}
	f := field{line: bytes.Clone(line), name: nameOf(line[:colon]), value: []string{string(value)}}
	if f.name == "" || h.occurs(f.name, i) || !f.check() {
		return false
	}
	h.fields = append(h.fields[:i], f) // those behind it are read anew
	h.changed = true
	return true
}

// nameOf is the canonical form of a name, "" when it is none.
func nameOf(name []byte) string {
	for _, c := range name {
		if !token[c] {
			return ""
		}
	}
	return textproto.CanonicalMIMEHeaderKey(string(name))
}

// occurs reports whether a line before i has the name.
func (h *head) occurs(name string, i int) bool {
	for k := range h.fields[:i] {
		if h.fields[k].name == name {
			return true
		}
	}
	return false
}

// check looks at the fields that say something about the connection, or about where the request ends.
func (f *field) check() bool {
	value := f.value[0]
	switch f.name {
	case "Content-Length":
		return f.readLength(value)
	case "Host":
		return value != "" && strings.IndexFunc(value, func(c rune) bool { return !plainHost[c] }) < 0
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect", "Keep-Alive", "Proxy-Connection", "Http2-Settings", "Pragma":
		return false
	}
	return true
}

// readLength takes a number as it is usually written.
func (f *field) readLength(value string) bool {
	if value == "" || len(value) > len("99999") || value[0] == '0' && len(value) > 1 {
		return false
	}
	f.length = 0
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return false
		}
		f.length = 10*f.length + int(c-'0')
	}
	return true
}

// end is the empty line behind the header.
func (h *head) end() verdict {
	if n := h.lines - 1; n < len(h.fields) {
		h.fields, h.changed = h.fields[:n], true
	}
	if h.changed {
		h.arrange()
	}
	if h.host == "" || h.length < 0 || h.at+h.length > mostBytes {
		return foreign
	}
	return whole
}

// arrange makes the header of the fields.
func (h *head) arrange() {
	h.changed, h.host, h.length = false, "", -1
	if h.header == nil {
		h.header = make(http.Header, len(h.fields))
	}
	clear(h.header)
	for i := range h.fields {
		f := &h.fields[i]
		switch f.name {
		case "Host":
			h.host = f.value[0]
			continue // net/http leaves it out of the header, too
		case "Content-Length":
			h.length = f.length
		}
		h.header[f.name] = f.value
	}
}

// fill writes what was read into a request.
func (h *head) fill(r *http.Request) {
	if r.URL.Path != h.path {
		*r.URL = url.URL{Path: h.path}
	}
	r.RequestURI, r.Host, r.Header, r.ContentLength = h.path, h.host, h.header, int64(h.length)
}

// set is a set of ASCII characters.
type set [256]bool

func setOf(chars string) (s set) {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for _, c := range []byte(alphanumeric + chars) {
		s[c] = true
	}
	return s
}

// plainPath are the characters of a path that mean themselves and that no encoding of it writes otherwise; token
// those of a name (RFC 9110 §5.6.2); plainHost those of a host with a port.
var (
	plainPath = setOf("/-._~$&+,:;=@")
	token     = setOf("!#$%&'*+-.^_`|~")
	plainHost = setOf(".:-_[]")
)
