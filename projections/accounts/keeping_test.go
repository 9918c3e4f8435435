package accounts_test

import (
	"testing"

	"creditstream/projections/accounts"
	"creditstream/projections/internal/trial"
)

// A fold that began with nothing asks the view only for what it let go of: and for that it does.
func TestWhatAFoldLetGoOfIsReadAgain(t *testing.T) {
	trial.SameWithLittle(t, accounts.Fold{}, accounts.Keeping(3))
}

// What a fold keeps of a commit is no part of it, which would keep all of it.
func TestAFoldKeepsNoCommit(t *testing.T) {
	trial.KeepsNoCommit(t, accounts.Fold{})
}
