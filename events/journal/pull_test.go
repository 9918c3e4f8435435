package journal_test

import (
	"bytes"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// A reader with an end to reach goes on with another consumer when its own is gone, as it is when the server goes that led.
func TestAReaderOutlivesItsConsumer(t *testing.T) {
	nc := connect(t, startBus(t, bus.Config{}))
	j := open(t, nc, journal.Config{})
	if _, err := j.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := append(append([]byte(`["`), bytes.Repeat([]byte("x"), 600<<10)...), `"]`...)
	const commits = 8 // more than two pulls for somebody slow take
	for range commits {
		if o := await(t, appendTo(t, j, string(body))); o.err != nil {
			t.Fatal(o.err)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), acme.Stream())
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, err := range j.Trickle(t.Context(), 1) {
		if err != nil {
			t.Fatalf("after %d commits: %v", read, err)
		}
		read++
		for name := range stream.ConsumerNames(t.Context()).Name() {
			if err := stream.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if read != commits+1 {
		t.Errorf("%d commits were read", read)
	}
}
