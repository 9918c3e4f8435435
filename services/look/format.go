package look

import (
	"fmt"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// symbols are those of the currencies that a reader of either language takes for granted; every other
// currency is named by its code.
var symbols = map[string]map[string]string{
	"en": {"USD": "$", "EUR": "€", "GBP": "£", "BRL": "R$", "JPY": "¥"},
	"pt": {"USD": "US$", "EUR": "€", "GBP": "£", "BRL": "R$", "JPY": "JP¥"},
}

var months = map[string][12]string{
	"en": {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
	"pt": {"jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."},
}

// Amount writes an amount of the given scale with the separators of the language: 1,234.5 or 1.234,5.
func (l *Locale) Amount(a credit.Amount, scale int) string { return l.Decimal(a.Format(scale)) }

// Signed is Amount with a sign, whichever it is; zero has none.
func (l *Locale) Signed(a credit.Amount, scale int) string {
	switch text := l.Amount(a, scale); {
	case a > 0:
		return "+" + text
	case a < 0:
		return "−" + strings.TrimPrefix(text, "-")
	default:
		return text
	}
}

// Int writes a whole number.
func (l *Locale) Int(n int64) string { return l.Decimal(fmt.Sprint(n)) }

// Decimal writes a decimal such as "-1234.5" with the separators of the language.
func (l *Locale) Decimal(text string) string {
	group, point := ",", "."
	if l.Code == "pt" {
		group, point = ".", ","
	}
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	var b strings.Builder
	if negative {
		b.WriteString("-")
	}
	for i := range len(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(group)
		}
		b.WriteByte(whole[i])
	}
	if dotted {
		b.WriteString(point + fraction)
	}
	return b.String()
}

// Money writes money with its symbol, or its code: $1,234.50, R$ 49,00, CHF 12.00.
func (l *Locale) Money(m credit.Money) string {
	text := l.Decimal(rules.FormatMoney(m))
	symbol, known := symbols[l.Code][m.Currency]
	switch {
	case !known:
		return m.Currency + "\u00a0" + text
	case l.Code == "pt":
		return symbol + "\u00a0" + text
	}
	return symbol + text
}

// Symbol is what stands before an amount of the currency.
func (l *Locale) Symbol(currency string) string {
	if symbol, known := symbols[l.Code][currency]; known {
		return symbol
	}
	return currency
}

// Day writes a date in the locale's zone: 22 Nov 2026, 22 de nov. de 2026.
func (l *Locale) Day(t time.Time) string {
	t = t.In(l.Zone)
	if l.Code == "pt" {
		return fmt.Sprintf("%d de %s de %d", t.Day(), months["pt"][t.Month()-1], t.Year())
	}
	return fmt.Sprintf("%d %s %d", t.Day(), months["en"][t.Month()-1], t.Year())
}

// ShortDay is Day without the year: 22 Nov.
func (l *Locale) ShortDay(t time.Time) string {
	t = t.In(l.Zone)
	return fmt.Sprintf("%d %s", t.Day(), months[l.Code][t.Month()-1])
}

// Clock writes the time of day in the locale's zone: 14:05.
func (l *Locale) Clock(t time.Time) string { return t.In(l.Zone).Format("15:04") }

// Time writes date and time of day: 22 Nov 2026, 14:05.
func (l *Locale) Time(t time.Time) string { return l.Day(t) + ", " + l.Clock(t) }

// Machine is the instant as <time datetime> has it.
func (l *Locale) Machine(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Until says how long it is from now to then, roughly: in 3 days, in 5 hours.
func (l *Locale) Until(now, then time.Time) string {
	left := then.Sub(now)
	days := int64(l.days(now, then))
	switch {
	case left <= 0:
		return l.T("look.now")
	case left < time.Hour:
		n := int64(left/time.Minute) + 1
		return l.N("look.in_minutes", n, l.Int(n))
	case left < 24*time.Hour || days == 0:
		n := int64(left / time.Hour)
		return l.N("look.in_hours", n, l.Int(n))
	case days == 1:
		return l.T("look.tomorrow")
	case days <= 60:
		return l.N("look.in_days", days, l.Int(days))
	}
	n := days / 30
	return l.N("look.in_months", n, l.Int(n))
}

// days is how many midnights of the zone lie between two instants.
func (l *Locale) days(from, to time.Time) int {
	midnight := func(t time.Time) time.Time {
		t = t.In(l.Zone)
		return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	}
	return int(midnight(to).Sub(midnight(from)) / (24 * time.Hour))
}
