// Package statement is the view of what happened to each account: every fact as it stands in the journal,
// with what remained after it.
//
// History derives lines for people from it, newest first; Refold gives an account as it was at an earlier
// time, or as it was known at one. Neither reads a journal.
//
// Start reading at record.go, which says how the facts are laid out; fold.go writes them, lines.go says which
// lines a fact is, history.go pages through them, refold.go folds them.
//
// It imports events/credit and projections.
package statement
