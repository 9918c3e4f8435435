package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// scene is one programme on stage: what a client of that tenant does, and what the tenant's help
// page promises about it. The first fault that is neither expected nor a refusal stays in err and
// everything after it does nothing, so that a scene reads like the story it tells.
type scene struct {
	ctx    context.Context
	out    io.Writer
	marks  marks
	tenant string
	client *client // as the operator
	person *client // as the account executive, a person with a key of their own

	calls        int // for idempotency keys that are the same in every run
	acknowledged map[string]bool
	kept, broken int
	err          error
}

// marks are how a kept and a broken promise look.
type marks struct{ kept, broken, off string }

func marksFor(coloured bool) marks {
	if coloured {
		return marks{"\x1b[32m✓\x1b[0m", "\x1b[31m✗\x1b[0m", "\x1b[0m"}
	}
	return marks{"✓", "✗", ""}
}

// promise records and prints whether a promise of the page is kept. The rule is its number in
// docs/; got is shown when it is not.
func (s *scene) promise(rule, words string, kept bool, got ...any) {
	if s.err != nil {
		return
	}
	if kept {
		s.kept++
		fmt.Fprintf(s.out, "  %s %-4s%s\n", s.marks.kept, rule, words)
		return
	}
	s.broken++
	fmt.Fprintf(s.out, "  %s %-4s%s: got %+v\n", s.marks.broken, rule, words, got)
}

// call sends a request. A refusal is returned; a fault stays in err.
func (s *scene) call(c *client, r request, into any) *Problem {
	if s.err != nil {
		return nil
	}
	if r.method == http.MethodPost {
		s.calls++
		r.id = "demo-" + strconv.Itoa(s.calls)
	}
	_, err := c.send(s.ctx, r, into)
	var problem *Problem
	if errors.As(err, &problem) && problem.Status < 500 {
		return problem
	}
	s.err = err
	return nil
}

// must is call for what has to succeed.
func (s *scene) must(c *client, r request, into any) {
	if problem := s.call(c, r, into); problem != nil {
		s.err = fmt.Errorf("%s %s: %w", r.method, r.path, problem)
	}
}

func (s *scene) at(account string, parts ...string) string {
	return tenantPath(s.tenant, append([]string{"accounts", account}, parts...)...)
}

// open opens an account.
func (s *scene) open(account string, settings map[string]any) {
	s.must(s.client, request{method: http.MethodPut, path: s.at(account), body: settings}, nil)
}

// use records a usage.
func (s *scene) use(account, meter string, quantity int64) (usageAnswer, *Problem) {
	var answer usageAnswer
	problem := s.call(s.client, request{
		method: http.MethodPost, path: s.at(account, "usage"),
		body: map[string]any{"meter": meter, "quantity": quantity},
	}, &answer)
	if problem == nil && s.err == nil {
		s.acknowledged[account+"\x00demo-"+strconv.Itoa(s.calls)] = true
	}
	return answer, problem
}

// used records a usage that has to be accepted.
func (s *scene) used(account, meter string, quantity int64) {
	if _, problem := s.use(account, meter, quantity); problem != nil {
		s.err = fmt.Errorf("use %d of %s by %s: %w", quantity, meter, account, problem)
	}
}

// buy requests a purchase.
func (s *scene) buy(account string, what map[string]any) (purchase, *Problem) {
	var p purchase
	problem := s.call(s.client, request{method: http.MethodPost, path: s.at(account, "purchases"), body: what}, &p)
	return p, problem
}

// settle makes the sandbox provider confirm a payment.
func (s *scene) settle(p purchase) {
	s.must(s.client, request{method: http.MethodPost, path: tenantPath(s.tenant, "payments", "sandbox", p.Purchase, "succeed")}, nil)
}

// bought requests a purchase that has to be accepted, and has it paid.
func (s *scene) bought(account string, what map[string]any) purchase {
	p, problem := s.buy(account, what)
	if problem != nil {
		s.err = fmt.Errorf("buy for %s: %w", account, problem)
	}
	s.settle(p)
	return p
}

// grant gives credits as the account executive.
func (s *scene) grant(account string, body map[string]any) *Problem {
	return s.call(s.person, request{method: http.MethodPost, path: s.at(account, "grants"), body: body}, nil)
}

// balance reads an account.
func (s *scene) balance(account string) balance {
	var b balance
	s.must(s.client, request{method: http.MethodGet, path: s.at(account, "balance")}, &b)
	return b
}

// pool is one pool of a balance; a pool without lots may be left out of it.
func (b balance) pool(name string) poolBalance {
	for _, p := range b.Pools {
		if p.Pool == name {
			return p
		}
	}
	return poolBalance{Pool: name, terms: terms{Total: "0", Used: "0", Held: "0", Expired: "0", Revoked: "0", Frozen: "0", Remaining: "0"}}
}

// code is the code of a refusal, "" of none.
func (p *Problem) code() string {
	if p == nil {
		return ""
	}
	return p.Code
}

// moveClock moves the server's test clock.
func moveClock(ctx context.Context, c *client, to time.Time) error {
	_, err := c.send(ctx, request{
		method: http.MethodPost,
		path:   apiPath("admin", "test-clock"),
		body:   map[string]string{"now": to.Format(time.RFC3339Nano)},
		id:     keyOr(""),
	}, nil)
	if err != nil {
		return fmt.Errorf("move the clock to %s: %w", to.Format(time.RFC3339), err)
	}
	return nil
}
