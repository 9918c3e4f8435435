package credit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// general is a Decoder that knows no plain events.
func general() *Decoder { return &Decoder{general: true} }

// sameReading holds what the two readers make of a body against each other.
func sameReading(t *testing.T, d *Decoder, s *Slab, body []byte) {
	t.Helper()
	want, wantErr := general().Decode(body)
	for name, read := range map[string]func() ([]Entry, error){
		"kept":     func() ([]Entry, error) { return d.Decode(body) },
		"on slabs": func() ([]Entry, error) { return d.DecodeInto(s, body) },
	} {
		got, err := read()
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s: %v\nnot %v\n%s", name, err, wantErr, body)
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %+v\nnot %+v\n%s", name, got, want, body)
		}
	}
}

// plainBody is a commit of uses as they are and as they are seldom, and of other events.
func plainBody(t testing.TB, rng *rand.Rand, n int) []byte {
	t.Helper()
	at := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	texts := []string{"sticker", "ai", "", "l1", "pool", "Año", "a \"b\"\\ \n\x01 😀", "key-0123456789-0123456789-0123456789"}
	text := func() string { return texts[rng.IntN(len(texts))] }
	number := func() int64 {
		return []int64{0, 1, -1, 7, 1 << 40, -1 << 62, 1<<63 - 1, 999_999_999_999_999_999}[rng.IntN(8)]
	}
	entries := make([]Entry, n)
	for i := range entries {
		at = at.Add(time.Duration(rng.Int64N(int64(time.Minute))))
		u := &UsageRecorded{Meter: text(), Quantity: number(), Cost: Amount(number()), Remaining: Amount(number()), Catalog: rng.Uint32()}
		for range rng.IntN(6) {
			u.Draws = append(u.Draws, Draw{Lot: text(), Pool: text(), Amount: Amount(number()), Cycle: rng.Uint32()})
		}
		e := Entry{Account: text(), Key: text(), Recorded: at.Round(time.Duration(1 + rng.IntN(1000))), Actor: text(), Source: text()}
		switch rng.IntN(4) {
		case 0:
			carry := number()
			u.Debt, u.Unpaid, u.Why, u.Carry = Amount(number()), Amount(number()), text(), &carry
		case 1:
			u.Description, u.Attributes, e.Hash = text(), []byte(`{"a":[1,"}"]}`), Hash{1, 0xfe}
		}
		e.Facts = []Fact{{ID: [16]byte{6: 0x70, 8: 0x80, 15: byte(i)}, At: at, Event: u}}
		if rng.IntN(4) == 0 {
			e.Facts = append(e.Facts, Fact{At: at, Event: &BalanceLow{Remaining: 3}}, Fact{At: at, Event: u})
		}
		entries[i] = e
	}
	body, err := EncodeCommit("/creditstream/acme/0", entries)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Both readers make the same of what is plain, of what is not, and of what is broken anywhere.
func TestPlainEventsReadAsTheGeneralReaderReadsThem(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	d, s := new(Decoder), new(Slab)
	for range 300 {
		sameReading(t, d, s, plainBody(t, rng, 1+rng.IntN(5)))
	}
	whole := `[{"specversion":"1.0","id":"0193511f-8a2b-7c3d-8e4f-001122334455","source":"/a","type":"creditstream.UsageRecorded.v1","subject":"a","time":"2026-02-28T23:59:59.5Z","recordedtime":"2026-02-28T23:59:59Z","entrykey":"k","entryhash":"01000000000000000000000000000000","entrysize":1,"actor":"me","usagesource":"/b","data":{"meter":"m","quantity":1,"cost":1,"draws":[{"lot":"l1","pool":"p","amount":1,"cycle":1,"revenue":2}],"debt":1,"unpaid":2,"why":"w","carry":3,"remaining":4,"catalog":5,"description":"d","attributes":{"a":1}}}]`
	for from, tos := range map[string][]string{
		"T23:59:59.5Z":                  {"T24:59:59.5Z", "T23:60:59.5Z", "T23:59:60.5Z", "T23:59:59.Z", "T23:59:59.1234567891Z", "T23:59:59.123456789Z", "T23:59:59.5+01:00", "T2:59:59.5Z", "t23:59:59.5Z"},
		"02-28T23":                      {"02-29T23", "13-01T23", "00-10T23", "02-0xT23"},
		`"2026-02-28T23:59:59Z"`:        {`"0001-01-01T00:00:00Z"`, `"0000-01-01T00:00:00Z"`, `""`},
		`"debt":1`:                      {`"debt":`, `"debt":-`, `"debt":01`, `"debt":1.0`, `"debt":1e3`, `"debt":"1"`, `"debt":null`},
		`"revenue":2`:                   {`"revenue":`},
		`"carry":3`:                     {`"carry":`, `"carry":-3`},
		`"cycle":1`:                     {`"cycle":`, `"cycle":4294967297`},
		`"entrysize":1`:                 {`"entrysize":-1`, `"entrysize":0`, `"entrysize":2`, `"entrysize":`},
		`"entryhash":"01`:               {`"entryhash":"0x`, `"entryhash":"`, `"entryhash":"0101`},
		`-001122334455"`:                {`-00112233445"`, `-00112233445g"`, `-0011223344556"`, `"`},
		`"attributes":{"a":1}`:          {`"attributes":{"a":1`, `"attributes":`, `"attributes":1 `, `"attributes":}`},
		`creditstream.UsageRecorded.v1`: {``},
		`creditstream.Usage`:            {`creditstream.Balance`, ``, `credit`},
		`.v1"`:                          {`.v2"`, `"`, `.v01"`},
		`}}]`:                           {`}]`, `}}`, `}},]`, `}}] x`, `}} ]`, `} }]`},
	} {
		for _, to := range tos {
			changed := strings.Replace(whole, from, to, 1)
			if changed == whole {
				t.Fatalf("%s is not there", from)
			}
			sameReading(t, d, s, []byte(changed))
		}
	}
	sameReading(t, d, s, []byte(whole))
	pieces := [][]byte{[]byte(`"`), []byte(`\`), []byte(`,`), []byte(`}`), []byte(`]`), []byte(` `), []byte("\n"), []byte(`-`), []byte(`.5`), []byte(`0`), []byte(`e1`), []byte(`"debt":`), []byte(`,"debt":`), []byte(`Z`), []byte("\x00"), []byte(`null`)}
	for range 20_000 {
		body := plainBody(t, rng, 1)
		from := rng.IntN(len(body))
		to := min(len(body), from+rng.IntN(4))
		broken := bytes.Join([][]byte{body[:from], pieces[rng.IntN(len(pieces))], body[to:]}, nil)
		sameReading(t, d, s, broken)
	}
}

// A journal as it is written is read without the general reader, and on slabs next to nothing is allocated.
func TestWhatTheEncoderWritesIsPlain(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 30, 0, 123_456_789, time.UTC)
	var entries []Entry
	for i := range 300 {
		u := &UsageRecorded{Meter: "sticker", Quantity: 1, Cost: 2, Remaining: 5, Catalog: 1, Draws: []Draw{{Lot: "l1", Pool: "extra", Amount: 2, Cycle: 1}}}
		entries = append(entries, Entry{Account: fmt.Sprint("a", i%7), Key: fmt.Sprint("k", i), Hash: Hash{1}, Actor: "feature", Recorded: at, Facts: []Fact{{ID: [16]byte{1}, At: at.Add(time.Duration(i) * time.Second), Event: u}}})
	}
	body, err := EncodeCommit("/creditstream/acme/0", entries)
	if err != nil {
		t.Fatal(err)
	}
	d, s := new(Decoder), new(Slab)
	c := &cursor{b: body, i: 1}
	d.plainUses = true
	for i := range entries {
		if c.i += len(",\n"); i == 0 {
			c.i = 1
		}
		if ev := new(envelope); !d.plain(c, s, ev) {
			t.Fatalf("event %d is not plain: %s", i, body[c.i:])
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		if _, err := d.DecodeInto(s, body); err != nil {
			t.Fatal(err)
		}
	}); n > 10 {
		t.Errorf("%v allocations for %d entries", n, len(entries))
	}
}

func FuzzPlainEvents(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		f.Add(plainBody(f, rng, 2))
	}
	f.Fuzz(func(t *testing.T, body []byte) { sameReading(t, new(Decoder), new(Slab), body) })
}

func BenchmarkDecode(b *testing.B) {
	at := time.Date(2026, 11, 22, 9, 30, 0, 123_456_789, time.UTC)
	var entries []Entry
	for i := range 400 {
		u := &UsageRecorded{Meter: "sticker", Quantity: 1, Cost: 1_000_000, Remaining: 5_000_000, Catalog: 1, Draws: []Draw{{Lot: "l1", Pool: "extra", Amount: 1_000_000, Cycle: 1}}}
		entries = append(entries, Entry{Account: fmt.Sprint("acct-", i), Key: "0193511f-8a2b-7c3d-8e4f-001122334455", Hash: Hash{1}, Actor: "feature", Recorded: at, Facts: []Fact{{ID: [16]byte{1}, At: at, Event: u}}})
	}
	body, err := EncodeCommit("/creditstream/acme/0", entries)
	if err != nil {
		b.Fatal(err)
	}
	read := func(b *testing.B, decode func() ([]Entry, error)) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/event")
	}
	known, d, s := general(), new(Decoder), new(Slab)
	b.Run("general", func(b *testing.B) { read(b, func() ([]Entry, error) { return known.Decode(body) }) })
	b.Run("kept", func(b *testing.B) { read(b, func() ([]Entry, error) { return d.Decode(body) }) })
	b.Run("slab", func(b *testing.B) { read(b, func() ([]Entry, error) { return d.DecodeInto(s, body) }) })
}
