// Package rules says what may happen next: Decide(account, catalogs, now) gives facts or a refusal.
//
// It is pure. It imports events/credit and a YAML reader and nothing else of ours; it has no clock, no
// I/O and no randomness, so every rule can be read, tried and tested as a script (testdata/*.txt).
//
// Start reading in rules.go: a command is a type with a Decide method, one command per file, so one
// file answers "what is a hold?". settle.go books what fell due; every decision and every read
// starts with it. catalog.go is the model that all programmes are settings of, price.go what things
// cost, calendar.go when cycles turn, burn.go which lots pay, balance.go what a person is told.
package rules
