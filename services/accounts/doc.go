// Package accounts is the one loop through which everything that changes an account goes: take
// commands, look up their idempotency keys, settle what is due, decide on the account's state, collect
// a commit, append it to the journal, answer, apply it to the view.
//
// Start reading in loop.go: a Shard's run is that sentence. commit.go is one commit on its way from
// open to answered, cache.go the accounts in memory, clock.go the shard's time. service.go is what the
// doors use: it finds the tenant and the shard, and answers questions from the view.
//
// One goroutine per shard decides (loop.go, decide.go); a second one (send.go) encodes commits and appends them to the
// journal; a third one (apply.go) answers them once the journal has
// acknowledged them and writes them to the view; nothing else writes. recent.go knows the idempotency keys
// that were used lately. While one commit is encoded and on its way to the disk the next is decided, so
// that a disk that syncs a few thousand times a second carries a hundred thousand entries. Nobody is
// answered before the journal has acknowledged the commit that his answer rests on. What is in memory
// includes what is in flight; what is in the view never does, and a read waits for what was answered.
//
// The package imports events/credit, events/journal, services/rules and the accounts view. It knows
// neither HTTP nor NATS nor Pebble.
package accounts
