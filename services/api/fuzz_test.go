package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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

// FuzzCursors reads the cursors of lists: what is one is written as itself, and a list goes on behind it.
func FuzzCursors(f *testing.F) {
	for _, seed := range []string{"", "0", "7", "18446744073709551615", "18446744073709551616", "-1", "MC9h", "MS8", "OTk5OTk5OTk5OTk5OTk5OTk5OTkvYQ", "LTEvYQ", "%", "MC8A"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if shard, after, err := accountCursor(text); err == nil && text != "" {
			again := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%s", shard, after))
			if s, a, err := accountCursor(again); err != nil || s != shard || a != after || shard < 0 {
				t.Errorf("%q is shard %d, account %q, and then %d, %q, %v", text, shard, after, s, a, err)
			}
		}
		limit = 1 + limit&15
		query := url.Values{"cursor": {text}, "limit": {fmt.Sprint(limit)}}
		c := &call{r: &http.Request{URL: &url.URL{RawQuery: query.Encode()}}}
		page, next, err := pageOf(c, []uint64{2, 3, 5, 7, 11, 13}, func(n uint64) uint64 { return n })
		if err != nil {
			return
		}
		if len(page) > limit || !slices.IsSorted(page) || next != "" && (len(page) != limit || next != fmt.Sprint(page[limit-1])) {
			t.Errorf("%q, at most %d: %v, and then %q", text, limit, page, next)
		}
	})
}
