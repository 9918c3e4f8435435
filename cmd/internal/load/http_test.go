package load

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// An answer is read whole and no further, however it comes.
func TestAnswersOverHTTPAreReadWhole(t *testing.T) {
	long := strings.Repeat("0123456789", 2000)
	for _, answer := range []struct {
		text, body string
		status     int
	}{
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "{}", 200},
		{"HTTP/1.1 409 Conflict\r\nContent-Length: 20000\r\nDate: x\r\n\r\n" + long, long, 409},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd", 200},
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "", 503},
	} {
		twice := answer.text + answer.text
		for name, from := range map[string]io.Reader{"at once": strings.NewReader(twice), "byte by byte": iotest.OneByteReader(strings.NewReader(twice))} {
			o := &overHTTP{answers: bufio.NewReader(from)}
			for range 2 {
				if status, err := o.read(); err != nil || status != answer.status || string(o.answer) != answer.body {
					t.Errorf("%.30q, %s: %d %.30q, %v", answer.text, name, status, o.answer, err)
				}
			}
			if _, err := o.read(); err == nil || fmt.Sprint(err) != "EOF" {
				t.Errorf("%.30q, %s: after the last answer: %v", answer.text, name, err)
			}
		}
	}
	o := &overHTTP{answers: bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"))}
	if _, err := o.read(); err == nil {
		t.Error("half an answer was taken for a whole one")
	}
}
