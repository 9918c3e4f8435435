package rules

import (
	"fmt"
	"math"
	"math/bits"

	"creditstream/events/credit"
)

// MaxPer is the largest number of units that one price may be for.
const MaxPer = 1_000_000_000

// Cost returns what units of the meter cost in credits, and what to carry into the meter's next
// usage. carry is the number of units that earlier usage of the cycle left in an unfilled block;
// it matters only to RoundAccumulate and is returned unchanged by the other rules. A carry of Per
// or more was left under another price and counts modulo Per, so that no unit is paid twice. units is at least 0. The error is credit.ErrOverflow when the cost exceeds
// credit.MaxAmount.
func (m *Meter) Cost(units, carry int64) (cost credit.Amount, carryAfter int64, err error) {
	if units < 0 || carry < 0 {
		return 0, carry, fmt.Errorf("price %d units of %s carrying %d: %w", units, m.ID, carry, credit.ErrOverflow)
	}
	switch m.Rounding {
	case RoundCeil:
		blocks := units / m.Per
		if units%m.Per > 0 {
			blocks++
		}
		cost, _, err = m.Price.MulDiv(blocks, 1)
		carryAfter = carry
	case RoundAccumulate:
		var blocks int64
		blocks, carryAfter = m.filled(units, carry)
		cost, _, err = m.Price.MulDiv(blocks, 1)
	default:
		cost, _, err = m.Price.MulDiv(units, m.Per)
		carryAfter = carry
	}
	if err != nil {
		return 0, carry, fmt.Errorf("price %d units of %s: %w", units, m.ID, err)
	}
	return cost, carryAfter, nil
}

// filled returns how many blocks of Per units are full once units join what is carried, and
// what remains. The sum may exceed an int64, the quotient cannot unless Per is 1.
func (m *Meter) filled(units, carry int64) (blocks, rest int64) {
	sum := uint64(units) + uint64(carry%m.Per)
	return int64(min(sum/uint64(m.Per), math.MaxInt64)), int64(sum % uint64(m.Per))
}

// UnitsFor returns the greatest number of units whose Cost, with the same carry, is at most
// amount. It is 0 for an amount below 0 and never exceeds the largest int64.
func (m *Meter) UnitsFor(amount credit.Amount, carry int64) int64 {
	if amount < 0 {
		return 0
	}
	if m.Rounding == RoundCeil || m.Rounding == RoundAccumulate {
		units := mulCapped(int64(amount/m.Price), m.Per)
		if m.Rounding == RoundCeil {
			return units
		}
		// The block that is being filled costs nothing until its last unit.
		return addCapped(units, m.Per-1-carry%m.Per)
	}
	// For an exact price Per divides Price, so the price of one unit is a whole number.
	return int64(amount / (m.Price / credit.Amount(m.Per)))
}

func mulCapped(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi > 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

func addCapped(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
