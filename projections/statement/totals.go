package statement

import (
	"context"
	"fmt"
)

// Totals are how much a statement holds.
type Totals struct {
	Accounts, Facts uint64
	// More says that counting ended at the limit.
	More bool
}

// Totals counts the accounts and their facts, of at most limit accounts. It reads one small record for each.
func (v *View) Totals(ctx context.Context, limit uint64) (t Totals, err error) {
	it, err := v.Iter([]byte{tagState}, []byte{tagState + 1})
	if err != nil {
		return t, err
	}
	defer func() { _ = it.Close() }()
	for it.First(); it.Valid(); it.Next() {
		if t.Accounts == limit || ctx.Err() != nil {
			t.More = true
			break
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return t, fmt.Errorf("statement of %s: %w", v.Name(), err)
		}
		facts, err := decodeCount(value)
		if err != nil {
			return t, fmt.Errorf("statement of %s: %w", v.Name(), err)
		}
		t.Accounts++
		t.Facts += facts
	}
	if err := it.Error(); err != nil {
		return t, fmt.Errorf("statement of %s: %w", v.Name(), err)
	}
	return t, ctx.Err()
}
