// Package accounts is the view that decisions need: the state of every account, its lots, holds and
// purchases, the idempotency keys, what falls due when, and the catalogs.
//
// The loop of services/accounts writes it while it runs: [View.Stage] takes the accounts that a commit
// changed and its keys, and [Stage.Commit] writes them with the checkpoint. [Fold] brings the view up to
// date from the journal, at a start and in a rebuild, with the same staging.
//
// Start reading at keys.go, which says how the records are laid out; view.go reads them, stage.go writes
// them, fold.go turns entries into them.
//
// It imports events/credit and projections.
package accounts
