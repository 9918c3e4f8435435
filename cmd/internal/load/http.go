package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// overHTTP posts over one kept connection. It writes requests and reads plain answers by hand: the client of
// net/http uses two goroutines a connection, and would take more of the processor than the server that shares it.
type overHTTP struct {
	address string // host:port
	conn    net.Conn
	answers *bufio.Reader
	body    []byte
	sent    []byte
	answer  []byte
}

func newOverHTTP(base string) *overHTTP {
	return &overHTTP{address: strings.TrimPrefix(base, "http://")}
}

// answerWithin bounds how long an answer may take; the connection has one bound, renewed by the minute.
const answerWithin = time.Minute

// ask posts o.body and returns the answer, which is good until the next one.
func (o *overHTTP) ask(ctx context.Context, path, media, headers string) ([]byte, error) {
	if o.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.address)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", o.address, err)
		}
		o.conn, o.answers = conn, bufio.NewReader(conn)
	}
	o.compose(path, media, headers)
	if err := o.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return nil, err
	}
	if _, err := o.conn.Write(o.sent); err != nil {
		return nil, fmt.Errorf("post %s: %w", path, err)
	}
	status, err := o.read()
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", path, err)
	}
	if status/100 != 2 {
		return nil, fmt.Errorf("post %s: %d: %.300s", path, status, o.answer)
	}
	return o.answer, nil
}

// compose writes the request into o.sent, with o.body as its body.
func (o *overHTTP) compose(path, media, headers string) {
	o.sent = append(append(append(o.sent[:0], "POST /v1/tenants/"+tenantName...), path...), " HTTP/1.1\r\nHost: "...)
	o.sent = append(append(append(o.sent, o.address...), "\r\nContent-Type: "...), media...)
	o.sent = append(append(o.sent, headers...), "\r\nContent-Length: "...)
	o.sent = append(strconv.AppendInt(o.sent, int64(len(o.body)), 10), "\r\n\r\n"...)
	o.sent = append(o.sent, o.body...)
}

// read reads an answer into o.answer.
func (o *overHTTP) read() (status int, err error) {
	if _, err := o.answers.Peek(1); err != nil { // waits until something is there
		return 0, err
	}
	there, _ := o.answers.Peek(o.answers.Buffered())
	if status, head, length := plainHead(there); head > 0 {
		if _, err := o.answers.Discard(head); err != nil {
			return 0, err
		}
		o.answer = slices.Grow(o.answer[:0], length)[:length]
		_, err := io.ReadFull(o.answers, o.answer)
		return status, err
	}
	response, err := http.ReadResponse(o.answers, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	o.answer, err = readAll(response.Body, o.answer[:0])
	return response.StatusCode, err
}

var headEnd, contentLength = []byte("\r\n\r\n"), []byte("\r\nContent-Length: ")

// plainHead reads the head of an answer that is all there and says how long the body is: as those of our server.
// head is its size in bytes, 0 for any other.
func plainHead(b []byte) (status, head, length int) {
	end := bytes.Index(b, headEnd)
	if end < len("HTTP/1.1 200") || !bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		return 0, 0, 0
	}
	status, err := strconv.Atoi(string(b[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	_, text, found := bytes.Cut(b[:end], contentLength)
	if err != nil || !found {
		return 0, 0, 0
	}
	text, _, _ = bytes.Cut(text, []byte("\r"))
	if length, err = strconv.Atoi(string(text)); err != nil || length < 0 {
		return 0, 0, 0
	}
	return status, end + len(headEnd), length
}

// readAll appends all of r to dst.
func readAll(r io.Reader, dst []byte) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

func (o *overHTTP) Charge(ctx context.Context, batch []Charge) error {
	answer, err := o.ask(ctx, "/events", o.charges(batch), "")
	if err != nil {
		return err
	}
	return readCharges(answer, len(batch))
}

// charges makes o.body a request for a batch, and returns its media type.
func (o *overHTTP) charges(batch []Charge) (media string) {
	o.body = appendCharges(o.body[:0], batch)
	if len(batch) > 1 {
		return "application/cloudevents-batch+json"
	}
	return "application/cloudevents+json"
}

func (o *overHTTP) check(ctx context.Context, account string) error {
	answer, err := o.ask(ctx, o.checks(account), "application/json", "")
	if err != nil {
		return err
	}
	return readCheck(answer)
}

// checks makes o.body a check, and returns its path.
func (o *overHTTP) checks(account string) (path string) {
	o.body = append(o.body[:0], `{"meter":"`+meter+`","quantity":1}`...)
	return "/accounts/" + account + "/check"
}

func (o *overHTTP) Close() {
	if o.conn != nil {
		_ = o.conn.Close() // all answers were read
	}
}
