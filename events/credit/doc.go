// Package credit says what happened and what it adds up to: the closed set of facts that a journal
// can hold, the fold that turns them into an account, and the wire form in which they travel.
//
// Start reading in event.go: every fact is one struct there. account.go is the state that the facts
// add up to, evolve.go the fold (one case per fact, no clock, no catalog, no I/O), lot.go the
// credits themselves, state.go how an account is laid out in a view, wire.go the CloudEvents.
//
// A rule can change an account only by stating a fact: the fields of Account are unexported and
// Evolve is the only method that writes them. Facts carry outcomes and not policy: which lot paid
// how much, what a renewal granted, what expired. So the fold never asks for a price or a date, and
// prices and burn order can change without rewriting history.
//
// The package imports the standard library and uuid, and nothing of ours.
package credit
