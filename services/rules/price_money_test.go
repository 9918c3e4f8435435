package rules

import (
	"errors"
	"strings"
	"testing"

	"creditstream/events/credit"
)

func TestMoneyInMinorUnits(t *testing.T) {
	for _, test := range []struct {
		currency, amount string
		minor            int64
		written          string
	}{
		{"USD", "100", 10000, "100.00"},
		{"USD", "100.00", 10000, "100.00"},
		{"USD", "0.01", 1, "0.01"},
		{"USD", "123.4", 12340, "123.40"},
		{"JPY", "49", 49, "49"},
		{"JPY", "49.0", 49, "49"},
		{"KWD", "1.234", 1234, "1.234"},
		{"KWD", "1.2", 1200, "1.200"},
		{"CLF", "1.0001", 10001, "1.0001"},
		{"USD", "0", 0, "0.00"},
	} {
		m, err := ParseMoney(test.currency, test.amount)
		if err != nil || m != (credit.Money{Currency: test.currency, Minor: test.minor}) {
			t.Errorf("%s %s: got %v, %v", test.currency, test.amount, m, err)
			continue
		}
		if got := FormatMoney(m); got != test.written {
			t.Errorf("%s %s is written %q, want %q", test.currency, test.amount, got, test.written)
		}
	}
	if got := FormatMoney(credit.Money{Currency: "USD", Minor: -5}); got != "-0.05" {
		t.Errorf("5 cents owed are written %q", got)
	}
}

func TestRefusedMoney(t *testing.T) {
	for _, test := range [][2]string{
		{"USD", "1.005"}, {"JPY", "1.5"}, {"KWD", "1.2345"}, {"USD", "-1"}, {"USD", "+1"}, {"USD", "1e3"}, {"USD", ""},
		{"USD", "1,000"}, {"USD", " 1"}, {"USD", "99999999999999999999"}, {"USD", "0x10"}, {"USD", "."},
	} {
		if m, err := ParseMoney(test[0], test[1]); err == nil {
			t.Errorf("%q %q gives %v", test[0], test[1], m)
		}
	}
	for _, code := range []string{"", "usd", "US", "USDX", "SD ", "D A", "XXX", "   ", "S D"} {
		if _, err := ParseMoney(code, "1"); !errors.Is(err, ErrCurrency) {
			t.Errorf("currency %q: %v", code, err)
		}
	}
}

// Each code stands in exactly one list, so that its decimals are not decided by their order.
func TestCurrenciesAreListedOnce(t *testing.T) {
	seen := map[string]bool{}
	for digits, list := range map[int]string{0: currencies0, 2: currencies2, 3: currencies3, 4: currencies4} {
		for code := range strings.FieldsSeq(list) {
			got, err := MinorDigits(code)
			if len(code) != 3 || seen[code] || err != nil || got != digits {
				t.Errorf("%s has %d digits (%v), listed under %d", code, got, err, digits)
			}
			seen[code] = true
		}
	}
	if len(seen) < 150 {
		t.Errorf("only %d currencies", len(seen))
	}
}

func TestTopUpRateAndLimits(t *testing.T) {
	top := shipped(t, "wanclouds").TopUp
	for _, test := range []struct {
		minor int64
		want  string
	}{{500, "400000"}, {501, "400800"}, {12345, "9876000"}, {10_000_00, "800000000"}} {
		got, err := top.Credits(credit.Money{Currency: "USD", Minor: test.minor})
		if err != nil || got.Format(6) != test.want {
			t.Errorf("%d cents buy %s, %v; want %s", test.minor, got.Format(6), err, test.want)
		}
	}
	for _, minor := range []int64{-1, 0, 499, 10_000_01} {
		if _, err := top.Credits(credit.Money{Currency: "USD", Minor: minor}); !errors.Is(err, ErrTopUpLimits) {
			t.Errorf("%d cents: %v", minor, err)
		}
	}
	if _, err := top.Credits(credit.Money{Currency: "EUR", Minor: 500}); !errors.Is(err, ErrCurrency) {
		t.Errorf("euros: %v", err)
	}
	yen := parsed(t, strings.Replace(small, "USD", "JPY", 1)+"topup: {pool: p, rate: 0.5, min: 1, max: 100}\n").TopUp
	if got, err := yen.Credits(credit.Money{Currency: "JPY", Minor: 3}); err != nil || got != 150 {
		t.Errorf("3 yen at 0.5: %d, %v", got, err)
	}
}
