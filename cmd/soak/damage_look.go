package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// looks is how often a server is started on damage: views heal at the latest with the second start.
const looks = 2

// look verifies the damaged directory as it is found, or not, starts a server on it, and compares what that says with
// the books. What was not answered is asked again of the next start.
func (b *filled) look(ctx context.Context, rng *rand.Rand) (*findings, error) {
	found := new(findings)
	if rng.IntN(3) == 0 && !b.accept {
		if err := b.verifyStopped(ctx, found); err != nil {
			return nil, err
		}
	}
	for i := range looks {
		cfg := b.cfg
		cfg.Data, cfg.AcceptLostAnchors = b.work, b.accept
		server, err := start(ctx, cfg, b.log)
		if errors.Is(err, errNotServed) {
			found.refused = err.Error()
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		err = b.troubles(ctx, server.url, found)
		for _, t := range b.tenants {
			f := found.of(t)
			f.unanswered = nil
			b.compare(ctx, server.url, f)
		}
		if err == nil {
			err = b.verifyServed(ctx, server.url, found)
		}
		if stopped := server.stop(); err == nil && stopped != nil && i == looks-1 {
			err = stopped // the first one may have met damage while it closed a view
		}
		if err != nil {
			return nil, fmt.Errorf("%w; its log ends with:\n  %s", err, server.lastWords())
		}
		if (found.missing() == "" || found.barred()) && found.wrong() == "" && rng.IntN(3) > 0 {
			break // a second start would show the same
		}
	}
	return found, nil
}

// compare asks everything that the books have of a tenant.
func (b *filled) compare(ctx context.Context, url string, f *finding) {
	late := time.Now().Add(patience)
	if f.barred {
		late = time.Now()
	}
	for question, want := range b.books[f.tenant] {
		got, err := b.answer(ctx, url, question)
		for err != nil && time.Now().Before(late) && retryable(err) {
			select { // a view is folded anew meanwhile
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			got, err = b.answer(ctx, url, question)
		}
		switch {
		case err != nil:
			f.unanswered = append(f.unanswered, fmt.Sprintf("%s: %v", question, err))
			late = time.Now() // the rest waits no more
		case got != want:
			f.wrong = append(f.wrong, fmt.Sprintf("%s: %s", question, difference(want, got)))
		}
	}
}

// patience is how long a tenant's view may take to be there after a start.
const patience = 2 * time.Second

// errUnanswered is an answer that is none.
type errUnanswered struct {
	status int
	body   string
}

func (e *errUnanswered) Error() string { return fmt.Sprintf("%d %s", e.status, e.body) }

// retryable reports whether the same question may be answered a little later.
func retryable(err error) bool {
	var no *errUnanswered
	return errors.As(err, &no) && no.status == http.StatusServiceUnavailable && !strings.Contains(no.body, "journal")
}

// answer asks a question and returns what of its answer has to be the same for ever.
func (b *filled) answer(ctx context.Context, url, question string) (string, error) {
	method, path, _ := strings.Cut(question, " ")
	path, body, _ := strings.Cut(path, " ")
	path, bearer, _ := strings.Cut(path, "#")
	a, err := b.askAs(ctx, url, method, path, body, bearer)
	if err != nil {
		return "", err
	}
	if a.status == http.StatusUnauthorized {
		return "401", nil
	}
	if a.status != http.StatusOK {
		return "", &errUnanswered{a.status, string(a.body)}
	}
	return still(a.body), nil
}

// moving is where a journal stood when it was asked (a start appends to it), and when a key was used.
var moving = regexp.MustCompile(`,?"(position|last_used)":"[^"]*"`)

// still leaves out what moves on by itself.
func still(body []byte) string { return moving.ReplaceAllString(string(body), "") }

// difference shows where two answers part.
func difference(want, got string) string {
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	around := func(s string) string { return s[max(0, at-40):min(len(s), at+80)] }
	return fmt.Sprintf("at byte %d: %q instead of %q", at, around(got), around(want))
}

// verification is what a round reads of a report.
type verification struct {
	OK       bool             `json:"ok"`
	Faults   []string         `json:"faults"`
	Journals []map[string]any `json:"journals"`
}

// add takes up what a verification says, by tenant.
func (f *findings) add(text []byte) error {
	var report verification
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("read the verification %q: %w", text, err)
	}
	if report.OK {
		return nil
	}
	f.noticed += strings.Join(report.Faults, "; ")
	for _, j := range report.Journals {
		if j["ok"] == true {
			continue
		}
		tenant, _ := j["tenant"].(string)
		words, err := json.Marshal(j)
		if err != nil {
			return err
		}
		at := f.of(tenant)
		at.noticed += fmt.Sprintf("verify %s/%v: %s; ", tenant, j["shard"], sequenced(j, words))
	}
	return nil
}

// sequenced puts the sequence of a fault into words, as the command does.
func sequenced(report map[string]any, words []byte) string {
	faults, _ := report["faults"].([]any)
	for _, one := range faults {
		if fault, ok := one.(map[string]any); ok {
			if at, ok := fault["sequence"].(float64); ok && at > 0 {
				return fmt.Sprintf("commit %d: %s", int(at), words)
			}
		}
	}
	return string(words)
}

// troubles asks a server what it knows to be wrong.
func (b *filled) troubles(ctx context.Context, url string, found *findings) error {
	a, err := b.ask(ctx, url, http.MethodGet, "/v1/admin/troubles", "", "")
	if err != nil {
		return err
	}
	var list struct {
		Troubles []struct{ Tenant, View, Reason string }
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return fmt.Errorf("read the troubles: %w", err)
	}
	for _, t := range list.Troubles {
		f := found.of(t.Tenant)
		f.noticed += t.View + " " + t.Reason + "; "
		f.barred = f.barred || t.View == ""
	}
	return nil
}

// verifyServed has a server verify everything.
func (b *filled) verifyServed(ctx context.Context, url string, found *findings) error {
	a, err := b.ask(ctx, url, http.MethodPost, "/v1/admin/verify", "", "")
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("verify: %d %s", a.status, a.body)
	}
	return found.add(a.body)
}

// verifyStopped runs the verification of a stopped server's directory, in a process of its own.
func (b *filled) verifyStopped(ctx context.Context, found *findings) error {
	cfg := b.cfg
	cfg.Data, cfg.Verify = b.work, true
	server, err := start(ctx, cfg, b.log)
	if errors.Is(err, errNotServed) {
		found.noticed += "verify of the stopped server: " + err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	report := server.url // its only line
	if err := server.stop(); err != nil {
		return err
	}
	return found.add([]byte(report))
}
