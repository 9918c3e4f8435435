package api

import (
	"bytes"
	"testing"
)

// No text makes a decoder fail in disorder; what is taken is within its bounds. `go test -fuzz NAME ./services/api`
// looks for more than the seeds.

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		`{"specversion":"1.0","id":"k1","source":"/s","type":"creditstream.usage","subject":"a","data":{"meter":"sticker","quantity":1}}`,
		`[{"specversion":"1.0","id":"k1","source":"/s","type":"creditstream.usage","subject":"a","time":"2026-01-31T12:00:00Z","data":{"meter":"m","quantity":2,"attributes":{"a":"b"}}},{}]`,
		`[]`, `{`, `{"id":"\ud800"}`, `{"id":"a","id":"b"}`, `[[[[[[[[`, `{"data":{"quantity":1e400}}`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := decodeEvents(text)
		if err != nil {
			return
		}
		for i := range events {
			if events[i].Fault == nil && (events[i].Request.Command == nil || events[i].Request.Account == "" || events[i].Request.Key == "") {
				t.Errorf("event %d is taken without an account, a key or a command: %+v", i, events[i].Request)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}],"c":"\u00e9"}`, ` [true] `, `{"a":1,}`, `-0.1e+5`, `"\uD83D\uDE00"`, `{"":{"":{}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := parseObject(bytes.Clone(text))
		if err != nil {
			return
		}
		fields := fieldsOf(o, "", "meter", "quantity", "time", "description", "attributes")
		_, _, _ = fields.id("meter"), fields.quantity("quantity", false), fields.time("time")
		if a, b := contentHash(o, "op"), contentHash(o, "op"); a != b {
			t.Error("one content has two hashes")
		}
	})
}

func FuzzPlaces(f *testing.F) {
	for _, seed := range []string{"1.0", "1.0.1", "18446744073709551615.4294967295", "1.2.3.4", "", "-1.0", "1,2"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, shards int) {
		shards = 1 + shards&0xff
		from, seen, ok := parsePlaces(text, shards)
		if ok && (len(from) != shards || seen < 0 || seen >= shards) {
			t.Errorf("%q is place %d of %d, of %d shards", text, seen, len(from), shards)
		}
	})
}
