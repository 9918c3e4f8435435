package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// The sizes of bodies in bytes.
const (
	maxBody   = 1 << 20
	maxBatch  = 4 << 20
	maxImport = 64 << 20
)

// call is one request on its way through the HTTP door.
type call struct {
	*API
	ctx       context.Context
	w         http.ResponseWriter
	r         *http.Request
	route     *route
	principal credentials.Principal
	tenant    *accounts.Tenant // nil where the path has none
	account   string           // "" where the path has none
	key       string           // the Idempotency-Key, "" when there is none
	body      *bytes.Buffer
}

// reply is what a handler answers: a status and a value to encode as JSON, or nothing when it has
// written the answer itself.
type reply struct {
	status  int
	body    any
	written bool
}

func ok(body any) (reply, error)      { return reply{status: http.StatusOK, body: body}, nil }
func created(body any) (reply, error) { return reply{status: http.StatusCreated, body: body}, nil }

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// release gives back what the call borrowed. What was read from the body must not be used any more.
func (c *call) release() {
	if c.body != nil && c.body.Cap() <= maxBody {
		c.body.Reset()
		bodies.Put(c.body)
	}
	c.body = nil
}

// now is the time that keys, tokens and reads go by.
func (c *call) now() time.Time { return c.cfg.Accounts.Clock().Now() }

// scale is the number of decimals of the tenant's amounts.
func (c *call) scale() int { return scaleOf(c.tenant) }

func scaleOf(t *accounts.Tenant) int {
	if catalog := t.Books().Current(); catalog != nil {
		return catalog.Scale
	}
	return 6
}

// readKey reads the Idempotency-Key: where an endpoint requires it, it has to be there.
func (c *call) readKey() error {
	keys := c.r.Header["Idempotency-Key"]
	switch {
	case len(keys) == 0 && c.route.key == keyRequired:
		return invalid("Idempotency-Key", "this request needs an Idempotency-Key header: a text of your own that names it, the same when you repeat it")
	case len(keys) == 0 || c.route.key == keyNone:
		return nil
	case len(keys) > 1:
		return invalid("Idempotency-Key", "send one Idempotency-Key, not several")
	}
	if err := checkKey("Idempotency-Key", keys[0]); err != nil {
		return err
	}
	c.key = keys[0]
	return nil
}

// findTenant resolves the path. It comes after authorize: a key learns nothing about other tenants.
func (c *call) findTenant() error {
	if !c.route.ofTenant() {
		return nil
	}
	var err error
	if c.tenant, err = c.cfg.Accounts.Tenant(c.r.PathValue("tenant")); err != nil {
		return err
	}
	if c.route.ofAccount() {
		c.account = c.r.PathValue("account")
		return checkID("account", c.account)
	}
	return nil
}

// text reads the whole body of at most limit bytes. It belongs to the call.
func (c *call) text(limit int64) ([]byte, error) {
	if c.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if c.body == nil {
		c.body = bodies.Get().(*bytes.Buffer)
	}
	_, err := c.body.ReadFrom(http.MaxBytesReader(c.w, c.r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, invalid("", "the body ended early or could not be read")
	}
	return c.body.Bytes(), nil
}

// object reads the body as one JSON object; no body at all is an empty object.
func (c *call) object() (object, error) {
	text, err := c.text(maxBody)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	return parseObject(text)
}

// do carries out a command on the account of the path. sent is the body; operation names what was asked
// for, with the parts of the path that belong to it.
func (c *call) do(command rules.Command, sent object, operation ...string) (accounts.Answer, error) {
	request := accounts.Request{Account: c.account, Key: c.key, Actor: c.principal.Actor, Command: command}
	if c.key != "" {
		request.Hash = contentHash(sent, operation...)
	}
	answer := c.tenant.Do(c.ctx, request)
	return answer, answer.Err
}

// position is where the tenant stands after an answer: at its entry, or, when nothing had to change, at
// the latest commit of the account's shard.
func (c *call) position(answer *accounts.Answer) string {
	p := answer.Position
	if p.Sequence == 0 {
		p = headOf(c.tenant, c.account)
	}
	return p.String()
}

func headOf(t *accounts.Tenant, account string) accounts.Position {
	shard := t.Shard(account)
	for number, s := range t.Shards() {
		if s == shard {
			return accounts.Position{Shard: number, Sequence: shard.Head()}
		}
	}
	return accounts.Position{}
}

// write sends a reply and returns its status.
func (c *call) write(answer reply) int {
	if answer.written {
		return answer.status
	}
	out := bodies.Get().(*bytes.Buffer)
	defer func() {
		if out.Cap() <= maxBody {
			out.Reset()
			bodies.Put(out)
		}
	}()
	header := c.w.Header()
	if err := encode(out, answer.body); err != nil {
		c.log.Error("encode an answer", "operation", c.route.id, "error", err)
		answer.status = http.StatusServiceUnavailable
		out.Reset()
	}
	if _, isProblem := answer.body.(*Problem); isProblem {
		header["Content-Type"] = problemType
	} else {
		header["Content-Type"] = jsonType
	}
	header["Cache-Control"] = noStore
	header.Set("Content-Length", strconv.Itoa(out.Len()))
	c.w.WriteHeader(answer.status)
	if _, err := io.Copy(c.w, out); err != nil {
		c.log.Debug("send an answer", "operation", c.route.id, "error", err)
	}
	return answer.status
}

var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
)

func (c *call) panicked(p any) error {
	c.log.Error("a request broke an invariant", "operation", c.route.id, "panic", p, "stack", string(debug.Stack()))
	return fmt.Errorf("%w: the server met a fault of its own and has logged it", accounts.ErrUnavailable)
}
