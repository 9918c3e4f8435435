package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// charge is a CloudEvent about one usage.
func charge(id, account, meter string, quantity int) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":"creditstream.usage","source":"/shop","id":%q,"subject":%q,"data":{"meter":%q,"quantity":%d}}`, id, account, meter, quantity)
}

// A batch is answered event by event, in order; a bad one refuses only itself.
func TestEventsAreAnsweredOneByOne(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	s.put(t, "accounts/b", `{"plan":"free"}`).is(t, 200)
	batch := http.Header{"Content-Type": {"application/cloudevents-batch+json"}}
	a := s.send(t, http.MethodPost, "events", "["+strings.Join([]string{
		charge("1", "a", "assistant_token", 10), charge("2", "b", "assistant_token", 20), charge("3", "a", "nothing", 1), charge("4", "nobody", "assistant_token", 1),
		charge("5", "a", "assistant_token", 1_000_000), charge("1", "a", "assistant_token", 10), charge("1", "a", "assistant_token", 11), charge("7", "a", "assistant_token", 0),
		charge("6", "a", "assistant_token", 999_990),
	}, ",")+"]", batch).is(t, 200)
	a.want(t, "results.#", "9", "results.0.status", "recorded", "results.0.cost", "10", "results.1.remaining", "999980", "results.2.code", "unknown_meter", "results.3.code", "unknown_account",
		"results.4.code", "insufficient_credits", "results.5.replayed", "true", "results.6.code", "idempotency_conflict", "results.7.code", "invalid", "results.8.remaining", "0")
	for i, refused := range []bool{false, false, true, true, true, false, true, true, false} {
		if refused {
			a.has(t, fmt.Sprint("results.", i), "status:string code:string detail:string").want(t, fmt.Sprintf("results.%d.status", i), "refused")
		} else {
			a.has(t, fmt.Sprint("results.", i), recordedShape)
		}
	}
	s.balance(t, "a").want(t, "used", "1000000", "remaining", "0")
	s.balance(t, "b").want(t, "used", "20")
	s.send(t, http.MethodPost, "events", charge("one", "b", "assistant_token", 1), http.Header{"Content-Type": {"application/cloudevents+json"}}).is(t, 200).want(t, "results.#", "1", "results.0.status", "recorded")
}

// What is no usage is refused as invalid and leaves nothing.
func TestMalformedCloudEvents(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	good := charge("e", "a", "assistant_token", 1)
	for _, change := range [][2]string{
		{`"specversion":"1.0"`, `"specversion":"0.3"`}, {`"specversion":"1.0",`, ``}, {`"type":"creditstream.usage"`, `"type":"other"`}, {`"type":"creditstream.usage",`, ``},
		{`"id":"e",`, ``}, {`"id":"e"`, `"id":""`}, {`"id":"e"`, `"id":7`}, {`"source":"/shop",`, ``}, {`"subject":"a",`, ``}, {`"subject":"a"`, `"subject":""`},
		{`"quantity":1`, `"quantity":0`}, {`"quantity":1`, `"quantity":-1`}, {`"quantity":1`, `"quantity":1.5`}, {`"quantity":1`, `"quantity":"1"`}, {`"quantity":1`, `"quantity":99999999999999999999`},
		{`"quantity":1`, `"quantity":null`}, {`,"quantity":1`, ``}, {`"meter":"assistant_token"`, `"meter":null`}, {`"meter":"assistant_token"`, `"meter":{}`},
		{`"data":{"meter":"assistant_token","quantity":1}`, `"data":null`}, {`"data":{"meter":"assistant_token","quantity":1}`, `"data":[]`},
		{`"specversion":"1.0"`, `"specversion":"1.0","time":"yesterday"`}, {`"subject":"a"`, `"subject":"` + strings.Repeat("a", 129) + `"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("nothing changed by %q", change)
		}
		s.post(t, "events", bad).is(t, 200).want(t, "results.#", "1", "results.0.status", "refused", "results.0.code", "invalid")
	}
	for _, body := range []string{``, `{`, `7`, `"x"`, `null`, good + good, "\xff"} {
		s.post(t, "events", body).refused(t, 422, "invalid")
	}
	s.balance(t, "a").want(t, "used", "0")
	s.post(t, "events", good).is(t, 200).want(t, "results.0.status", "recorded", "results.0.replayed", "false")
}

// Limits are answers, too.
func TestLimits(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	s.post(t, "events", "["+strings.Repeat(charge("x", "a", "assistant_token", 1)+",", 300_000)+charge("x", "a", "assistant_token", 1)+"]").refused(t, 413, "too_large")
	pairs := func(n int) string {
		return `{"checks":[` + strings.TrimSuffix(strings.Repeat(`{"account":"a","meter":"assistant_token","quantity":1},`, n), ",") + `]}`
	}
	s.post(t, "checks", pairs(10_000)).is(t, 200).want(t, "results.#", "10000")
	if a := s.post(t, "checks", pairs(10_001)); a.status != 413 && a.status != 422 {
		t.Errorf("%v\n  want 413 or 422", a)
	}
	s.post(t, "accounts/a/usage", `{"meter":"assistant_token","quantity":1,"description":"`+strings.Repeat("x", 1025)+`"}`, "k").refused(t, 422, "invalid").want(t, "field", "description")
	s.post(t, "accounts/a/usage", `{"meter":"assistant_token","quantity":1,"attributes":{"x":"`+strings.Repeat("x", 1025)+`"}}`, "k").refused(t, 422, "invalid").want(t, "field", "attributes")
	s.put(t, "accounts/"+strings.Repeat("a", 129), `{}`).refused(t, 422, "invalid")
	s.put(t, "accounts/"+strings.Repeat("a", 128), `{}`).is(t, 200)
	s.put(t, "accounts/S%C3%A3o%20Jo%C3%A3o%2F7", `{"plan":"free"}`).is(t, 200).want(t, "account", "São João/7")
	s.spend(t, "S%C3%A3o%20Jo%C3%A3o%2F7", "assistant_token", 1, "k").is(t, 200)
	s.balance(t, "S%C3%A3o%20Jo%C3%A3o%2F7").want(t, "account", "São João/7", "used", "1")
	s.put(t, "accounts/%FF", `{}`).refused(t, 422, "invalid")
	s.get(t, "accounts/a/balance").is(t, 200).want(t, "used", "0")
}

// The journal can be read over HTTP: as lines, as server-sent events, from a position on, and followed.
func TestTheJournalOverHTTP(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	s.put(t, "accounts/b", `{"plan":"free"}`).is(t, 200)
	first := s.spend(t, "a", "assistant_token", 1, "k1").is(t, 200).text("position")
	s.spend(t, "b", "assistant_token", 2, "k2").is(t, 200)
	s.spend(t, "a", "assistant_token", 3, "k3").is(t, 200)

	lines := func(query string) []answer {
		t.Helper()
		a := s.get(t, "events?"+query).is(t, 200)
		var events []answer
		for line := range strings.Lines(string(a.raw)) {
			e := answer{request: a.request, raw: []byte(line)}
			e.decode()
			events = append(events, e.has(t, "", "specversion:string id:string source:string type:string time:time recordedtime:time data:object"))
		}
		return events
	}
	all := lines("")
	if len(all) < 8 || all[0].text("type") != "creditstream.CatalogPublished.v1" {
		t.Errorf("%d events, the first is %v", len(all), all[0])
	}
	for _, e := range lines("account=a") {
		e.want(t, "subject", "a")
	}
	used := lines("account=a&type=creditstream.UsageRecorded.v1")
	if len(used) != 2 || used[0].text("entrykey") != "k1" || used[1].text("entrykey") != "k3" {
		t.Errorf("the usage of a is %v", used)
	}
	if after := lines("type=creditstream.UsageRecorded.v1&from_position=" + first); len(after) != 3 && len(after) != 2 {
		t.Errorf("from %s on: %v", first, after)
	}
	s.get(t, "events?from_position=nonsense").refused(t, 422, "invalid")

	// Followed, both ways: what happens later arrives.
	for _, accept := range []string{"application/x-ndjson", "text/event-stream"} {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http+"/v1/tenants/wanclouds/events?follow=true&account=b", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, accept) {
			t.Errorf("asked for %s, got %s", accept, kind)
		}
		key := "later-" + accept[:4]
		s.spend(t, "b", "assistant_token", 5, key).is(t, 200)
		found := false
		for scanner := bufio.NewScanner(response.Body); !found && scanner.Scan(); {
			line, isData := strings.CutPrefix(scanner.Text(), "data: ")
			if isData != (accept == "text/event-stream") {
				continue
			}
			var event struct{ Subject, EntryKey string }
			if err := json.Unmarshal([]byte(line), &event); err != nil || event.Subject != "b" {
				t.Errorf("%q: %v", line, err)
			}
			found = event.EntryKey == key
		}
		if !found {
			t.Errorf("%s: what happened later did not arrive", accept)
		}
		stop()
		response.Body.Close()
	}
}

// ask sends a request over NATS and reads the answer.
func ask(t *testing.T, nc *nats.Conn, subject, body string) answer {
	t.Helper()
	m, err := nc.Request(subject, []byte(body), 5*time.Second)
	if err != nil {
		t.Fatalf("%s %s: %v", subject, shorten(body), err)
	}
	a := answer{request: subject + " " + shorten(body), raw: m.Data}
	a.decode()
	return a
}

func connect(t *testing.T, s site, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.nats, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// The subjects of the interface answer as the paths of HTTP do, and one key means one thing at both.
func TestTheSubjectsOfNATS(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("wanclouds")
	s.put(t, "accounts/a", `{"plan":"free"}`).is(t, 200)
	nc := connect(t, s)
	e := charge("n1", "a", "assistant_token", 10)
	ask(t, nc, "credits.wanclouds.usage", e).want(t, "results.#", "1", "results.0.status", "recorded", "results.0.replayed", "false").has(t, "results.0", recordedShape)
	s.post(t, "events", e).is(t, 200).want(t, "results.0.replayed", "true")
	ask(t, nc, "credits.wanclouds.usage", "["+e+","+charge("n2", "a", "nothing", 1)+"]").want(t, "results.#", "2", "results.0.replayed", "true", "results.1.status", "refused", "results.1.code", "unknown_meter")
	ask(t, nc, "credits.wanclouds.usage", "{").want(t, "code", "invalid")
	ask(t, nc, "credits.wanclouds.check", `{"account":"a","meter":"assistant_token","quantity":5}`).has(t, "", checkShape).want(t, "allowed", "true", "cost", "5", "remaining", "999990")
	ask(t, nc, "credits.wanclouds.check", `{"account":"nobody","meter":"assistant_token","quantity":5}`).want(t, "code", "unknown_account")
	b := ask(t, nc, "credits.wanclouds.balance", `{"account":"a"}`).has(t, "", balanceShape).want(t, "used", "10")
	closes(t, b)
	ask(t, nc, "credits.wanclouds.balance", `{"account":"nobody"}`).want(t, "code", "unknown_account")

	// The intake: taken once durable, recorded later, once by its id; what cannot be is said where.
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(body string) {
		t.Helper()
		if _, err := js.Publish(t.Context(), "intake.wanclouds.usage", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	publish(e)
	publish("[" + charge("i1", "a", "assistant_token", 100) + "," + charge("i2", "a", "nothing", 1) + "]")
	publish(charge("i1", "a", "assistant_token", 100))
	publish(charge("i3", "a", "assistant_token", 1))
	eventually(t, "the intake is recorded", func() bool { return s.balance(t, "a").text("used") == "111" })
	s.get(t, "accounts/a/history?type=usage").is(t, 200).want(t, "entries.#", "3")
	eventually(t, "what the intake refused is listed", func() bool {
		return strings.Contains(string(s.get(t, "intake/refused").is(t, 200).raw), "unknown_meter")
	})
	refused := next(t, js, "intake-refused.wanclouds")
	if text := string(refused.Data()) + fmt.Sprint(refused.Headers()); !strings.Contains(text, "unknown_meter") {
		t.Errorf("the refused stream says %s", text)
	}

	// What the intake cannot pay is recorded all the same.
	publish(charge("i4", "a", "assistant_token", 5_000_000))
	eventually(t, "usage that happened is recorded", func() bool {
		return s.get(t, "accounts/a/history?type=unpaid").is(t, 200).text("entries.#") == "1"
	})
	s.balance(t, "a").want(t, "remaining", "0", "debt", "0", "used", "1000000")

	// The journal: one message is one commit, a batch of CloudEvents.
	commit := next(t, js, "journal.wanclouds.0")
	var events []map[string]any
	if err := json.Unmarshal(commit.Data(), &events); err != nil {
		t.Errorf("a commit is %s: %v", shorten(string(commit.Data())), err)
	}
	if err := nc.Publish("journal.wanclouds.0", []byte("[]")); err != nil {
		t.Fatal(err)
	}
	if m, err := nc.Request("journal.wanclouds.0", []byte("[]"), 200*time.Millisecond); err == nil {
		t.Errorf("somebody outside wrote into a journal: %s", m.Data)
	}
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
}

// next reads the last message of a subject.
func next(t *testing.T, js jetstream.JetStream, subject string) jetstream.Msg {
	t.Helper()
	name, err := js.StreamNameBySubject(t.Context(), subject)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	consumer, err := js.OrderedConsumer(t.Context(), name, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverLastPolicy})
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return m
}
