// Package cycles books what fell due for accounts that nobody touches: renewals, expiries, holds that
// lapsed, purchases that nobody paid.
//
// It decides nothing. Every decision and every read settles an account first, so that a customer never
// sees a sweep that is late; the sweep is there for those who read the journal and the history. It can
// therefore take its time: a million accounts may share one midnight.
//
// Start reading at Sweeper.run; Advance is the same without the rests, for a test clock. The package
// imports services/accounts.
package cycles
