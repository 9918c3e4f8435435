package rules

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// at reads a time with its offset from UTC, so that a test says which instant it means.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sameInstant(t *testing.T, what string, got time.Time, want string) {
	t.Helper()
	if !got.Equal(at(t, want)) {
		t.Errorf("%s: got %s, want %s", what, got.Format(time.RFC3339Nano), want)
	}
}

func TestAddMonths(t *testing.T) {
	for _, test := range []struct {
		zone, anchor string
		n            int
		want         string
	}{
		{"UTC", "2026-01-31T10:00:00.000000007Z", 1, "2026-02-28T10:00:00.000000007Z"},
		{"UTC", "2026-01-31T10:00:00Z", 2, "2026-03-31T10:00:00Z"},
		{"UTC", "2028-01-31T10:00:00Z", 1, "2028-02-29T10:00:00Z"},
		{"UTC", "2028-02-29T00:00:00Z", 12, "2029-02-28T00:00:00Z"},
		{"UTC", "2028-02-29T00:00:00Z", 48, "2032-02-29T00:00:00Z"},
		{"UTC", "2026-03-31T10:00:00Z", -1, "2026-02-28T10:00:00Z"},
		{"UTC", "2026-01-31T10:00:00Z", -14, "2024-11-30T10:00:00Z"},
		{"UTC", "2026-12-31T23:59:59.999999999Z", 2, "2027-02-28T23:59:59.999999999Z"},
		// The same local time on both sides of a change of clocks.
		{"Europe/Madrid", "2026-03-15T09:00:00+01:00", 1, "2026-04-15T09:00:00+02:00"},
		// The month is that of the local date, not of UTC.
		{"America/Sao_Paulo", "2026-01-31T22:00:00-03:00", 1, "2026-02-28T22:00:00-03:00"},
		// 02:30 does not exist in Madrid on 29 March 2026: clocks go from 02:00 to 03:00.
		{"Europe/Madrid", "2026-02-28T02:30:00+01:00", 1, "2026-03-28T02:30:00+01:00"},
		{"Europe/Madrid", "2026-01-29T02:30:00+01:00", 2, "2026-03-29T03:00:00+02:00"},
		{"Europe/Madrid", "2026-01-29T02:00:00+01:00", 2, "2026-03-29T03:00:00+02:00"},
		{"Europe/Madrid", "2026-01-29T01:59:59.999999999+01:00", 2, "2026-03-29T01:59:59.999999999+01:00"},
		// 02:30 comes twice in Madrid on 25 October 2026: the earlier is still in summer time.
		{"Europe/Madrid", "2026-09-25T02:30:00+02:00", 1, "2026-10-25T02:30:00+02:00"},
		{"Europe/Madrid", "2026-09-25T03:00:00+02:00", 1, "2026-10-25T03:00:00+01:00"},
		// Midnight does not exist in Santiago on 6 September 2026.
		{"America/Santiago", "2026-08-06T00:00:00-04:00", 1, "2026-09-06T01:00:00-03:00"},
		// Clocks change by half an hour on Lord Howe Island: 02:00 to 02:30, and 02:00 to 01:30.
		{"Australia/Lord_Howe", "2026-09-04T02:10:00+10:30", 1, "2026-10-04T02:30:00+11:00"},
		{"Australia/Lord_Howe", "2026-03-05T01:45:00+11:00", 1, "2026-04-05T01:45:00+11:00"},
		// Samoa skipped 30 December 2011 wholly.
		{"Pacific/Apia", "2011-11-30T12:00:00-10:00", 1, "2011-12-31T00:00:00+14:00"},
		{"Pacific/Apia", "2011-11-30T12:00:00-10:00", 2, "2012-01-30T12:00:00+14:00"},
		// Years ahead of the zone's list of changes follow its rule.
		{"Europe/Madrid", "2026-07-01T00:00:00+02:00", 12 * 60, "2086-07-01T00:00:00+02:00"},
	} {
		got := AddMonths(at(t, test.anchor), test.n, zone(t, test.zone))
		sameInstant(t, test.zone+" "+test.anchor, got, test.want)
	}
}

func TestAddDays(t *testing.T) {
	madrid := zone(t, "Europe/Madrid")
	sameInstant(t, "over a change", AddDays(at(t, "2026-03-20T09:00:00+01:00"), 30, madrid), "2026-04-19T09:00:00+02:00")
	sameInstant(t, "into a gap", AddDays(at(t, "2026-03-28T02:15:00+01:00"), 1, madrid), "2026-03-29T03:00:00+02:00")
	sameInstant(t, "over a year", AddDays(at(t, "2026-12-31T09:00:00+01:00"), 1, madrid), "2027-01-01T09:00:00+01:00")
}

func TestStartOfDay(t *testing.T) {
	for _, test := range []struct{ zone, t, want string }{
		{"UTC", "2026-01-31T10:00:00Z", "2026-01-31T00:00:00Z"},
		{"Europe/Madrid", "2026-01-30T23:30:00Z", "2026-01-31T00:00:00+01:00"},
		{"Europe/Madrid", "2026-10-25T12:00:00+01:00", "2026-10-25T00:00:00+02:00"},
		{"America/Santiago", "2026-09-06T12:00:00-03:00", "2026-09-06T01:00:00-03:00"},
		// São Paulo put its clocks forward at midnight until 2018, and back at midnight until 2019.
		{"America/Sao_Paulo", "2018-11-04T12:00:00-02:00", "2018-11-04T01:00:00-02:00"},
		{"America/Sao_Paulo", "2019-02-17T12:00:00-03:00", "2019-02-17T00:00:00-03:00"},
		{"America/Sao_Paulo", "2019-02-16T23:30:00-03:00", "2019-02-16T00:00:00-02:00"},
		// Havana puts them back from 01:00 to 00:00: midnight comes twice.
		{"America/Havana", "2026-11-01T12:00:00-05:00", "2026-11-01T00:00:00-04:00"},
		{"Pacific/Apia", "2011-12-31T12:00:00+14:00", "2011-12-31T00:00:00+14:00"},
	} {
		sameInstant(t, test.zone+" "+test.t, StartOfDay(at(t, test.t), zone(t, test.zone)), test.want)
	}
}

func TestBoundaryOfWholeDays(t *testing.T) {
	madrid, santiago := zone(t, "Europe/Madrid"), zone(t, "America/Santiago")
	anchor := at(t, "2026-01-31T17:45:00+01:00")
	sameInstant(t, "cycle 0", Boundary(anchor, 0, madrid, true), "2026-01-31T00:00:00+01:00")
	sameInstant(t, "cycle 1", Boundary(anchor, 1, madrid, true), "2026-02-28T00:00:00+01:00")
	sameInstant(t, "cycle 2", Boundary(anchor, 2, madrid, true), "2026-03-31T00:00:00+02:00")
	sameInstant(t, "to the instant", Boundary(anchor, 2, madrid, false), "2026-03-31T17:45:00+02:00")
	sameInstant(t, "no midnight", Boundary(at(t, "2026-08-06T15:00:00-04:00"), 1, santiago, true), "2026-09-06T01:00:00-03:00")
	// The nominal time is in the gap after midnight; the date stays that of the anchor.
	sameInstant(t, "in the gap", Boundary(at(t, "2026-08-06T00:30:00-04:00"), 1, santiago, true), "2026-09-06T01:00:00-03:00")
	sameInstant(t, "skipped day", Boundary(at(t, "2011-11-30T12:00:00-10:00"), 1, zone(t, "Pacific/Apia"), true), "2011-12-31T00:00:00+14:00")
}

// TestCycleAtAgreesWithBoundaries checks the definition, n by n, around every boundary.
func TestCycleAtAgreesWithBoundaries(t *testing.T) {
	anchors := map[string][]string{
		"UTC":                 {"2024-01-31T00:00:00Z", "2024-02-29T12:00:00Z"},
		"Europe/Madrid":       {"2023-10-29T02:30:00+02:00", "2023-12-31T23:59:59.999999999+01:00", "2024-01-31T02:30:00+01:00"},
		"America/Santiago":    {"2024-08-08T00:00:00-04:00"},
		"Australia/Lord_Howe": {"2024-01-07T02:10:00+11:00"},
		"Pacific/Apia":        {"2010-11-30T12:00:00-10:00", "2010-08-31T23:30:00-11:00"},
	}
	for name, list := range anchors {
		loc := zone(t, name)
		for _, text := range list {
			for _, wholeDay := range []bool{false, true} {
				anchor := at(t, text)
				for n := -30; n < 60; n++ {
					from, to := Boundary(anchor, n, loc, wholeDay), Boundary(anchor, n+1, loc, wholeDay)
					if !from.Before(to) {
						t.Fatalf("%s from %s: cycle %d has no length", name, text, n)
					}
					for _, instant := range []time.Time{from, from.Add(1), from.Add(to.Sub(from) / 2), to.Add(-1)} {
						gotN, gotFrom, gotTo := CycleAt(anchor, instant, loc, wholeDay)
						if gotN != n || !gotFrom.Equal(from) || !gotTo.Equal(to) {
							t.Fatalf("%s from %s, whole days %v, at %s: cycle %d [%s, %s), want %d [%s, %s)",
								name, text, wholeDay, instant, gotN, gotFrom, gotTo, n, from, to)
						}
					}
				}
			}
		}
	}
}

func TestCycleAtDecadesApart(t *testing.T) {
	n, from, to := CycleAt(at(t, "1996-01-31T12:00:00Z"), at(t, "2126-03-01T00:00:00Z"), time.UTC, false)
	if n != 1561 {
		t.Errorf("got cycle %d", n)
	}
	sameInstant(t, "from", from, "2126-02-28T12:00:00Z")
	sameInstant(t, "to", to, "2126-03-31T12:00:00Z")
}

// St. John's put its clocks back at one minute past midnight: an instant after the boundary on 1
// November reads 31 October.
func TestCycleAtWhereTheDateGoesBack(t *testing.T) {
	n, from, _ := CycleAt(at(t, "2009-01-01T00:00:00-03:30"), at(t, "2009-10-31T23:30:00-03:30"), zone(t, "America/St_Johns"), false)
	if n != 10 {
		t.Errorf("got cycle %d", n)
	}
	sameInstant(t, "from", from, "2009-11-01T00:00:00-02:30")
}

// Every half hour of two years in zones with every kind of change: an existing local time comes back
// as itself or as its earlier twin.
func TestInstantOfExistingLocalTimes(t *testing.T) {
	for name, start := range map[string]string{
		"Europe/Madrid": "2025-01-01T00:00:00Z", "America/Santiago": "2025-01-01T00:00:00Z",
		"Australia/Lord_Howe": "2025-01-01T00:00:00Z", "Pacific/Apia": "2011-01-01T00:00:00Z",
		"America/Sao_Paulo": "2018-01-01T00:00:00Z", "America/St_Johns": "2010-01-01T00:00:00Z",
	} {
		loc := zone(t, name)
		first := at(t, start)
		for u := first; u.Before(first.AddDate(2, 0, 0)); u = u.Add(30 * time.Minute) {
			got := AddDays(u, 0, loc)
			if got.After(u) {
				t.Fatalf("%s: %s moved forward to %s", name, u.In(loc), got)
			}
			const wall = "2006-01-02T15:04:05.999999999"
			if got.Format(wall) != u.In(loc).Format(wall) {
				t.Fatalf("%s: %s became %s", name, u.In(loc), got)
			}
			if !got.Equal(u) && u.Sub(got) > 2*time.Hour {
				t.Fatalf("%s: %s is not a twin of %s", name, got, u.In(loc))
			}
		}
	}
}

func TestExpiryOfALot(t *testing.T) {
	madrid := zone(t, "Europe/Madrid")
	start, end := at(t, "2028-02-29T09:00:00+01:00"), at(t, "2028-03-15T00:00:00+01:00")
	sameInstant(t, "12 months", Expiry{Kind: ExpireMonths, N: 12}.At(start, end, madrid), "2029-02-28T09:00:00+01:00")
	sameInstant(t, "30 days", Expiry{Kind: ExpireDays, N: 30}.At(start, end, madrid), "2028-03-30T09:00:00+02:00")
	sameInstant(t, "cycle end", Expiry{Kind: ExpireCycleEnd}.At(start, end, madrid), "2028-03-15T00:00:00+01:00")
	sameInstant(t, "day before", Expiry{Kind: ExpireDayBeforeRenewal}.At(start, end, madrid), "2028-03-15T00:00:00+01:00")
	if got := (Expiry{Kind: ExpireNever}).At(start, end, madrid); !got.IsZero() {
		t.Errorf("never is %s", got)
	}
}

func TestZoneNames(t *testing.T) {
	var zones Zones
	for _, name := range []string{"UTC", "America/Sao_Paulo", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "GMT"} {
		loc, err := zones.Load(name)
		if err != nil || loc.String() != name {
			t.Errorf("%s: %v, %v", name, loc, err)
		}
		if again, _ := zones.Load(name); again != loc {
			t.Errorf("%s is loaded twice", name)
		}
	}
	for _, name := range []string{"", "Local", "localtime", "posixrules", "../UTC", "/etc/localtime", "America", "America/Sao_Paolo", "UTC\x00", "tzdata.zi", "BRT", "utc"} {
		if loc, err := zones.Load(name); err == nil {
			t.Errorf("%q gives %v", name, loc)
		}
	}
}

func BenchmarkCycleAt(b *testing.B) {
	loc, err := LoadZone("America/Sao_Paulo")
	if err != nil {
		b.Fatal(err)
	}
	anchor := time.Date(2020, 1, 31, 12, 0, 0, 0, loc)
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, loc)
	for b.Loop() {
		CycleAt(anchor, now, loc, false)
	}
}
