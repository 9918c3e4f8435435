// Package usage is the view of what was used: totals of quantity and credits by account, cycle, day and meter.
//
// A draw counts in the cycle that it names, so that the totals of a cycle are the used of its terms; a day is
// one of the account's time zone as it was then. Reversals count where they happened, negative.
//
// Start reading at record.go, which says how the totals are laid out; fold.go adds to them, query.go sums them.
//
// It imports events/credit and projections.
package usage
