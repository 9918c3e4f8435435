// Package statement is the view of what happened to each account: every fact of the journal, with what
// remained after it.
//
// History derives lines for people from it, newest first; Refold gives an account as it was at an earlier
// time, or as it was known at one. Neither reads a journal.
//
// Start reading at record.go, which says how the facts are laid out, and use.go; fold.go writes them, lines.go says which
// lines a fact is, history.go pages through them. state.go is what the fold knows of an account and how late
// facts are found again, snapshot.go the account itself every so many facts; refold.go says where looking back
// begins, past.go does it, trail.go shows the last facts one by one.
//
// It imports events/credit and projections.
package statement
