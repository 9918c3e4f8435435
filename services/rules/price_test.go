package rules

import (
	"errors"
	"math"
	"testing"

	"creditstream/events/credit"
)

func costUnits(t *testing.T, m *Meter, units, carry int64) (credit.Amount, int64) {
	t.Helper()
	cost, after, err := m.Cost(units, carry)
	if err != nil {
		t.Fatalf("%+v: cost of %d carrying %d: %v", m, units, carry, err)
	}
	return cost, after
}

// eachMeter calls check with every small price: prices 1 to 6 per 1 to 6 units, by each rounding
// that such a price may have.
func eachMeter(check func(m *Meter)) {
	for price := credit.Amount(1); price <= 6; price++ {
		for per := int64(1); per <= 6; per++ {
			for _, rounding := range []Rounding{RoundExact, RoundCeil, RoundAccumulate} {
				if rounding == RoundExact && int64(price)%per != 0 {
					continue
				}
				check(&Meter{ID: "m", Price: price, Per: per, Rounding: rounding})
			}
		}
	}
}

func carries(m *Meter) int64 {
	if m.Rounding == RoundAccumulate {
		return m.Per
	}
	return 1
}

func TestCostIsMonotoneFromZero(t *testing.T) {
	eachMeter(func(m *Meter) {
		for carry := range carries(m) {
			last := credit.Amount(0)
			for units := range int64(40) {
				cost, _ := costUnits(t, m, units, carry)
				if units == 0 && cost != 0 || cost < last {
					t.Fatalf("%+v carrying %d: %d units cost %d after %d", m, carry, units, cost, last)
				}
				last = cost
			}
		}
	})
}

func TestUnitsForIsTheGreatestPayableNumber(t *testing.T) {
	eachMeter(func(m *Meter) {
		for carry := range carries(m) {
			for amount := range credit.Amount(60) {
				units := m.UnitsFor(amount, carry)
				if cost, _ := costUnits(t, m, units, carry); cost > amount {
					t.Fatalf("%+v carrying %d: %d units cost %d, more than %d", m, carry, units, cost, amount)
				}
				if cost, _ := costUnits(t, m, units+1, carry); cost <= amount {
					t.Fatalf("%+v carrying %d: %d pays %d units, not only %d", m, carry, amount, units+1, units)
				}
			}
			if got := m.UnitsFor(-1, carry); got != 0 {
				t.Fatalf("%+v: a negative amount pays %d units", m, got)
			}
		}
	})
}

// Splitting a usage changes nothing for exact and accumulate: 1 + 1 + 1 costs what 3 does. For
// ceil it may only cost more, never less.
func TestSplitUsage(t *testing.T) {
	eachMeter(func(m *Meter) {
		for carry := range carries(m) {
			for first := range int64(20) {
				for second := range int64(20) {
					a, between := costUnits(t, m, first, carry)
					b, after := costUnits(t, m, second, between)
					whole, wholeAfter := costUnits(t, m, first+second, carry)
					switch {
					case m.Rounding == RoundCeil && a+b < whole:
						t.Fatalf("%+v: %d + %d units cost less than together", m, first, second)
					case m.Rounding != RoundCeil && (a+b != whole || after != wholeAfter):
						t.Fatalf("%+v carrying %d: %d then %d units cost %d and carry %d; together %d and %d",
							m, carry, first, second, a+b, after, whole, wholeAfter)
					}
					if after < 0 || after >= m.Per {
						t.Fatalf("%+v: carry of %d", m, after)
					}
				}
			}
		}
	})
}

func TestRoundingInExamples(t *testing.T) {
	const one = 1_000_000
	for _, test := range []struct {
		rounding    Rounding
		per         int64
		units       int64
		carry       int64
		cost, after int64
	}{
		{RoundExact, 2, 1, 0, one / 2, 0},
		{RoundExact, 50, 101, 0, 2_020_000, 0},
		{RoundCeil, 2, 1, 0, one, 0},
		{RoundCeil, 50, 101, 0, 3 * one, 0},
		{RoundCeil, 50, 100, 0, 2 * one, 0},
		{RoundAccumulate, 2, 1, 0, 0, 1},
		{RoundAccumulate, 2, 1, 1, one, 0},
		{RoundAccumulate, 2, 5, 1, 3 * one, 0},
		{RoundAccumulate, 2, 0, 1, 0, 1},
		// A carry that was left when the price was per 10.
		{RoundAccumulate, 2, 1, 7, one, 0},
		{RoundAccumulate, 2, 1, 8, 0, 1},
	} {
		m := &Meter{ID: "m", Price: one, Per: test.per, Rounding: test.rounding}
		cost, after := costUnits(t, m, test.units, test.carry)
		if int64(cost) != test.cost || after != test.after {
			t.Errorf("%s, %d units at 1 per %d carrying %d: cost %d carrying %d, want %d and %d",
				test.rounding, test.units, test.per, test.carry, cost, after, test.cost, test.after)
		}
	}
}

func TestCostOverflow(t *testing.T) {
	for _, rounding := range []Rounding{RoundExact, RoundCeil, RoundAccumulate} {
		for _, price := range []credit.Amount{1, 1_000_000, credit.MaxAmount} {
			m := &Meter{ID: "m", Price: price, Per: 1, Rounding: rounding}
			if _, _, err := m.Cost(math.MaxInt64, 0); !errors.Is(err, credit.ErrOverflow) {
				t.Errorf("%s at %d: the largest quantity gives %v", rounding, price, err)
			}
			if _, _, err := m.Cost(-1, 0); err == nil {
				t.Errorf("%s: a negative quantity has a cost", rounding)
			}
			if _, _, err := m.Cost(1, -1); err == nil {
				t.Errorf("%s: a negative carry has a cost", rounding)
			}
			units := m.UnitsFor(credit.MaxAmount, 0)
			if cost, _ := costUnits(t, m, units, 0); cost > credit.MaxAmount {
				t.Errorf("%s: %d units cost %d", rounding, units, cost)
			}
		}
		m := &Meter{ID: "m", Price: credit.MaxAmount, Per: MaxPer, Rounding: rounding}
		if rounding != RoundExact {
			if cost, _ := costUnits(t, m, MaxPer, 0); cost != credit.MaxAmount {
				t.Errorf("%s: one block costs %d", rounding, cost)
			}
		}
	}
	// The sum of units and carry exceeds an int64, the cost does not.
	m := &Meter{ID: "m", Price: 1, Per: MaxPer, Rounding: RoundAccumulate}
	cost, after := costUnits(t, m, math.MaxInt64, MaxPer-1)
	if cost != 9_223_372_037 || after != 854_775_806 {
		t.Errorf("the largest quantity costs %d carrying %d", cost, after)
	}
	if got := m.UnitsFor(credit.MaxAmount, 0); got != math.MaxInt64 {
		t.Errorf("the largest amount pays %d units", got)
	}
}
