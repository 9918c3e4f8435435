package node_test

import (
	"fmt"
	"testing"
)

// What is refused is on record where the tenant asks for it, and a client that hammers an empty account cannot
// fill the journal with it: one line for the first refusal, one with the count of the others.
func TestRefusalsOnRecordAreCounted(t *testing.T) {
	s := openLab(t)
	s.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
	s.put(t, "accounts/b", `{"plan":"small"}`).is(t, 200)
	for i := range 50 {
		s.spend(t, "a", "one", 1000+i, fmt.Sprint("k", i)).refused(t, 402, "insufficient_credits")
	}
	s.spend(t, "a", "begun", 1_000_000, "other").refused(t, 402, "insufficient_credits")
	s.spend(t, "b", "one", 1000, "k").refused(t, 402, "insufficient_credits")
	denied := "accounts/a/history?type=denied"
	s.get(t, denied).is(t, 200).want(t, "entries.#", "2", "entries.1.count", "1", "entries.1.quantity", "1000", "entries.1.credits", "0")
	s.spend(t, "a", "one", 1, "k0").is(t, 200).want(t, "replayed", "false") // a refusal does not consume its key

	// The interval is over: the sweep puts the count on record, once.
	s.clock(t, "2026-01-31T12:01:00Z")
	s.get(t, denied).is(t, 200).want(t, "entries.#", "3", "entries.0.count", "49", "entries.0.quantity", "1049", "entries.0.since", "2026-01-31T12:00:00Z")
	s.clock(t, "2026-01-31T12:10:00Z")
	s.get(t, denied).is(t, 200).want(t, "entries.#", "3")
	s.spend(t, "a", "one", 2000, "again").refused(t, 402, "insufficient_credits")
	s.get(t, denied).is(t, 200).want(t, "entries.#", "4", "entries.0.count", "1", "entries.0.since", "")

	s.of("tecpet").put(t, "accounts/a", `{"plan":"base"}`).is(t, 200) // whose catalog does not ask for it
	s.of("tecpet").spend(t, "a", "sticker", 1, "k").refused(t, 402, "insufficient_credits")
	s.of("tecpet").get(t, denied).is(t, 200).want(t, "entries.#", "0")
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
}
