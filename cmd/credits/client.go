package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// tries is how often one request is sent in all. More than one is safe only because a request
	// that changes anything carries an idempotency key.
	tries = 5
	// longestPause bounds what a server may ask for with Retry-After.
	longestPause = 5 * time.Second
	// longestLine bounds one line of the journal: a commit is at most 768 KiB, one event of it less.
	longestLine = 4 << 20
)

// client speaks the HTTP interface of a server.
type client struct {
	base  string // such as http://127.0.0.1:8080
	key   string // sent as a bearer token unless empty
	http  *http.Client
	pause func(context.Context, time.Duration) error // between tries
}

// request is one request of the interface.
type request struct {
	method string
	path   string     // under the server's base, already escaped
	query  url.Values // may be nil
	body   any        // []byte goes as it is, nil is no body, anything else as JSON
	media  string     // of the body; JSON if empty
	accept string     // media type of the answer; "" for the server's own choice
	id     string     // the idempotency key; "" sends none
	// repeatable says that a POST without a key may be sent twice all the same: it changes nothing,
	// or what it carries has keys of its own.
	repeatable bool
}

// Problem is a refusal or a fault as the server states it (application/problem+json).
type Problem struct {
	Status          int    `json:"status"`
	Title           string `json:"title,omitempty"`
	Detail          string `json:"detail,omitempty"`
	Code            string `json:"code"`
	Field           string `json:"field,omitempty"`
	BlockedBy       string `json:"blocked_by,omitempty"`
	Short           string `json:"short,omitempty"`        // credits that are missing
	NextRenewal     string `json:"next_renewal,omitempty"` // RFC 3339
	Contact         string `json:"contact,omitempty"`
	PendingPurchase string `json:"pending_purchase,omitempty"`

	raw json.RawMessage // the answer as it came, for --output json
}

// Error says what was refused and, where the server knows one, the way out.
func (p *Problem) Error() string {
	text := p.Code
	switch {
	case p.Detail != "":
		text += ": " + p.Detail
	case p.Title != "":
		text += ": " + p.Title
	}
	if p.Field != "" && !strings.Contains(text, p.Field) {
		text += " (field " + p.Field + ")"
	}
	for _, hint := range []struct{ words, value string }{
		{"short of", p.Short},
		{"next renewal", p.NextRenewal},
		{"waiting for payment:", p.PendingPurchase},
		{"contact:", p.Contact},
	} {
		if hint.value != "" && !strings.Contains(text, hint.value) {
			text += "; " + hint.words + " " + hint.value
		}
	}
	if next := nextSteps[p.Code]; next != "" {
		text += "\n" + next
	}
	return text
}

// nextSteps are what somebody at a terminal does next, by the code of a refusal.
var nextSteps = map[string]string{
	"approval_required":       "Give the manager's code with --code.",
	"approval_invalid":        "Give the right one with --code; five wrong ones lock it for 15 minutes.",
	"approval_locked":         "Wait until the lock ends; credits account set ACCOUNT --pin sets a new code, and does not end it.",
	"forbidden":               "Use a key with that scope: credits key list shows which there are, --key or CREDITS_KEY names one.",
	"idempotency_conflict":    "This key stands for another request already: choose another --idempotency-key.",
	"insufficient_credits":    "See why with credits explain ACCOUNT --meter METER; give more with credits buy or credits grant.",
	"meter_not_in_plan":       "See the plans with credits catalog show; change it with credits account set ACCOUNT --plan PLAN.",
	"payment_method_required": "Save one with credits account set ACCOUNT --card REFERENCE.",
	"unauthenticated":         "Name a key with --key or CREDITS_KEY; a server with --dev on this machine needs none.",
	"unknown_meter":           "credits catalog show lists the meters.",
	"unknown_pack":            "credits buy ACCOUNT --list lists the packs.",
	"unknown_plan":            "credits catalog show lists the plans.",
	"unknown_pool":            "credits catalog show lists the pools.",
	"unknown_tenant":          "Name another with --tenant or CREDITS_TENANT, or make it with credits tenant create.",
}

// unreachable means that nothing answered at the address: the request was never sent.
type unreachable struct {
	base string
	err  error
}

func (e *unreachable) Error() string {
	return fmt.Sprintf("no server answers at %s: start one with \"credits serve --dev\", or name another with --server (%v)", e.base, e.err)
}

func (e *unreachable) Unwrap() error { return e.err }

// unknownOutcome means that a change may or may not have happened.
type unknownOutcome struct {
	id  string
	err error
}

func (e *unknownOutcome) Error() string {
	return fmt.Sprintf("%v; whether it took effect is unknown: the same command with --idempotency-key %s is safe", e.err, e.id)
}

func (e *unknownOutcome) Unwrap() error { return e.err }

// send sends a request until it is answered and returns the answer's body, which it also decodes
// into the value given unless that is nil. A refusal is a *Problem. A request that reads, or that
// carries an idempotency key, is repeated when the answer is 503 or never comes.
func (c *client) send(ctx context.Context, r request, into any) (json.RawMessage, error) {
	body, err := encodeBody(r.body)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", r.method, r.path, err)
	}
	repeatable := r.method != http.MethodPost || r.id != "" || r.repeatable
	for try := 1; ; try++ {
		answer, wait, err := c.once(ctx, r, body)
		switch {
		case err == nil && into == nil:
			return answer, nil
		case err == nil:
			if err := json.Unmarshal(answer, into); err != nil {
				return answer, fmt.Errorf("decode the answer to %s %s: %w", r.method, r.path, err)
			}
			return answer, nil
		case wait < 0:
			return nil, err
		case try == tries || !repeatable || ctx.Err() != nil:
			if r.id != "" {
				return nil, &unknownOutcome{r.id, err}
			}
			return nil, err
		}
		if pauseErr := c.pause(ctx, wait); pauseErr != nil {
			return nil, err
		}
	}
}

// once sends the request one time. A negative wait says that repeating would change nothing.
func (c *client) once(ctx context.Context, r request, body []byte) (answer json.RawMessage, wait time.Duration, err error) {
	response, err := c.open(ctx, r, body)
	if err != nil {
		if errors.As(err, new(*unreachable)) || errors.As(err, new(usageError)) {
			return nil, -1, err
		}
		return nil, 200 * time.Millisecond, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return nil, 200 * time.Millisecond, fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err)
	}
	if response.StatusCode < 300 {
		return answer, 0, nil
	}
	problem := readProblem(response, answer)
	if response.StatusCode < 500 {
		return nil, -1, problem
	}
	return nil, retryAfter(response.Header), problem
}

// open sends the request and returns the response with its body unread.
func (c *client) open(ctx context.Context, r request, body []byte) (*http.Response, error) {
	address := strings.TrimRight(c.base, "/") + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(body))
	if err != nil || req.URL.Host == "" {
		return nil, wrongUse("--server %s: a URL such as http://%s is expected", c.base, defaultListen)
	}
	if body != nil {
		media := r.media
		if media == "" {
			media = "application/json"
		}
		req.Header.Set("Content-Type", media)
	}
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if r.id != "" {
		req.Header.Set("Idempotency-Key", r.id)
	}
	response, err := c.http.Do(req)
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return nil, &unreachable{c.base, dial.Err}
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, errors.Unwrap(err))
	}
	return response, nil
}

// lines reads an answer of newline-delimited JSON, one line at a time, for as long as it lasts.
func (c *client) lines(ctx context.Context, r request) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		response, err := c.open(ctx, r, nil)
		if err != nil {
			yield(nil, err)
			return
		}
		defer response.Body.Close()
		if response.StatusCode >= 300 {
			answer, _ := io.ReadAll(response.Body)
			yield(nil, readProblem(response, answer))
			return
		}
		scanner := bufio.NewScanner(response.Body)
		scanner.Buffer(nil, longestLine)
		for scanner.Scan() {
			if len(bytes.TrimSpace(scanner.Bytes())) > 0 && !yield(bytes.Clone(scanner.Bytes()), nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(nil, fmt.Errorf("read %s: %w", r.path, err))
		}
	}
}

func encodeBody(body any) ([]byte, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return body, nil
	}
	return json.Marshal(body)
}

// readProblem makes a Problem of any answer that is not a success, also of one that some other
// program between here and the server has written.
func readProblem(response *http.Response, body []byte) *Problem {
	var problem Problem
	if err := json.Unmarshal(body, &problem); err == nil && problem.Code != "" {
		problem.Status = response.StatusCode
		problem.raw = body
		return &problem
	}
	detail := strings.TrimSpace(string(body))
	if len(detail) > 200 {
		detail = detail[:200] + "…"
	}
	return &Problem{Status: response.StatusCode, Code: "http_" + strconv.Itoa(response.StatusCode), Title: response.Status, Detail: detail}
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 500 * time.Millisecond
	}
	return min(time.Duration(seconds)*time.Second, longestPause)
}

// tenantPath is a path under one tenant; each part is escaped for itself.
func tenantPath(tenant string, parts ...string) string {
	return apiPath(append([]string{"tenants", tenant}, parts...)...)
}

// apiPath is a path of the interface; each part is escaped for itself.
func apiPath(parts ...string) string {
	var path strings.Builder
	path.WriteString("/v1")
	for _, part := range parts {
		path.WriteByte('/')
		path.WriteString(url.PathEscape(part))
	}
	return path.String()
}
