// Package bus is the message bus that everything else stands on: an embedded
// NATS server with JetStream, or a connection to one that runs elsewhere.
//
// It exists because the defaults of the engine are not those of a book of
// record. Start chooses them once: an fsync before every acknowledgement, a
// lock on the store directory, an explicit limit for everything that would
// otherwise be guessed from the machine, no signal handling behind our back.
//
// It also draws the line between tenants. Subject permissions inside one NATS
// account do not separate them: a client can make others publish for it, by
// the reply subject of a request or the deliver subject of a consumer. So the
// journals live in an account that no outsider is ever a member of, and every
// tenant has an account of its own that imports the few subjects it may use.
//
// Start reading at [Start], then [Server.AddTenant] and logins.go.
//
// It imports NATS and the standard library, and of this module only what keeps a start after a crash short:
// events/bus/index.
package bus
