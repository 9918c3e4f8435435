package api

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// texts.go says which texts are names, keys and instants.

const expectTime = "an instant as in RFC 3339 is expected, with at most nine decimals: 2026-03-01T09:30:00Z"

// Instants outside these are not kept anywhere: nanoseconds since 1970 have to fit 63 bits.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || decimals(s) > 9 || strings.Contains(s, ",") {
		return time.Time{}, fmt.Errorf("%s", expectTime)
	}
	if t.Before(earliest) || !t.Before(latest) {
		return time.Time{}, fmt.Errorf("an instant from 1970 to 2199 is expected")
	}
	return t.UTC(), nil
}

func decimals(s string) int {
	_, frac, _ := strings.Cut(s, ".")
	n := 0
	for n < len(frac) && frac[n] >= '0' && frac[n] <= '9' {
		n++
	}
	return n
}

// checkID checks a name: 1 to 128 bytes of UTF-8 without control characters.
func checkID(field, id string) error { return checkName(field, id, maxID) }

// checkKey checks an idempotency key: 1 to 255 bytes, printable.
func checkKey(field, key string) error { return checkName(field, key, maxKey) }

func checkName(field, name string, most int) error {
	if name == "" || len(name) > most || !utf8.ValidString(name) || hasControl(name, false) {
		return invalid(field, fmt.Sprintf("1 to %d bytes of UTF-8 without control characters are expected", most))
	}
	return nil
}

// hasControl reports control characters; line breaks and tabs do not count in running text.
func hasControl(s string, running bool) bool {
	for _, r := range s {
		if (r < 0x20 && !(running && (r == '\n' || r == '\t'))) || (r >= 0x7f && r < 0xa0) {
			return true
		}
	}
	return false
}
