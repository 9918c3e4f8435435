package api

import (
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
)

func read(t *testing.T, text string, known ...string) fields {
	t.Helper()
	o, err := parseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return fieldsOf(o, "", known...)
}

// A quantity is a whole number, written as one.
func TestQuantity(t *testing.T) {
	for _, bad := range []string{`1.5`, `1.0`, `1e3`, `"5"`, `0`, `-1`, `-0`, `1000000000001`, `99999999999999999999`, `true`, `[1]`, `null`} {
		f := read(t, `{"quantity":`+bad+`}`, "quantity")
		if f.quantity("quantity", true); f.fault == nil || f.fault.Field != "quantity" {
			t.Errorf("%s: %+v", bad, f.fault)
		}
	}
	for text, want := range map[string]int64{`1`: 1, `1000000000000`: 1_000_000_000_000, ` 7 `: 7} {
		f := read(t, `{"quantity":`+text+`}`, "quantity")
		if got := f.quantity("quantity", true); f.fault != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, f.fault)
		}
	}
}

func TestUnknownFieldsAreTold(t *testing.T) {
	for text, want := range map[string]string{
		`{"meter":"m","quantiti":1}`: `did you mean "quantity"?`,
		`{"Meter":"m"}`:              `did you mean "meter"?`,
		`{"zzzzzzzzzzzz":1}`:         `known are meter, quantity`,
	} {
		f := read(t, text, "meter", "quantity")
		if f.fault == nil || !strings.Contains(f.fault.Detail, want) {
			t.Errorf("%s: %+v, want %s", text, f.fault, want)
		}
	}
}

func TestTextsAndIDs(t *testing.T) {
	for name, text := range map[string]string{
		"empty": `""`, "long": `"` + strings.Repeat("x", 129) + `"`, "control": `"a\u0000b"`, "delete": `"a\u007fb"`,
		"line break": `"a\nb"`, "blank": `"  "`, "a number": `5`,
	} {
		f := read(t, `{"id":`+text+`}`, "id")
		if f.id("id"); f.fault == nil || f.fault.Field != "id" {
			t.Errorf("%s was accepted", name)
		}
	}
	f := read(t, `{"description":"two\nlines, é","attributes":{ "a" : 1 }}`, "description", "attributes")
	if f.optional("description", maxText) != "two\nlines, é" || string(f.attributes("attributes")) != `{"a":1}` || f.fault != nil {
		t.Errorf("%v", f.fault)
	}
	f = read(t, `{"attributes":{"a":"`+strings.Repeat("x", 1100)+`"}}`, "attributes")
	if f.attributes("attributes"); f.fault == nil || f.fault.Field != "attributes" {
		t.Error("attributes above 1 KiB were accepted")
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 3, 1, 9, 30, 0, 123456789, time.UTC)
	for _, text := range []string{"2026-03-01T09:30:00.123456789Z", "2026-03-01T06:30:00.123456789-03:00"} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "2026-03-01", "2026-02-30T00:00:00Z", "2026-03-01T09:30:00.1234567891Z", "2026-03-01T09:30:00,5Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "2026-03-01 09:30:00Z", "tomorrow"} {
		if got, err := parseTime(bad); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestAmountsAndMoney(t *testing.T) {
	f := read(t, `{"a":"2.02","m":{"currency":"USD","amount":"100"},"y":{"currency":"JPY","amount":"50"}}`, "a", "m", "y")
	if f.amount("a", 6, true) != 2_020_000 || f.money("m") != (credit.Money{Currency: "USD", Minor: 10000}) ||
		f.money("y") != (credit.Money{Currency: "JPY", Minor: 50}) || f.fault != nil {
		t.Errorf("%+v", f.fault)
	}
	for field, text := range map[string]string{
		"a":          `{"a":"2.021","m":null}`,
		"m.amount":   `{"a":"1","m":{"currency":"JPY","amount":"1.5"}}`,
		"m.currency": `{"a":"1","m":{"currency":"XX","amount":"1"}}`,
		"m":          `{"a":"1","m":"5 USD"}`,
		"m.value":    `{"a":"1","m":{"currency":"USD","value":"1"}}`,
	} {
		f := read(t, text, "a", "m")
		f.amount("a", 2, true)
		if f.money("m"); f.fault == nil || f.fault.Field != field {
			t.Errorf("%s: %+v, want field %s", text, f.fault, field)
		}
	}
	for _, bad := range []string{`1.5`, `"-1"`, `"1e3"`, `"0"`, `"0.00"`, `""`, `"."`, `"1."`} {
		f := read(t, `{"a":`+bad+`}`, "a")
		if f.amount("a", 6, true); f.fault == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestKeysArePrintable(t *testing.T) {
	for _, bad := range []string{"", strings.Repeat("k", 256), "a\tb", "a\x00", "\xff"} {
		if checkKey("id", bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if err := checkKey("id", strings.Repeat("é", 127)); err != nil {
		t.Error(err)
	}
}
