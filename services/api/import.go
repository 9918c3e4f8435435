package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

const (
	importChunk    = 500  // accounts decided together
	maxRefusedList = 1000 // refused lines that are listed one by one
)

func importRoutes() []route {
	return []route{{
		id: "importAccounts", method: http.MethodPost, path: tenantPath + "/accounts/batch", scope: credentials.Admin, key: keyRequired, stream: true,
		summary: "Open many accounts with the credits they had elsewhere",
		detail: "Newline-delimited JSON, one account a line, streamed, at most 64 MiB. Each line is opened or refused for itself. " +
			"The key counts for each account: what was opened by an earlier attempt is told as `replayed`.",
		request: ImportLine{}, requestMedia: "application/x-ndjson", answer: ImportAnswer{}, codes: []rules.Code{rules.CodeTooLarge}, handle: importAccounts,
	}}
}

// ImportLine is one account of an import.
type ImportLine struct {
	Account string `json:"account" maxLength:"128"`
	AccountRequest
	Lots []ImportLot `json:"lots,omitempty"`
}

// ImportLot is what is left of one grant that was given elsewhere.
type ImportLot struct {
	Pool    string     `json:"pool"`
	Credits string     `json:"credits" example:"120.5"`
	Starts  *time.Time `json:"starts,omitempty" doc:"Default now."`
	Expires *time.Time `json:"expires,omitempty" doc:"Default by the pool's rule."`
	Kind    string     `json:"kind,omitempty" enum:"opening,allowance,purchase,sold,goodwill,promotion"`
	Price   *Money     `json:"price,omitempty" doc:"Net revenue of the lot that is still to be recognised."`
}

// ImportAnswer counts what became of the lines, and lists the first thousand that were refused.
type ImportAnswer struct {
	Opened   int           `json:"opened"`
	Replayed int           `json:"replayed"`
	Refused  int           `json:"refused"`
	Refusals []LineRefused `json:"refusals"`
	Position string        `json:"position,omitempty"`
}

// LineRefused is a line that opened nothing.
type LineRefused struct {
	Line    int    `json:"line" doc:"From 1."`
	Account string `json:"account,omitempty"`
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Detail  string `json:"detail"`
}

// importer reads lines and decides them in chunks.
type importer struct {
	*call
	scale    int
	requests []accounts.Request
	lines    []int
	answer   ImportAnswer
}

func importAccounts(c *call) (reply, error) {
	im := &importer{call: c, scale: c.scale(), answer: ImportAnswer{Refusals: []LineRefused{}}}
	control := http.NewResponseController(c.w)
	lines := bufio.NewScanner(http.MaxBytesReader(c.w, c.r.Body, maxImport))
	lines.Buffer(make([]byte, 64<<10), maxBody)
	number := 0
	for lines.Scan() {
		number++
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			im.add(number, line)
		}
		if len(im.requests) < importChunk {
			continue
		}
		if err := im.decide(control); err != nil {
			return reply{}, err
		}
	}
	if err := lineFault(lines.Err(), number); err != nil {
		return reply{}, err
	}
	if err := im.decide(control); err != nil {
		return reply{}, err
	}
	im.answer.Position = im.call.furthest().String()
	return ok(im.answer)
}

func lineFault(err error, line int) error {
	var over *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &over):
		return tooLarge(maxImport)
	case errors.Is(err, bufio.ErrTooLong):
		return &rules.Refusal{Code: rules.CodeTooLarge, Detail: fmt.Sprintf("line %d is longer than %d bytes", line+1, maxBody)}
	}
	return invalid("", fmt.Sprintf("the body ended early, after line %d", line))
}

// add reads one line.
func (im *importer) add(number int, line []byte) {
	sent, err := parseObject(line)
	if err != nil {
		im.refuse(number, "", err)
		return
	}
	f := fieldsOf(sent, "", "account", "plan", "timezone", "anchor", "payment_method", "metadata", "lots")
	account := f.id("account")
	command := rules.ImportAccount{}
	command.PutAccount, _ = f.account()
	command.Lots = f.lots(im.scale)
	if err := f.err(); err != nil {
		im.refuse(number, account, err)
		return
	}
	im.lines = append(im.lines, number)
	im.requests = append(im.requests, accounts.Request{
		Account: account, Key: im.key, Hash: contentHash(sent, "import"), Actor: im.principal.Actor, Command: command,
	})
}

func (f *fields) lots(scale int) []rules.OpeningLot {
	v, ok := f.sent("lots")
	if !ok {
		return nil
	}
	if !v.isArray() {
		f.refuse("lots", "a list is expected")
		return nil
	}
	var lots []rules.OpeningLot
	for i, e := range v.elements() {
		name := fmt.Sprintf("lots[%d]", i)
		if !e.isObject() {
			f.refuse(name, "an object is expected")
			return nil
		}
		in := fieldsOf(e.members(), name+".", "pool", "credits", "starts", "expires", "kind", "price")
		lots = append(lots, rules.OpeningLot{
			Pool: in.id("pool"), Credits: in.amount("credits", scale, true), Starts: in.time("starts"), Ends: in.time("expires"),
			Kind: in.optional("kind", maxID), Price: in.money("price"),
		})
		if f.fault == nil {
			f.fault = in.fault
		}
	}
	return lots
}

// decide carries out what was read. Each chunk gets the time of one request, so that a large import is no
// slow client.
func (im *importer) decide(control *http.ResponseController) error {
	if len(im.requests) == 0 {
		return nil
	}
	deadline := time.Now().Add(time.Minute)
	if err := errors.Join(control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)); err != nil {
		return fmt.Errorf("prolong an import: %w", err)
	}
	ctx, cancel := context.WithTimeout(im.ctx, im.cfg.AnswerWithin)
	defer cancel()
	answers := im.tenant.DoAll(ctx, im.requests)
	for i := range answers {
		switch a := &answers[i]; {
		case isUnknown(a.Err):
			return a.Err
		case a.Err != nil:
			im.refuse(im.lines[i], im.requests[i].Account, a.Err)
		case a.Replayed:
			im.answer.Replayed++
		default:
			im.answer.Opened++
		}
	}
	im.requests, im.lines = im.requests[:0], im.lines[:0]
	return nil
}

func (im *importer) refuse(line int, account string, err error) {
	im.answer.Refused++
	if len(im.answer.Refusals) < maxRefusedList {
		p := ProblemOf(err, im.scale)
		im.answer.Refusals = append(im.answer.Refusals, LineRefused{Line: line, Account: clip(account), Code: p.Code, Field: p.Field, Detail: p.Detail})
	}
}

// furthest is where the tenant's first shard stands.
func (c *call) furthest() accounts.Position {
	return accounts.Position{Sequence: c.tenant.Shards()[0].Head()}
}
