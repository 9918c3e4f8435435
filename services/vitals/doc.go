// Package vitals says how a server did in the last minutes: once a second it reads counters that are kept
// anyway and keeps what changed, in a ring of fixed size. Nothing of it is on the way of a request, and
// nothing outlives the process; for longer than minutes there is GET /metrics.
//
// Start at Start. The package imports nothing of ours: who runs it hands in what to read (services/node),
// and services/console draws it.
package vitals
