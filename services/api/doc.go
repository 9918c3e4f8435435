// Package api is the doors: HTTP and NATS request/reply. A door decodes strictly, turns what was asked
// into a command or a question, and encodes the answer. It decides nothing.
//
// Start reading in routes.go: the table of everything that can be asked for over HTTP, with the scope
// that each needs. api.go takes a request through authentication, tenant and handler, in the order that
// clients can rely on; call.go is what a handler works with. json.go and fields.go read what was sent,
// hash.go makes of it what an idempotency key is bound to, problem.go turns what went wrong into a
// status (one table), answer.go writes answers. openapi.go writes the document from the same table.
//
// It imports services/accounts, services/rules, services/credentials, events/credit and the views; nats.go
// only in the files of the NATS door.
package api
