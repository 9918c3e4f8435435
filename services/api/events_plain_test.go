package api

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// plainTexts are read as plain events, or nearly are.
var plainTexts = []string{
	`{"specversion":"1.0","id":"k1","source":"/s","type":"creditstream.usage","subject":"a","data":{"meter":"sticker","quantity":1}}`,
	` [ {"data" : {"quantity":1000000000000 ,"meter":"m"},"type":"creditstream.usage", "subject":"a b","time":"2026-01-31T12:00:00.5+01:00","source":"s","id":"k","specversion":"1.0"},` +
		`{"specversion":"1.0","id":"k2","source":"s2","type":"creditstream.usage","subject":"b","datacontenttype":"application/json","data":{"meter":"m2","quantity":22}}] `,
	`[]`,
}

var notPlainTexts = []string{
	"", "[", "[,]", "{}", "[{}]", "null", `{"id":"k1"}`,
	strings.Replace(plainTexts[0], `"a"`, `"é"`, 1),
	strings.Replace(plainTexts[0], `"a"`, `"\u0061"`, 1),
	strings.Replace(plainTexts[0], `"a"`, `" "`, 1),
	strings.Replace(plainTexts[0], `"a"`, `""`, 1),
	strings.Replace(plainTexts[0], `"a"`, `null`, 1),
	strings.Replace(plainTexts[0], `"a"`, "\"a\x7f\"", 1),
	strings.Replace(plainTexts[0], `"a"`, `"`+strings.Repeat("a", 129)+`"`, 1),
	strings.Replace(plainTexts[0], `"k1"`, `"`+strings.Repeat("k", 256)+`"`, 1),
	strings.Replace(plainTexts[0], `"1.0"`, `"1.1"`, 1),
	strings.Replace(plainTexts[0], `usage"`, `use"`, 1),
	strings.Replace(plainTexts[0], `"id":"k1"`, `"id":"k1","id":"k1"`, 1),
	strings.Replace(plainTexts[0], `"id":"k1"`, `"id":"k1","time":""`, 1),
	strings.Replace(plainTexts[0], `"id":"k1"`, `"id":"k1","time":"2026-02-30T00:00:00Z"`, 1),
	strings.Replace(plainTexts[0], `"id":"k1"`, `"id":"k1","data_base64":"e30="`, 1),
	strings.Replace(plainTexts[0], `"id":"k1"`, `"id":"k1","extension":"x"`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":01`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":0`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":+1`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":1.0`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":"1"`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":1000000000001`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":1,"quantity":1`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":1,"description":"d"`, 1),
	strings.Replace(plainTexts[0], `"quantity":1`, `"quantity":1},"data":{"meter":"x","quantity":2`, 1),
	plainTexts[0] + "x", "[" + plainTexts[0] + "},", "[" + plainTexts[0] + ",]", "[" + plainTexts[0] + " " + plainTexts[0] + "]",
	"[" + plainTexts[0] + ",1]",
}

// samePlain reads a text both ways, where it is plain.
func samePlain(t *testing.T, d *decoder, text []byte) (plain bool) {
	t.Helper()
	got, plain := d.plain(nil, text)
	if !plain {
		return false
	}
	want, err := decodeAny(nil, text)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%q is plain and has %d events: otherwise it has %d, %v", text, len(got), len(want), err)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("%q, event %d: as a plain one\n%+v %+v, otherwise\n%+v %+v", text, i, got[i], got[i].Request.Command, want[i], want[i].Request.Command)
		}
	}
	return true
}

// What is read in one go is read as everything else is.
func TestPlainEventsAreReadAlike(t *testing.T) {
	d := new(decoder) // one for all: what it remembers of one text must not show in another
	for _, text := range plainTexts {
		if !samePlain(t, d, []byte(text)) {
			t.Errorf("%s is not read as plain", text)
		}
	}
	for _, text := range notPlainTexts {
		if samePlain(t, d, []byte(text)) {
			t.Errorf("%s is read as plain", text)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []byte("\"\\{}[],:0123456789 \nabk.+-eé\x00\x7f")
	plain := 0
	for range 60_000 {
		text := []byte(plainTexts[random.IntN(2)])
		for range 1 + random.IntN(3) {
			switch at := random.IntN(len(text)); random.IntN(3) {
			case 0:
				text[at] = pieces[random.IntN(len(pieces))]
			case 1:
				text = append(text[:at], text[at+1:]...)
			default: // a piece of it once more
				to := min(len(text), at+random.IntN(30))
				text = append(text[:to:to], text[at:]...)
			}
		}
		if samePlain(t, d, text) {
			plain++
		}
	}
	if plain < 1000 {
		t.Errorf("only %d of the changed texts were plain: the comparison says little", plain)
	}
}

// A batch of plain events is bounded like any other.
func TestPlainBatchIsBounded(t *testing.T) {
	text := []byte("[" + strings.Repeat(plainTexts[0]+",", maxEvents) + plainTexts[0] + "]")
	if _, err := decodeEvents(text); err == nil || !strings.Contains(err.Error(), fmt.Sprint(maxEvents+1)) {
		t.Errorf("%d events: %v", maxEvents+1, err)
	}
	if events, err := decodeEvents(append(text[:len(text)-len(plainTexts[0])-2], ']')); err != nil || len(events) != maxEvents {
		t.Errorf("%d events: %v", len(events), err)
	}
}

func FuzzPlainEvents(f *testing.F) {
	for _, text := range append(plainTexts, notPlainTexts...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { samePlain(t, new(decoder), text) })
}

// BenchmarkPlainEvent is one event as most are.
func BenchmarkPlainEvent(b *testing.B) {
	text := []byte(`{"specversion":"1.0","id":"0190f1c2-0000-7000-8000-000000000001","source":"/shop","type":"creditstream.usage","subject":"acct-17","data":{"meter":"sticker","quantity":1}}`)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeEvents(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeAny(nil, text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
