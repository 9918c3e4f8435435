package credit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// sample fills every field of an event with something that is not its zero value.
func sample(kind string) Event {
	e := New(kind)
	fill(reflect.ValueOf(e).Elem(), new(int64))
	return e
}

func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 10, 0, int(*n%60), 123456789, time.UTC)))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`{"model":"m-1"}`))
		return
	case Metadata:
		v.Set(reflect.ValueOf(Metadata{"shop": json.RawMessage(`"lisboa"`)}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.String:
		v.SetString("s" + time.Duration(*n).String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint32:
		v.SetUint(uint64(*n))
	default:
		v.SetInt(*n)
	}
}

func entryOf(e Event) Entry {
	at := time.Date(2026, 11, 22, 9, 30, 0, 5, time.UTC)
	return Entry{
		Account: "acct-1", Key: "key-1", Hash: Hash{1, 2, 0xff}, Actor: "ana", Source: "/chat", Recorded: at.Add(time.Second),
		Facts: []Fact{{ID: uuid.MustParse("0193511f-8a2b-7c3d-8e4f-001122334455"), At: at, Event: e}},
	}
}

// added are the optional fields that a kind got after its first example was frozen: that example stays as it
// is and keeps decoding, and a second one ("….v1.added.json") has them.
var added = map[string][]string{
	"UsageDenied": {"Count", "Since"},
}

// without is a sample as it was before some of its fields were added.
func without(kind string, fields []string) Event {
	e := sample(kind)
	for _, name := range fields {
		reflect.ValueOf(e).Elem().FieldByName(name).SetZero()
	}
	return e
}

// Event kinds and field names are for ever: these files may never change, only be added to.
func TestWireIsFrozen(t *testing.T) {
	examples := make(map[string]Event)
	for _, kind := range Kinds() {
		examples[kind+".v1"] = without(kind, added[kind])
		if len(added[kind]) > 0 {
			examples[kind+".v1.added"] = sample(kind)
		}
	}
	for name, example := range examples {
		kind := example.Kind()
		path := filepath.Join("testdata", "wire", name+".json")
		entry := entryOf(example)
		body, err := EncodeCommit("/creditstream/tecpet/0", []Entry{entry})
		if err != nil {
			t.Fatal(err)
		}
		frozen, err := os.ReadFile(path)
		if os.IsNotExist(err) && os.Getenv("FREEZE") != "" {
			frozen = append(body, '\n')
			if err := os.WriteFile(path, frozen, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Errorf("%s has no frozen example; a new kind gets one with FREEZE=1", kind)
			continue
		}
		frozen = bytes.TrimSpace(frozen)
		if !bytes.Equal(frozen, body) {
			t.Errorf("%s is written differently from what is on disk already:\n%s\nfrozen:\n%s", kind, body, frozen)
		}
		entries, err := DecodeCommit(frozen)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		entries[0].Facts[0].Raw, entry.Facts[0].Raw = nil, nil
		if !reflect.DeepEqual(entries[0], entry) {
			t.Errorf("%s reads back as\n%+v\nnot\n%+v", kind, entries[0].Facts[0].Event, entry.Facts[0].Event)
		}
	}
}

// The hand-written form of UsageRecorded is what encoding/json writes, for odd strings too.
func TestHandWrittenUsageIsJSON(t *testing.T) {
	carry := int64(1)
	for _, u := range []*UsageRecorded{
		{Meter: "sticker", Quantity: 1, Cost: 1, Remaining: 0},
		sample("UsageRecorded").(*UsageRecorded),
		{Meter: "m", Quantity: 3, Draws: []Draw{{Lot: "l1", Pool: "p", Amount: 1}}, Carry: &carry, Description: "a \"quoted\"\\ line\n\t\x01 é 漢 😀 </script> \u2028"},
	} {
		hand := u.append(nil)
		var back UsageRecorded
		if err := json.Unmarshal(hand, &back); err != nil {
			t.Fatalf("%s: %v", hand, err)
		}
		if !reflect.DeepEqual(&back, u) {
			t.Errorf("encoding/json reads %+v, not %+v", &back, u)
		}
		library, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		var fromLibrary UsageRecorded
		if !new(Decoder).usage(&cursor{b: library}, &fromLibrary) || !reflect.DeepEqual(&fromLibrary, u) {
			t.Errorf("the decoder reads %+v from %s", &fromLibrary, library)
		}
	}
}

func TestEntriesKeepTheirBounds(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fact := func(e Event) Fact { return Fact{ID: uuid.New(), At: at, Event: e} }
	entries := []Entry{
		{Recorded: at, Actor: "ops", Facts: []Fact{fact(&CatalogPublished{Version: 1, Source: "a: 1\n"})}},
		{Account: "a/1 é\"", Recorded: at, Facts: []Fact{fact(&AccountClosed{}), fact(&AccountReopened{})}},
		{Account: "a/1 é\"", Recorded: at, Facts: []Fact{fact(&AccountClosed{})}},
		{Account: "b", Key: "k", Hash: Hash{9}, Recorded: at, Facts: []Fact{fact(&UsageRecorded{Meter: "m", Quantity: 1}), fact(&BalanceExhausted{}), fact(&BalanceLow{})}},
	}
	body, err := EncodeCommit("/s", entries)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeCommit(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(back) != len(entries) {
		t.Fatalf("%d entries came back, not %d:\n%s", len(back), len(entries), body)
	}
	for i := range back {
		for j := range back[i].Facts {
			if string(back[i].Facts[j].Raw) != string(entries[i].Facts[j].Raw) {
				t.Errorf("raw data %s is not %s", back[i].Facts[j].Raw, entries[i].Facts[j].Raw)
			}
		}
		if !reflect.DeepEqual(back[i], entries[i]) {
			t.Errorf("entry %d came back as %+v, not %+v", i, back[i], entries[i])
		}
	}
	if empty, err := DecodeCommit([]byte("[]")); err != nil || len(empty) != 0 {
		t.Errorf("the empty commit of a takeover gave %v, %v", empty, err)
	}
}

func TestDecoderRefuses(t *testing.T) {
	good, err := EncodeCommit("/s", []Entry{entryOf(&UsageRecorded{Meter: "m", Quantity: 1, Cost: 1})})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"nothing":           "",
		"an object":         "{}",
		"text after":        string(good) + "x",
		"cut short":         string(good[:len(good)-1]),
		"an unknown kind":   strings.Replace(string(good), "UsageRecorded", "UsageRecordex", 1),
		"an unknown v":      strings.Replace(string(good), ".v1", ".v2", 1),
		"a float":           strings.Replace(string(good), `"quantity":1`, `"quantity":1.5`, 1),
		"an overflow":       strings.Replace(string(good), `"quantity":1`, `"quantity":9223372036854775808`, 1),
		"no time":           strings.Replace(string(good), `"time"`, `"thyme"`, 1),
		"a short hash":      strings.Replace(string(good), `"entryhash":"01`, `"entryhash":"`, 1),
		"an entry cut":      strings.Replace(string(good), `"actor"`, `"entrysize":2,"actor"`, 1),
		"no comma":          strings.Replace(string(good), `,"data"`, `"data"`, 1),
		"deep nesting only": strings.Repeat("[", 100000),
	} {
		if entries, err := DecodeCommit([]byte(body)); err == nil {
			t.Errorf("%s was read as %+v", name, entries)
		}
	}
}

func TestTimeByHand(t *testing.T) {
	for _, text := range []string{
		"2026-11-22T10:00:06.123456789Z", "2026-02-28T23:59:59Z", "2024-02-29T00:00:00.5Z", "1970-01-01T00:00:00.000000001Z",
		"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+01:00", "2026-01-0aT00:00:00Z", "x",
	} {
		want, err := time.Parse(time.RFC3339Nano, text)
		c := &cursor{b: []byte(`"` + text + `"`)}
		got := c.time()
		if c.bad != (err != nil) || !got.Equal(want) || (!c.bad && c.i != len(c.b)) {
			t.Errorf("%s: %v (bad %v), time.Parse says %v, %v", text, got, c.bad, want, err)
		}
	}
}

func FuzzDecodeCommit(f *testing.F) {
	for _, kind := range Kinds() {
		body, err := EncodeCommit("/s", []Entry{entryOf(sample(kind))})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`[{"id":"","data":{"a":["\ud83d\ude00",-0.1e5,true,null]}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, err := DecodeCommit(body)
		if err != nil {
			return
		}
		again, err := EncodeCommit("/s", entries)
		if err != nil {
			return // attributes that are no JSON: the fast path keeps them as they stand
		}
		if _, err := DecodeCommit(again); err != nil {
			t.Errorf("what was read cannot be read again: %v\n%s\n%s", err, body, again)
		}
	})
}

func BenchmarkEncodeUsage(b *testing.B) {
	c := Encoder{Source: "/creditstream/wanclouds/0"}
	e := entryOf(&UsageRecorded{Meter: "assistant_token", Quantity: 418, Cost: 418_000000, Draws: []Draw{{Lot: "l1", Pool: "allowance", Amount: 418_000000, Cycle: 1}}, Remaining: 99, Catalog: 1})
	b.ReportAllocs()
	for b.Loop() {
		c.body, c.marks = c.body[:0], c.marks[:0]
		_ = c.append(&e)
	}
}

func BenchmarkMeasureUsage(b *testing.B) {
	e := entryOf(&UsageRecorded{Meter: "assistant_token", Quantity: 418, Cost: 418_000000, Draws: []Draw{{Lot: "l1", Pool: "allowance", Amount: 418_000000, Cycle: 1}}, Remaining: 99, Catalog: 1})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = e.Measure()
	}
}

func BenchmarkDecodeUsage(b *testing.B) {
	var entries []Entry
	for range 100 {
		entries = append(entries, entryOf(&UsageRecorded{Meter: "assistant_token", Quantity: 418, Cost: 418_000000, Draws: []Draw{{Lot: "l1", Pool: "allowance", Amount: 418_000000, Cycle: 1}}, Remaining: 99, Catalog: 1}))
	}
	body, _ := EncodeCommit("/creditstream/wanclouds/0", entries)
	d := new(Decoder)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
}

// A commit that is encoded part by part is the one that is encoded at once; after what cannot be written nothing of it is left.
func TestACommitIsEncodedInParts(t *testing.T) {
	const source = "/creditstream/acme/0"
	entries := func() (all []Entry) {
		for n := range int64(5) {
			all = append(all, entryOf(&UsageRecorded{Meter: "token", Quantity: n, Cost: Amount(n), Catalog: 1}))
		}
		return all
	}
	want, err := EncodeCommit(source, entries())
	if err != nil {
		t.Fatal(err)
	}
	c := &Encoder{Source: source}
	for cut := range 6 {
		if err := c.Add([]Entry{entryOf(&CreditPurchased{}), {Account: "a", Facts: []Fact{{Event: &AccountOpened{}, Raw: nil}, {Event: unwritable{}}}}}); err == nil {
			t.Fatal("what cannot be written was")
		}
		all := entries()
		if err := errors.Join(c.Add(all[:cut]), c.Add(all[cut:])); err != nil {
			t.Fatal(err)
		}
		body := c.Body()
		if string(body) != string(want) {
			t.Errorf("in parts of %d and %d: %s\nat once: %s", cut, 5-cut, body, want)
		}
		for i := range all {
			if raw := all[i].Facts[0].Raw; !bytes.Contains(body, raw) || len(raw) == 0 || !bytes.Contains(raw, fmt.Appendf(nil, `"quantity":%d,`, i)) {
				t.Errorf("the data of entry %d is %s", i, raw)
			}
		}
	}
	if body := c.Body(); string(body) != "[]" {
		t.Errorf("an empty commit is %s", body)
	}
}

// unwritable is an event that no encoder can write.
type unwritable struct{ Event }

func (unwritable) Kind() string { return "Unwritable" }

func (unwritable) MarshalJSON() ([]byte, error) { return nil, errors.New("unwritable") }
