package api

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// discard is a client that takes an answer and forgets it.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

const benchBody = `{"meter":"assistant_token","quantity":1234,"description":"chat","attributes":{"model":"m-1","user":"u-77"}}`

// BenchmarkUsageDoor is what the door costs beside net/http and the decision: routing, reading, decoding,
// the content hash, the answer, the metrics.
func BenchmarkUsageDoor(b *testing.B) {
	used := &credit.UsageRecorded{Cost: 1234, Remaining: 99, Draws: []credit.Draw{{Lot: "l17", Pool: "allowance", Amount: 1234, Cycle: 3}}}
	a := New(Config{})
	door := a.serve(&route{id: "bench", scope: open, key: keyRequired, handle: func(c *call) (reply, error) {
		sent, err := c.object()
		if err != nil {
			return reply{}, err
		}
		use, err := readUse(sent)
		if err != nil {
			return reply{}, err
		}
		request := accounts.Request{Account: "a", Key: c.key, Hash: contentHash(sent, "usage"), Command: use}
		if request.Hash == (credit.Hash{}) {
			b.Fatal("no hash")
		}
		return ok(&recorded{used: used, position: accounts.Position{Sequence: 123456, Offset: 7}, scale: 6})
	}})
	body := bytes.NewReader([]byte(benchBody))
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://localhost/", io.NopCloser(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "0190f1c2-0000-7000-8000-000000000001")
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset([]byte(benchBody))
		clear(w.header)
		door.ServeHTTP(w, r)
	}
}

// BenchmarkEventDecoding is the same for one CloudEvent, without HTTP: what the NATS door pays.
func BenchmarkEventDecoding(b *testing.B) {
	text := []byte(`{"specversion":"1.0","id":"0190f1c2-0000-7000-8000-000000000001","source":"/shop","type":"creditstream.usage","subject":"acct-17","data":` + benchBody + `}`)
	b.ReportAllocs()
	for b.Loop() {
		events, err := decodeEvents(text)
		if err != nil || events[0].Fault != nil {
			b.Fatal(err, events)
		}
	}
}

// BenchmarkCheckAnswer is the answer to a check, encoded.
func BenchmarkCheckAnswer(b *testing.B) {
	q := &quoted{quote: rules.Quote{Allowed: true, Cost: 5, Remaining: 10, RemainingUnits: 2, Draws: []credit.Draw{{Lot: "l1", Pool: "allowance", Amount: 5, Cycle: 1}}}, scale: 6}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = q.appendJSON(buf[:0])
	}
}
