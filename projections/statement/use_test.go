package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"creditstream/events/credit"
)

// someUse has each of its fields now and then, and numbers of all sizes.
func someUse(rng *rand.Rand) *credit.UsageRecorded {
	text := func() string { return []string{"", "l1", "credits", "Año 😀", "a\x00\"b\""}[rng.IntN(5)] }
	amount := func() credit.Amount {
		return []credit.Amount{0, 1, -1, 1_000_000, math.MaxInt64, math.MinInt64}[rng.IntN(6)]
	}
	u := &credit.UsageRecorded{
		Meter: text(), Quantity: int64(amount()), Cost: amount(), Debt: amount(), Unpaid: amount(), Why: text(),
		Remaining: amount(), Catalog: rng.Uint32(), Description: text(),
	}
	for range rng.IntN(4) {
		u.Draws = append(u.Draws, credit.Draw{Lot: text(), Pool: text(), Unit: text(), Amount: amount(), Cycle: rng.Uint32(), Revenue: int64(amount())})
	}
	if rng.IntN(2) == 0 {
		carry := int64(amount())
		u.Carry = &carry
	}
	if rng.IntN(2) == 0 {
		u.Attributes = json.RawMessage(`{"model": "x",  "n":1}`)
	}
	return u
}

// recordOf is a record of a use.
func recordOf(rng *rand.Rand, u *credit.UsageRecorded) Record {
	r := Record{N: 5, Time: time.Unix(0, rng.Int64()).UTC(), Remaining: credit.Amount(rng.Uint64()), Kind: usageRecorded, Key: "k", meter: u.Meter}
	r.Recorded = r.Time.Add(time.Duration(rng.IntN(3)) * time.Hour)
	r.Data = r.appendUse(nil, u)
	return r
}

// What a record keeps of a use is all of it, for those who page and for those who fold.
func TestAUseIsReadAsItWasWritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var decoder credit.Decoder
	var paged, folded Record
	for range 5_000 {
		u := someUse(rng)
		r := recordOf(rng, u)
		value := r.append(nil)
		if err := errors.Join(paged.decode(r.N, value), folded.decodeFact(r.N, value)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(paged, r) {
			t.Fatalf("%+v is read as %+v", r, paged)
		}
		for _, read := range []*Record{&paged, &folded} {
			if e, err := read.Event(&decoder); err != nil || !reflect.DeepEqual(e, u) {
				t.Fatalf("%+v is read as %+v, %v", u, e, err)
			}
		}
	}
}

// A record that is cut short, or goes on behind its end, is damaged.
func TestAUseThatIsCutIsDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var decoder credit.Decoder
	for range 200 {
		r := recordOf(rng, someUse(rng))
		whole := r.Data
		for n := range whole {
			r.Data = whole[:n]
			if e, err := r.Event(&decoder); !errors.Is(err, errRecord) {
				t.Fatalf("%d of %d bytes are read as %+v, %v", n, len(whole), e, err)
			}
		}
		r.Data = append(whole, 0)
		if e, err := r.Event(&decoder); !errors.Is(err, errRecord) {
			t.Fatalf("with one byte more it is read as %+v, %v", e, err)
		}
	}
}

// FuzzUse reads anything: what is a use is written again as it is read.
func FuzzUse(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		r := recordOf(rng, someUse(rng))
		f.Add(r.Data)
	}
	f.Add([]byte{0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var decoder credit.Decoder
		r := Record{Data: data}
		u, err := r.use(&decoder)
		if err != nil {
			return
		}
		r.Data = r.appendUse(nil, u)
		again, err := r.use(&decoder)
		if err != nil || !bytes.Equal(r.appendUse(nil, again), r.Data) {
			t.Errorf("%+v is read as %+v, %v", u, again, err)
		}
	})
}
