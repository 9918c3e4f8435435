package accounts

import (
	"testing"

	"pgregory.net/rapid"
)

// A bound orders as strings do, whatever their lengths and wherever they differ.
func TestABoundOrdersAsStringsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		common := rapid.StringMatching(`[ab\x00\xff]{0,20}`).Draw(t, "common")
		tail := rapid.StringMatching(`[ab\x00\xff]{0,20}`)
		one, other := common+tail.Draw(t, "one"), common+tail.Draw(t, "other")
		if b := boundOf(one); b.below(other) != (other > one) {
			t.Fatalf("%q below %q: %t", one, other, b.below(other))
		}
	})
}
