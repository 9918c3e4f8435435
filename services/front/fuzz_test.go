package front

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"testing"
)

// What the front takes for a whole request, the parser of net/http reads alike: the same path, host, header and body, ending
// at the same byte. That holds after any other request on the connection, and however the text came in.
func FuzzHead(f *testing.F) {
	plain := request(often, "abc", "Authorization: Bearer x", "Idempotency-Key: k")
	for _, text := range []string{
		plain, request(often, ""), "POST /v1/tenants/t/often HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
		"POST /v1/tenants/t/often HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "POST /v1/tenants/%41 HTTP/1.1\r\nHost:h\r\nContent-Length:\t1 \r\nA: b\r\n c\r\n\r\nx",
	} {
		f.Add([]byte(plain), []byte(text), 7)
	}
	f.Fuzz(func(t *testing.T, before, text []byte, cut int) {
		var h head
		if h.read(before) != whole {
			h = head{} // the connection would have been handed over
		}
		h.reset()
		at := more
		if cut > 0 && cut < len(text) {
			at = h.read(text[:cut])
		}
		if at == more {
			at = h.read(text)
		}
		if at != whole || len(text) < h.at+h.length {
			return
		}
		r := &http.Request{URL: new(url.URL), Method: http.MethodPost}
		h.fill(r)
		reader := bufio.NewReader(bytes.NewReader(text))
		theirs, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("taken for a request, and net/http says %v: %q", err, text)
		}
		body, err := io.ReadAll(theirs.Body)
		if err != nil || !bytes.Equal(body, text[h.at:h.at+h.length]) {
			t.Fatalf("the body is %q here and %q, %v to net/http", text[h.at:h.at+h.length], body, err)
		}
		rest, _ := io.ReadAll(reader)
		if !bytes.Equal(rest, text[h.at+h.length:]) {
			t.Fatalf("the next request begins at %q here, at %q to net/http", text[h.at+h.length:], rest)
		}
		if r.Method != theirs.Method || r.Host != theirs.Host || r.RequestURI != theirs.RequestURI || r.ContentLength != theirs.ContentLength || theirs.Close || len(theirs.TransferEncoding) > 0 {
			t.Fatalf("read %+v, net/http %+v", r, theirs)
		}
		if !reflect.DeepEqual(r.URL, theirs.URL) || !reflect.DeepEqual(r.Header, theirs.Header) {
			t.Fatalf("read %+v %q, net/http %+v %q", r.URL, r.Header, theirs.URL, theirs.Header)
		}
	})
}
