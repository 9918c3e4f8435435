package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answering starts a server that answers request n with the n-th of the answers, and with the last
// one from then on. It stands for what a real server cannot be made to do on command: to be away.
func answering(t *testing.T, answers ...http.HandlerFunc) (c *client, asked *atomic.Int32, paused *[]time.Duration) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	paused = new([]time.Duration)
	c = &client{base: server.URL, http: server.Client(), pause: func(_ context.Context, d time.Duration) error {
		*paused = append(*paused, d)
		return nil
	}}
	return c, asked, paused
}

func away(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "2")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, `{"code":"unavailable","detail":"not now"}`)
}

func recordedAnswer(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, `{"status":"recorded","cost":"`+r.Header.Get("Idempotency-Key")+`"}`)
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestClientRepeatsWithTheSameKey(t *testing.T) {
	c, asked, paused := answering(t, away, hangUp, recordedAnswer)
	var answer usageAnswer
	if _, err := c.send(t.Context(), request{method: http.MethodPost, path: "/v1/x", id: "key-1"}, &answer); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 3 || answer.Cost != "key-1" {
		t.Errorf("asked %d times, answered %+v", asked.Load(), answer)
	}
	// Go's own transport may repeat what a kept connection lost: no pause of ours then.
	if len(*paused) == 0 || (*paused)[0] != 2*time.Second {
		t.Errorf("paused %v, but the server asked for 2 seconds first", *paused)
	}
}

func TestClientSaysThatAnOutcomeIsUnknown(t *testing.T) {
	c, asked, _ := answering(t, away)
	_, err := c.send(t.Context(), request{method: http.MethodPost, path: "/v1/x", id: "key-1"}, nil)
	var unknown *unknownOutcome
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "--idempotency-key key-1") {
		t.Errorf("got %v", err)
	}
	if asked.Load() != tries {
		t.Errorf("asked %d times instead of %d", asked.Load(), tries)
	}
}

func TestClientNeverRepeatsAChangeWithoutAKey(t *testing.T) {
	c, asked, _ := answering(t, away)
	if _, err := c.send(t.Context(), request{method: http.MethodPost, path: "/v1/x"}, nil); err == nil {
		t.Error("a 503 was taken for an answer")
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestClientTakesARefusalForAnAnswer(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusPaymentRequired)
		io.WriteString(w, `{"status":402,"code":"insufficient_credits","detail":"2 credits are missing","short":"2","contact":"ask Ana"}`)
	}
	c, asked, _ := answering(t, refuse)
	_, err := c.send(t.Context(), request{method: http.MethodPost, path: "/v1/x", id: "key-1"}, nil)
	var problem *Problem
	if !errors.As(err, &problem) || problem.Code != "insufficient_credits" || asked.Load() != 1 {
		t.Fatalf("asked %d times, got %v", asked.Load(), err)
	}
	if want := "insufficient_credits: 2 credits are missing; contact: ask Ana\nSee why with credits explain ACCOUNT --meter METER; give more with credits buy or credits grant."; err.Error() != want {
		t.Errorf("says  %q\nwants %q", err, want)
	}
}

func TestClientMakesAProblemOfAnyAnswer(t *testing.T) {
	c, _, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "<html>some proxy</html>")
	})
	_, err := c.send(t.Context(), request{method: http.MethodGet, path: "/v1/x"}, nil)
	var problem *Problem
	if !errors.As(err, &problem) || problem.Code != "http_404" || !strings.Contains(err.Error(), "some proxy") {
		t.Errorf("got %v", err)
	}
}

func TestLinesEndWithTheFaultThatBrokeThemOff(t *testing.T) {
	c, _, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "{\"id\":\"1\"}\n\n{\"id\":\"2\"}\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	var lines int
	var last error
	for line, err := range c.lines(t.Context(), request{method: http.MethodGet, path: "/v1/x"}) {
		if err != nil {
			last = err
			continue
		}
		if len(line) > 0 {
			lines++
		}
	}
	if lines != 2 || last == nil {
		t.Errorf("%d lines, then %v: a stream that broke off must not look complete", lines, last)
	}
}

func TestPathsEscapeWhatUsersName(t *testing.T) {
	if got, want := tenantPath("tecpet", "accounts", "a/b ç?"), "/v1/tenants/tecpet/accounts/a%2Fb%20%C3%A7%3F"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A refusal says what to do next, and with --output json it is what the server sent.
func TestARefusalSaysWhatToDoNext(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	p.serve(filepath.Join(t.TempDir(), "data"), "--dev", "--catalogs", "../../deploy/catalogs")
	p.must("account", "set", "clinic-7", "--plan", "ai")
	for line, next := range map[string]string{
		"usage clinic-7 stiker 1":           "credits catalog show lists the meters",
		"usage clinic-7 sticker 1":          "credits explain ACCOUNT --meter METER",
		"buy clinic-7 --pack pack-50":       "manager's code",
		"balance clinic-7 --tenant nobody":  "credits tenant create",
		"account set clinic-7 --plan hydra": "credits catalog show lists the plans",
	} {
		r := p.run(strings.Fields(line)...)
		if r.code != exitFailed || !strings.Contains(r.stderr, next) {
			t.Errorf("credits %s: exit code %d, says %q", line, r.code, r.stderr)
		}
	}
}
