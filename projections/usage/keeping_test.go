package usage_test

import (
	"testing"

	"creditstream/projections/internal/trial"
	"creditstream/projections/usage"
)

// A fold that began with nothing asks the view only for what it let go of: and for that it does.
func TestWhatAFoldLetGoOfIsReadAgain(t *testing.T) {
	trial.SameWithLittle(t, usage.Fold{}, usage.Keeping(3))
}

// What a fold keeps of a commit is no part of it, which would keep all of it.
func TestAFoldKeepsNoCommit(t *testing.T) {
	trial.KeepsNoCommit(t, usage.Fold{})
}
