package api

import (
	"fmt"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/accounts"
)

// eventsInBatch is how many events the batches of these benchmarks have: those that are measured over the doors.
const eventsInBatch = 1000

// BenchmarkBatchDecoding is what a door pays to read a batch: figures are per batch of eventsInBatch events.
func BenchmarkBatchDecoding(b *testing.B) {
	text := []byte{'['}
	for i := range eventsInBatch {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"specversion":"1.0","id":"0190f1c2-0000-7000-8000-%012d","source":"/bench","type":"creditstream.usage","subject":"account-%d","data":{"meter":"unit","quantity":1}}`, i, i*7919%10000)
	}
	text = append(text, ']')
	var d decoder
	var events []usageEvent
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if events, err = d.decode(events[:0], text); err != nil || len(events) != eventsInBatch || events[7].Fault != nil {
			b.Fatal(err, len(events))
		}
	}
}

// BenchmarkBatchAnswers is what it pays to write the answers to one.
func BenchmarkBatchAnswers(b *testing.B) {
	r := results{scale: 6}
	for i := range eventsInBatch {
		used := &credit.UsageRecorded{Cost: 1e6, Remaining: 999_999_000_000 - credit.Amount(i), Draws: []credit.Draw{{Lot: "0190f1c2-0000-7000-8000-000000000001", Pool: "credits", Amount: 1e6, Cycle: 1}}}
		r.answers = append(r.answers, accounts.Answer{Position: accounts.Position{Sequence: 123456, Offset: uint32(i)}, Facts: []credit.Fact{{Event: used}}})
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = r.appendJSON(out[:0])
	}
}
