package pages

import (
	"time"

	"creditstream/events/credit"
)

// supply is what of one lot can still be used; what never ends has a zero end.
type supply struct {
	amount credit.Amount
	ends   time.Time
}

// forecast says how far credits reach at a given pace.
type forecast struct {
	// Runs says that they run out at Out, before Horizon.
	Runs bool
	Out  time.Time
	// Wasted is what ends unused on the way, before the horizon.
	Wasted credit.Amount
	// Horizon is how far was looked.
	Horizon time.Time
}

// horizonDays is the farthest that a forecast looks: beyond a year nobody's pace holds.
const horizonDays = 366

// project spends used over days at an even pace, from now on, out of the supplies in the order in which
// they are drawn, each until its end. It looks as far as until, or a year. Amounts are integers: the pace of
// a day is the difference of two floors, so that no rounding adds up.
func project(supplies []supply, used credit.Amount, days int64, now, until time.Time) forecast {
	f := forecast{Horizon: now.AddDate(0, 0, horizonDays)}
	if !until.IsZero() && until.Before(f.Horizon) {
		f.Horizon = until
	}
	left := make([]credit.Amount, len(supplies))
	for i, s := range supplies {
		left[i] = s.amount
	}
	var spent credit.Amount
	for day := int64(0); ; day++ {
		at := now.AddDate(0, 0, int(day))
		if !at.Before(f.Horizon) {
			return f
		}
		for i, s := range supplies {
			if !s.ends.IsZero() && !s.ends.After(at) {
				f.Wasted += left[i]
				left[i] = 0
			}
		}
		due, _, err := used.MulDiv(day+1, days)
		if err != nil {
			return f
		}
		need := due - spent
		for i := range left {
			take := min(need, left[i])
			left[i] -= take
			need -= take
		}
		spent = due
		if need > 0 {
			f.Runs, f.Out = true, at
			return f
		}
	}
}
