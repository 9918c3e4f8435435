package credit

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// No entry takes more bytes than Measure says, whatever stands in it, and one as most are not much less: how many a commit
// takes hangs on it.
func TestAnEntryTakesWhatMeasureSays(t *testing.T) {
	source := "/creditstream/" + strings.Repeat("t", 32) + "/31"
	late := time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.FixedZone("", 14*60*60))
	least := int64(math.MinInt64)
	for _, text := range []string{"", "plain", strings.Repeat("x", 1000), strings.Repeat("\x00", 1000), strings.Repeat("\"\\", 500), strings.Repeat("é漢😀", 300), strings.Repeat("\xff", 1000), "seven7\x1f", "eightee\"", "😀"} {
		draw := Draw{Lot: text, Pool: text, Amount: Amount(least), Unit: text, Cycle: math.MaxUint32, Revenue: least}
		use := &UsageRecorded{
			Meter: text, Quantity: least, Cost: Amount(least), Draws: []Draw{draw, draw, draw}, Debt: Amount(least), Unpaid: Amount(least), Why: text, Carry: &least,
			Remaining: Amount(least), Catalog: math.MaxUint32, Description: text, Attributes: json.RawMessage(`{"a":"` + strings.Repeat("b", len(text)) + `"}`),
		}
		for _, kind := range append(Kinds(), "") {
			entry := entryOf(use)
			if kind != "" {
				entry = entryOf(sample(kind))
			}
			entry.Account, entry.Key, entry.Actor, entry.Source, entry.Recorded = text, text, text, text, late
			entry.Facts[0].At = late
			entry.Facts = append(entry.Facts, entry.Facts[0], entry.Facts[0])
			most, err := entry.Measure()
			if err != nil {
				t.Fatal(err)
			}
			again := entry
			again.Facts = append([]Fact(nil), entry.Facts...)
			encoder := &Encoder{Source: source}
			if err := encoder.Add([]Entry{entry}); err != nil {
				t.Fatal(err)
			}
			body := encoder.Body()
			if got := len(body); got > most {
				t.Errorf("%s with the text %.20q: %d bytes, measured %d", kind, text, got, most)
			}
			plain, err := EncodeCommit(source, []Entry{again})
			if err != nil || string(plain) != string(body) {
				t.Errorf("%s with the text %.20q: another commit when it was measured before (%v)", kind, text, err)
			}
		}
	}
	common := entryOf(&UsageRecorded{Meter: "assistant_token", Quantity: 418, Cost: 418_000000, Draws: []Draw{{Lot: "l1", Pool: "allowance", Amount: 418_000000, Cycle: 1}}, Remaining: 99_000000, Catalog: 1})
	most, err := common.Measure()
	body, err2 := EncodeCommit(source, []Entry{common})
	if err != nil || err2 != nil || most*10 > 11*len(body)+100 {
		t.Errorf("a common use takes %d bytes, measured %d (%v, %v)", len(body), most, err, err2)
	}
}

func TestDigits(t *testing.T) {
	for power := int64(1); ; power *= 10 {
		for _, n := range []int64{power - 1, power, power + 1, -power, 1 - power} {
			if got, want := digits(n), len(strconv.FormatInt(n, 10)); got < want || got > want+1 {
				t.Errorf("%d has %d bytes, not %d", n, want, got)
			}
		}
		if power > math.MaxInt64/10 {
			break
		}
	}
	for _, n := range []int64{0, math.MaxInt64, math.MinInt64, math.MinInt64 + 1} {
		if got, want := digits(n), len(strconv.FormatInt(n, 10)); got < want || got > want+1 {
			t.Errorf("%d has %d bytes, not %d", n, want, got)
		}
	}
}

// What is plain is what stands between quotes as it is.
func TestPlainTexts(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				b := []byte(strings.Repeat("~", n))
				b[at] = byte(c)
				want := c >= 0x20 && c < 0x80 && c != '"' && c != '\\'
				if got := isPlain(string(b)); got != want {
					t.Fatalf("%q: %t", b, got)
				}
			}
		}
	}
	if !isPlain("") {
		t.Error("nothing is not plain")
	}
}
