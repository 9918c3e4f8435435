package statement_test

import (
	"testing"

	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"
)

// A fold that began with nothing asks the view only for what it let go of: and for that it does.
func TestWhatAFoldLetGoOfIsReadAgain(t *testing.T) {
	trial.SameWithLittle(t, statement.Fold{}, statement.Keeping(3))
}
