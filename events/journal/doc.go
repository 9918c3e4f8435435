// Package journal keeps the truth: one journal is one JetStream stream, for one
// tenant and one shard, and one message in it is one commit. What a commit says
// is opaque here; package events/credit gives it a meaning.
//
// Three things are added to the stream. Appends are fenced: a commit names the
// sequence and the hash that it follows, and JetStream refuses it anywhere else,
// so there is one writer and no lock that safety depends on. Commits are chained
// by hash, from the identity of the journal on, so what was lost, swapped or
// changed is noticed and named by its sequence. And an append without an answer
// is unknown, never failed: it is sent again, byte for byte, until the log
// itself says whose commit has its place.
//
// On the wire a commit is a message on "journal.<tenant>.<shard>" with a JSON
// array of CloudEvents as its body and the headers of chain.go; any NATS client
// can read it.
//
// Start reading at [Open] and [Journal.Append]; then chain.go for what a commit
// carries, outcome.go for unknown outcomes, read.go for the way back.
//
// It imports nats.go, uuid and the standard library, and nothing else of this module.
package journal
