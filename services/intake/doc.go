// Package intake records usage that feature services throw over the wall: published to a JetStream
// stream, acknowledged once it is durable there, and recorded later, exactly once by its id. Such usage
// already happened, so it is never refused for credits, plan or lateness (RULES.md, "usage that already
// happened"); what is malformed or names unknown things goes to a stream of its own, is listed, and can
// be submitted again.
//
// Start reading at Start, then record.go: what becomes of a batch of messages. refused.go is the list.
//
// There is one stream for all tenants, with a subject and a limit for each. It holds only what is not
// recorded yet: deleting the recorded part, once a second, is the acknowledgement. The reader itself has
// no state on disk. A consumer that keeps its position there would, on a server that syncs every write,
// cost several synced files a second for as long as anything flows; and it would win nothing, because
// after a crash a message that comes twice is answered by its idempotency key, however late.
//
// One server reads it: the one that has the tenants. A server that was fenced off records nothing any more,
// and therefore deletes nothing.
//
// Messages of a tenant that cannot be written to at the moment are parked, by number, and do not hold up
// those of others.
//
// The package imports nats.go, services/accounts, services/rules and events/credit. What a message says
// is decoded by the function that the doors decode with (Config.Decode), so that an id means the same
// through every door.
package intake
