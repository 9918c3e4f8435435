package rules

import (
	"errors"
	"fmt"
	"strings"

	"creditstream/events/credit"
)

// The currencies of ISO 4217 by the number of decimals of their minor unit. Funds and metals
// without a minor unit are left out: nothing is sold for them.
const (
	currencies0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	currencies2 = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD " +
		"CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD " +
		"GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD " +
		"MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD " +
		"RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD " +
		"USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
	currencies3 = "BHD IQD JOD KWD LYD OMR TND"
	currencies4 = "CLF UYW"
)

// Errors of money; they come wrapped in what was being read.
var (
	// ErrCurrency says that a code is not a currency of ISO 4217, or not the catalog's.
	ErrCurrency = errors.New("unknown currency")
	// ErrTopUpLimits says that an amount of money is outside what a top-up allows (W3).
	ErrTopUpLimits = errors.New("outside the limits of a top-up")
)

// MinorDigits returns the number of decimals of a currency's minor unit: 2 for USD, 0 for JPY, 3
// for KWD. The error is ErrCurrency.
func MinorDigits(currency string) (int, error) {
	if len(currency) == 3 && !strings.Contains(currency, " ") {
		switch {
		case strings.Contains(currencies2, currency):
			return 2, nil
		case strings.Contains(currencies0, currency):
			return 0, nil
		case strings.Contains(currencies3, currency):
			return 3, nil
		case strings.Contains(currencies4, currency):
			return 4, nil
		}
	}
	return 0, fmt.Errorf("%w %.8q: use an ISO 4217 code such as USD", ErrCurrency, currency)
}

// ParseMoney reads a decimal such as "123.45" as money of the currency; "100" and "100.00" are
// the same. It refuses signs and more decimals than the currency has.
func ParseMoney(currency, amount string) (credit.Money, error) {
	digits, err := MinorDigits(currency)
	if err != nil {
		return credit.Money{}, err
	}
	minor, err := credit.ParseAmount(amount, digits)
	if err != nil {
		return credit.Money{}, fmt.Errorf("amount of %s: %w", currency, err)
	}
	return credit.Money{Currency: currency, Minor: int64(minor)}, nil
}

// FormatMoney writes the amount with all decimals of its currency: "49.00" for 4900 minor units
// of BRL, "49" for 49 of JPY. The code is not part of it. An unknown currency is written in its
// minor units.
func FormatMoney(m credit.Money) string {
	digits, err := MinorDigits(m.Currency)
	if err != nil || digits == 0 {
		return fmt.Sprint(m.Minor)
	}
	s := credit.Amount(m.Minor).Format(digits)
	whole, frac, _ := strings.Cut(s, ".")
	return whole + "." + frac + strings.Repeat("0", digits-len(frac))
}

// Credits returns what an amount of money buys (W3): 1 cent at 80,000 per dollar is 800. The
// error wraps ErrCurrency or ErrTopUpLimits.
func (t *TopUp) Credits(m credit.Money) (credit.Amount, error) {
	if m.Currency != t.Currency {
		return 0, fmt.Errorf("top up with %.8q: %w, want %s", m.Currency, ErrCurrency, t.Currency)
	}
	if m.Minor < t.Min.Minor || m.Minor > t.Max.Minor {
		return 0, fmt.Errorf("top up with %s %s: %w, %s to %s",
			FormatMoney(m), m.Currency, ErrTopUpLimits, FormatMoney(t.Min), FormatMoney(t.Max))
	}
	credits, _, err := t.credits(m.Minor)
	return credits, err
}

// credits converts minor units at the rate. The remainder is 0 for a catalog that was parsed.
func (t *TopUp) credits(minor int64) (credits credit.Amount, remainder int64, err error) {
	digits, err := MinorDigits(t.Currency)
	if err != nil {
		return 0, 0, err
	}
	whole := int64(1)
	for range digits {
		whole *= 10
	}
	credits, remainder, err = t.Rate.MulDiv(minor, whole)
	if err != nil {
		return 0, 0, fmt.Errorf("top up with %d minor units of %s: %w", minor, t.Currency, err)
	}
	return credits, remainder, nil
}
