package rules

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones must not depend on what the machine has installed
)

// AddMonths returns the same local time n calendar months after the anchor, on the month's last
// day where the month is too short: 31 January + 1 = 28 or 29 February. n may be negative. A
// series of boundaries is always computed from its anchor, never from its last element, so that
// 31 January + 2 is 31 March again.
func AddMonths(anchor time.Time, n int, loc *time.Location) time.Time {
	local := anchor.In(loc)
	year, month, day := monthsLater(local, n)
	return instant(year, month, day, timeOfDay(local), loc)
}

// AddDays returns the same local time n calendar days after start.
func AddDays(start time.Time, n int, loc *time.Location) time.Time {
	local := start.In(loc)
	year, month, day := local.Date()
	return instant(year, month, day+n, timeOfDay(local), loc)
}

// StartOfDay returns the first instant of the local date that t falls on.
func StartOfDay(t time.Time, loc *time.Location) time.Time {
	year, month, day := t.In(loc).Date()
	return instant(year, month, day, 0, loc)
}

// Boundary returns the instant at which cycle n of an account starts; cycle 0 starts at the
// anchor. With wholeDay (Plan.WholeDay) the boundary is the first instant of the local date on
// which AddMonths falls, also for n = 0, and the anchor's time of day is not used (P5).
func Boundary(anchor time.Time, n int, loc *time.Location, wholeDay bool) time.Time {
	if !wholeDay {
		return AddMonths(anchor, n, loc)
	}
	year, month, day := monthsLater(anchor.In(loc), n)
	return instant(year, month, day, 0, loc)
}

// CycleAt returns the cycle [from, to) that contains t: Boundary(n) = from ≤ t < to =
// Boundary(n+1). n is negative before the anchor.
func CycleAt(anchor, t time.Time, loc *time.Location, wholeDay bool) (n int, from, to time.Time) {
	a, l := anchor.In(loc), t.In(loc)
	n = 12*(l.Year()-a.Year()) + int(l.Month()) - int(a.Month())
	from = Boundary(anchor, n, loc, wholeDay)
	for from.After(t) {
		n--
		to, from = from, Boundary(anchor, n, loc, wholeDay)
	}
	if to.IsZero() {
		to = Boundary(anchor, n+1, loc, wholeDay)
	}
	for !to.After(t) {
		n++
		from, to = to, Boundary(anchor, n+1, loc, wholeDay)
	}
	return n, from, to
}

// monthsLater returns the date n months after that of local, clamped to the month's last day.
func monthsLater(local time.Time, n int) (int, time.Month, int) {
	first := time.Date(local.Year(), local.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.Year(), first.Month(), min(local.Day(), last)
}

func timeOfDay(local time.Time) time.Duration {
	hour, minute, second := local.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute +
		time.Duration(second)*time.Second + time.Duration(local.Nanosecond())
}

// farthestOffset exceeds every distance between local time and UTC, so that a local time can be
// found by walking a zone's periods from that long before it.
const farthestOffset = 26 * time.Hour

// instant returns the instant of a local time: the earlier one where clocks that were set back
// show it twice, the first instant after the gap where clocks that were set forward skip it
// (time.Date promises neither). A day outside its month counts on into the next ones.
func instant(year int, month time.Month, day int, clock time.Duration, loc *time.Location) time.Time {
	wall := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Add(clock)
	period := wall.Add(-farthestOffset).In(loc)
	for {
		start, end := period.ZoneBounds()
		_, offset := period.Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if !end.IsZero() && !t.Before(end) {
			period = end
			continue
		}
		if t.Before(start) {
			return start
		}
		return t
	}
}

var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// LoadZone returns the zone with an IANA name such as America/Sao_Paulo. It refuses the empty
// name, "Local" and whatever else means a different zone on another machine.
func LoadZone(name string) (*time.Location, error) {
	if len(name) > 64 || !zoneName.MatchString(name) || name == "Local" || strings.HasPrefix(name, "SystemV/") {
		return nil, fmt.Errorf("unknown time zone %.64q: use an IANA name such as America/Sao_Paulo or UTC", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q: use an IANA name such as America/Sao_Paulo or UTC", name)
	}
	return loc, nil
}

// Zones is a set of zones that were loaded once, for accounts that each have their own. The zero
// value is ready; it may be used by several goroutines.
type Zones struct {
	loaded sync.Map
}

// Load is LoadZone, remembered.
func (z *Zones) Load(name string) (*time.Location, error) {
	if loc, ok := z.loaded.Load(name); ok {
		return loc.(*time.Location), nil
	}
	loc, err := LoadZone(name)
	if err != nil {
		return nil, err
	}
	z.loaded.Store(name, loc)
	return loc, nil
}
