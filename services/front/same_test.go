package front

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Requests that the front answers are answered as by net/http, byte for byte but for the date, whatever came before
// them on the connection and however they are cut into packets.
func TestAnswersAsNetHTTP(t *testing.T) {
	w := newWorld(t, tell)
	const path = "/v1/tenants/t/often"
	for name, texts := range map[string][]string{
		"one":          {request(path, "body")},
		"no body":      {request(path, "")},
		"several":      {request(path, "a"), request("/v1/tenants/other/accounts/b@c.d,$&+;=~/often", "bb"), request(path, "")},
		"at once":      {request(path, "a") + request(path, "b", "Accept: x") + request(path, "ccc")},
		"byte by byte": strings.Split(request(path, "abc", "Accept: */*")+request(path, "d"), ""),
		"large":        {request(path, strings.Repeat("x", 12<<10)), request(path, "small"), request(path, strings.Repeat("y", 12<<10))},
		"large in pieces": {
			request(path, strings.Repeat("x", 12<<10))[:3000], request(path, strings.Repeat("x", 12<<10))[3000:] + request(path, "z")[:20], request(path, "z")[20:],
		},
		"who asks changes": {
			request(path, "a", "Authorization: Bearer one"), request(path, "a", "Authorization: Bearer two"), request(path, "a"),
			request(path, "a", "Authorization: Bearer one"),
		},
		"headers come and go": {
			request(path, "a", "A: 1", "B: 2", "C: 3"), request(path, "a", "B: 2", "A: 1"), request(path, "a", "A: 1", "B: 3", "C: 3"),
			request(path, "a", "B: 2"), request(path, "ab", "B: 2"), request(path, "a", "Cookie: x", "b: 2", "B-: 4", "Empty:", "Spaces: \t x y\t "),
		},
		"another length": {request(path, "a"), request(path, "abc"), request(path, "ab"), request(path, "")},
		"another host":   {request(path, "a"), strings.Replace(request(path, "a"), "here:80", "there", 1), strings.Replace(request(path, "a"), "here:80", "[::1]:80", 1)},
		"kept":           {request(path, "a", "Connection: keep-alive"), request(path, "b", "connection: Keep-Alive")},
	} {
		plain := 0
		for _, text := range texts {
			plain += strings.Count(text, "HTTP/1.1")
		}
		if name == "byte by byte" {
			plain = 2
		}
		texts = append(texts, last)
		w.often.Store(0)
		got, want := converse(w.ahead.dial, texts...), converse(w.plain.dial, texts...)
		if got != want || !strings.Contains(want, "402 Payment Required") {
			t.Errorf("%s: answered\n%s\nnet/http answers\n%s", name, got, want)
		}
		if n := int(w.often.Load()); name != "large in pieces" && n != plain {
			t.Errorf("%s: the front answered %d of %d", name, n, plain)
		}
	}
}

// What is not a plain request, or none at all, is treated as net/http treats it: it is refused where it is refused there,
// and what follows it on the connection is read from the same place.
func TestForeignAsNetHTTP(t *testing.T) {
	w := newWorld(t, tell)
	const path, often = "/v1/tenants/t/often", "POST /v1/tenants/t/often HTTP/1.1\r\n"
	body := func(head string) string { return often + head + "\r\nabc" }
	cases := []string{
		"", "\r\n", "\r", "\n\n\n\n", "\r\n\r\n\r\n", "\r\n\r\n" + request(path, "a"), "GARBAGE\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /v1/tenants/t/often HTTP/1.1\r\nHost: h\r\n\r\n", "POST " + path + " HTTP/1.0\r\nContent-Length: 1\r\n\r\na", "post " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na",
		"POST " + path + "  HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST  " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST " + path + "\r\n\r\n",
		strings.Replace(request(path, "a"), "HTTP/1.1", "HTTP/1.2", 1), strings.Replace(request(path, "a"), "HTTP/1.1", "HTTP/11", 1), strings.ReplaceAll(request(path, "a"), "\r\n", "\n"),
		strings.Replace(request(path, "a"), "\r\n", "\r", 1), strings.Replace(request(path, "a"), "\r\n\r\n", "\n\n", 1), strings.Replace(request(path, "a"), "here", "he\rre", 1),
		request("/v1/tenants/t/often?x=1", "a"), request("/v1/tenants/t%2Fu/often", "a"), request("/v1/tenants//often", "a"), request("/v1/tenants/../often", "a"),
		request("/v1/tenants/t/./often", "a"), request("/v1/tenants/t/often/", "a"), request("/v1/tenants/t!/often", "a"), request("/v1/tenants/\xff/often", "a"),
		request("/v1/tenants/t/often#x", "a"), request("/v1/tenants/a b/often", "a"), request("/v1/tenants/\x00/often", "a"), request("http://else/v1/tenants/t/often", "a"),
		request("/v1/tenants/t/seldom", "a"), request("/", "a"), request("/v1/tenants/", "a"),
		body("Content-Length: 3\r\n"), body("Host: h\r\n"), body("Host: \r\nContent-Length: 3\r\n"), body("Host: h\r\nHost: h\r\nContent-Length: 3\r\n"), body("Host: a/b\r\nContent-Length: 3\r\n"), body("Host: a b\r\nContent-Length: 3\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n"), body("Host: h\r\nContent-Length: 3\r\ncontent-length: 4\r\n"), body("Host: h\r\nContent-Length: 3, 3\r\n"),
		body("Host: h\r\nContent-Length: +3\r\n"), body("Host: h\r\nContent-Length: -3\r\n"), body("Host: h\r\nContent-Length: 0x3\r\n"), body("Host: h\r\nContent-Length: 03\r\n"),
		body("Host: h\r\nContent-Length: \r\n"), body("Host: h\r\nContent-Length: 3 3\r\n"), body("Host: h\r\nContent-Length: 99999999999999999999\r\n"), body("Host: h\r\nContent-Length : 3\r\n"),
		body("Host: hh\nContent-Length: 3\r\n"), body("Host: h\r\nContent-Length: 3\r\nAuthorization: secret\n"), body("Host: h\r\n Content-Length: 3\r\n"), body("Host: h\r\nContent-Length: 3\r\n folded\r\n"), body("Host: h\r\nX: a\r\n\tb\r\nContent-Length: 3\r\n"), body("Host: h\r\nContent-Length:\v3\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"), often + "Host: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		body("Host: h\r\nTransfer-Encoding: xchunked\r\nContent-Length: 3\r\n"), body("Host: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n"), body("Host: h\r\nContent-Length: 3\r\nTransfer_Encoding: chunked\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"), body("Host: h\r\nContent-Length: 3\r\nExpect: something\r\n"), body("Host: h\r\nContent-Length: 3\r\nConnection: close\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"), body("Host: h\r\nContent-Length: 3\r\nConnection: keep-alive, close\r\n"), body("Host: h\r\nContent-Length: 3\r\nTrailer: X\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nPragma: no-cache\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: 1\r\nA: 2\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: 1\r\na: 2\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nno colon\r\n"), body("Host: h\r\nContent-Length: 3\r\n: no name\r\n"), body("Host: h\r\nContent-Length: 3\r\nA\x00: b\r\n"), body("Host: h\r\nContent-Length: 3\r\nA(: b\r\n"),
		body("Host: h\r\nContent-Length: 3\r\nA: \x00\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: \x7f\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: ü\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: b\rc\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: b\r\r\n"),
		body("Host: h\r\nContent-Length: 3\r\n" + strings.Repeat("A", 5000) + ": b\r\n"), body("Host: h\r\nContent-Length: 3\r\nA: " + strings.Repeat("b", 30<<10) + "\r\n"), body("Host: h\r\nContent-Length: 3\r\n" + manyLines(40)),
		body("Host: h\r\nContent-Length: 3\r\n" + manyLines(5000)), request(path, strings.Repeat("x", 20<<10)), "POST /v1/tenants/" + strings.Repeat("t", 5000) + "/often HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		often + "Host: h\r\nContent-Length: 5\r\n\r\nab", often + "Host: h\r\n", "POST /v1/ten",
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i, text := range cases {
		for when, texts := range map[string][]string{
			"first": {text, last}, "after a plain one": {request(path, "x", "Authorization: Bearer y"), text, request(path, "z"), last}, "in one go": {request(path, "x") + text + last},
		} {
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				if got, want := converse(w.ahead.dial, texts...), converse(w.plain.dial, texts...); got != want {
					t.Errorf("case %d, %s: %.300q\n is answered  %.1500q\n by net/http %.1500q", i, when, text, got, want)
				}
			})
		}
	}
	wait.Wait()
}

// What the front reads before anybody was asked who he is, is bounded.
func TestLargeRequestsAreForeign(t *testing.T) {
	for what, text := range map[string]string{
		"body": request(often, strings.Repeat("x", mostBytes)), "line": request(often, "", "A: "+strings.Repeat("x", mostHead)), "half of a line": "POST " + often + strings.Repeat("x", mostHead),
		"lines": request(often, "", strings.Split(strings.TrimSuffix(manyLines(mostLines), "\r\n"), "\r\n")...), "short lines": request(often, "", strings.Split(strings.Repeat("A-Line: x,", mostHead/12), ",")...),
	} {
		if at := new(head).read([]byte(text)); at != foreign {
			t.Errorf("%s: the front takes it (%d)", what, at)
		}
	}
	if at := new(head).read([]byte(request(often, strings.Repeat("x", mostBytes-200)))); at != whole {
		t.Errorf("a request of less is not taken (%d)", at)
	}
}

func manyLines(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "Line-%d: x\r\n", i)
	}
	return lines.String()
}

// Statuses and headers of every kind are written as net/http writes them.
func TestWritesAsNetHTTP(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/plain") },
		"only text": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "a")
		},
		"several": func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Content-Type"], h["Z"], h["B"] = []string{"x"}, []string{"1", "2"}, []string{"broken\r\nline"}
			w.WriteHeader(http.StatusServiceUnavailable)
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, "b")
		},
		"sometimes": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			if r.ContentLength > 0 {
				w.Header().Set("Retry-After", "1")
			}
		},
		"reads nothing": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusUnauthorized)
		},
		"reads a part": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.CopyN(w, r.Body, 2)
		},
		"aborts": func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				panic(http.ErrAbortHandler)
			}
		},
	} {
		w := newWorld(t, serve)
		texts := []string{request("/v1/tenants/t/often", "abcd"), request("/v1/tenants/t/often", ""), last}
		if got, want := converse(w.ahead.dial, texts...), converse(w.plain.dial, texts...); got != want {
			t.Errorf("%s: answered\n%s\nnet/http answers\n%s", name, got, want)
		}
	}
}
