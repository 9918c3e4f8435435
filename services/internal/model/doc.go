// Package model is what Creditstream should do, told a second time and as plainly as possible: maps,
// slices, loops over everything, no index, no cache, no events. It was written from the documents alone
// and shares no code with events/credit and services/rules, so that a mistake would have to be made twice
// to go unseen. It imports nothing of ours.
//
// catalog.go is what a programme says, ledger.go lots and terms, clock.go what falls due by itself,
// commands.go and purchases.go what somebody may ask for. The test runs long random stories through a
// real node, over HTTP, and through the model, and compares after every step.
//
// It leaves out what has tests of its own and adds nothing to the arithmetic: approval codes, alerts,
// denials, time zones with clocks that change, whole-day boundaries.
package model
