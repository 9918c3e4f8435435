package api

import (
	"testing"

	"creditstream/events/credit"
)

func hashOf(t *testing.T, text string, operation ...string) credit.Hash {
	t.Helper()
	o, err := parseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return contentHash(o, operation...)
}

// A key is bound to what was asked, not to how it was written.
func TestContentHash(t *testing.T) {
	base := hashOf(t, `{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":[1,2]}}`, "usage")
	same := []string{
		"{ \"quantity\" : 1,\n\"meter\":\"sticker\", \"attributes\":{\"b\":[ 1,2 ],\"a\":\"é\"} }",
		`{"meter":"stick\u0065r","quantity":1,"attributes":{"a":"\u00e9","b":[1,2]}}`,
		`{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":[1,2]},"approval_code":"123456"}`,
	}
	for _, text := range same {
		if hashOf(t, text, "usage") != base {
			t.Errorf("%s has another hash", text)
		}
	}
	other := []string{
		`{"meter":"sticker","quantity":2,"attributes":{"a":"é","b":[1,2]}}`,
		`{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":[2,1]}}`,
		`{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":["1",2]}}`,
		`{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":[1,2]},"description":""}`,
		`{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":[1,2],"c":null}}`,
		`{"meter":"sticker","quantity":1,"attributes":{"a":"é","b":[1,2],"approval_code":"1"}}`,
		`{"meter":"sticker","quantity":1}`,
	}
	seen := map[credit.Hash]string{base: "the first"}
	for _, text := range other {
		h := hashOf(t, text, "usage")
		if before, known := seen[h]; known {
			t.Errorf("%s has the hash of %s", text, before)
		}
		seen[h] = text
	}
	if hashOf(t, `{"reason":"x"}`, "revoke", "l1") == hashOf(t, `{"reason":"x"}`, "revoke", "l2") {
		t.Error("what is in the path does not count")
	}
	if hashOf(t, `{}`, "release", "h1") != contentHash(nil, "release", "h1") {
		t.Error("no body is not the same as an empty one")
	}
}

// The hash stands in the journal for ever: a repetition after an upgrade has to be recognised.
func TestContentHashIsFrozen(t *testing.T) {
	const want = "1ff7a0ab5685748fa3f669c09cb7b956"
	h := hashOf(t, `{"meter":"sticker","quantity":3,"time":"2026-01-02T03:04:05Z","attributes":{"a":[true,null,"x",1.50]}}`, "usage")
	if got := hexOf(h); got != want {
		t.Errorf("the hash is %s, it was %s", got, want)
	}
}

func hexOf(h credit.Hash) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 32)
	for _, b := range h {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// The same event is the same whatever its extensions, and whichever door it comes through.
func TestEventsHashAlike(t *testing.T) {
	event := func(text string) credit.Hash {
		t.Helper()
		events, err := decodeEvents([]byte(text))
		if err != nil || len(events) != 1 || events[0].Fault != nil {
			t.Fatalf("%s: %v %+v", text, err, events)
		}
		return events[0].Request.Hash
	}
	base := event(`{"specversion":"1.0","id":"k","source":"/shop","type":"creditstream.usage","subject":"a","time":"2026-01-02T03:04:05Z","data":{"meter":"m","quantity":1}}`)
	if event(`[{"data":{"quantity":1,"meter":"m"},"traceparent":"00-1","specversion":"1.0","id":"k2","source":"/shop","type":"creditstream.usage","subject":"a","time":"2026-01-02T03:04:05Z","datacontenttype":"application/json"}]`) != base {
		t.Error("another id, order or extension changed the hash")
	}
	if event(`{"specversion":"1.0","id":"k","source":"/other","type":"creditstream.usage","subject":"a","time":"2026-01-02T03:04:05Z","data":{"meter":"m","quantity":1}}`) == base {
		t.Error("the source does not count")
	}
}
