package journal

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// What is on the wire is for ever. The hashes here were computed with sha256sum.
func TestWireFormatIsFrozen(t *testing.T) {
	const id = "6f0c1b8e-3c55-4b0b-9d3a-0a5e2f4c7d11"
	name := Name{Tenant: "acme", Shard: 3}
	if name.Stream() != "JOURNAL_acme_3" || name.Subject() != "journal.acme.3" {
		t.Errorf("stream %s, subject %s", name.Stream(), name.Subject())
	}
	start := Head{Journal: id, Hash: startHash(name, id)}
	if got, want := start.Hash.String(), "11ceddd891bf0bcac6f5e6c1a03738f1c6c55816528de5e6b235f6a8cc9ed438"; got != want {
		t.Errorf("the start has hash\n%s, want\n%s", got, want)
	}
	ring := newPendingRing(name.Subject(), 2, 1, "")
	ring.writer = "WRITER"
	bodies := [][]byte{[]byte(`[]`), []byte(`[{"specversion":"1.0"}]`)}
	first, _ := ring.push(start, nextHash(start.Hash, bodies[0]), bodies[0], nil)
	second, _ := ring.push(first.head, nextHash(first.head.Hash, bodies[1]), bodies[1], nil)
	for i, test := range []struct {
		got  nats.Header
		want nats.Header
	}{
		{first.msg.Header, nats.Header{
			"Content-Type":                {"application/cloudevents-batch+json"},
			"Creditstream-Hash":           {"645fdf75a252207441d4d5204e054bb8298d1cb608439aaa3b9f80611210baa2"},
			"Creditstream-Prev":           {"11ceddd891bf0bcac6f5e6c1a03738f1c6c55816528de5e6b235f6a8cc9ed438"},
			"Nats-Expected-Last-Sequence": {"0"},
			"Nats-Msg-Id":                 {"WRITER.1"},
		}},
		{second.msg.Header, nats.Header{
			"Content-Type":                {"application/cloudevents-batch+json"},
			"Creditstream-Hash":           {"aaca28ba9a5dfcef4bd0db5c5ead94135ee16fe0be9915ba81b0d6287479d257"},
			"Creditstream-Prev":           {"645fdf75a252207441d4d5204e054bb8298d1cb608439aaa3b9f80611210baa2"},
			"Nats-Expected-Last-Sequence": {"1"},
			"Nats-Expected-Last-Msg-Id":   {"WRITER.1"},
			"Nats-Msg-Id":                 {"WRITER.2"},
		}},
	} {
		if len(test.got) != len(test.want) {
			t.Errorf("commit %d has the headers %v, want %v", i+1, test.got, test.want)
		}
		for key := range test.want {
			if test.got.Get(key) != test.want.Get(key) {
				t.Errorf("commit %d: %s is\n%s, want\n%s", i+1, key, test.got.Get(key), test.want.Get(key))
			}
		}
	}
}

func TestAcksAreRead(t *testing.T) {
	for _, test := range []struct {
		data   string
		header nats.Header
		want   uint64
	}{
		{`{"stream":"JOURNAL_acme_0","seq":12}`, nil, 12},
		{`{"stream":"JOURNAL_acme_0", "seq": 9, "duplicate": true}`, nil, 9},
		{`{"stream":"JOURNAL_acme_0","domain":"hub","seq":18014398509481984,"duplicate":true}`, nil, 1 << 54},
		{`{"seq":7}`, nil, 7},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"J","seq":5}`, nil, 0},
		{`{"stream":"JOURNAL_acme_0","seq":0}`, nil, 0},
		{`{"stream":"JOURNAL_acme_0","seq":99999999999999999999999}`, nil, 0},
		{`{"stream":"JOURNAL_acme_0"}`, nil, 0},
		{`+OK`, nil, 0},
		{``, nats.Header{"Status": {"503"}}, 0},
		{``, nil, 0},
	} {
		got, err := parseAck(&nats.Msg{Data: []byte(test.data), Header: test.header})
		if got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%q: %d, %v; want %d", test.data, got, err, test.want)
		}
	}
}
