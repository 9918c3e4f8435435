package credit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"runtime"
	"testing"
	"time"
)

// No bytes make a decoder of an account fail in disorder or take memory out of proportion; what it reads is written
// and read again as the same. `go test -fuzz NAME ./events/credit` looks for more than the seeds.

// aFullAccount has something of everything that is stored.
func aFullAccount() *Account {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cycle := Cycle{Number: 1, From: start, To: start.AddDate(0, 1, 0)}
	grant := func(n string, pool, unit string, ends time.Time) *CreditGranted {
		return &CreditGranted{Grant: Grant{Lot: n, Pool: pool, Unit: unit, Amount: 100, Starts: start, Ends: ends, Warns: ends.Add(-time.Hour), Kind: KindSold, Paid: true, Price: Money{"EUR", 7}}}
	}
	method := PaymentMethod{Provider: "sandbox", Reference: "r", Label: "Visa •••• 4242"}
	carry := int64(3)
	a := NewAccount("a")
	for _, e := range []Event{
		&AccountOpened{Timezone: "Europe/Madrid", Anchor: start, Cycle: cycle, Metadata: Metadata{"tier": json.RawMessage(`"gold"`)}},
		&AccountChanged{PaymentMethod: &method},
		&PlanChangeScheduled{Plan: "pro", Due: cycle.To},
		grant("l1", "extra", "", cycle.To), grant("l2", "quota", "ai", cycle.To), grant("l3", "extra", "", cycle.To), grant("l4", "extra", "", start.AddDate(1, 0, 0)),
		&UsageRecorded{Meter: "m", Quantity: 5, Cost: 150, Debt: 50, Carry: &carry, Draws: []Draw{{Lot: "l1", Pool: "extra", Amount: 100, Cycle: 1}}},
		&HoldPlaced{Hold: "h1", Meter: "m", Quantity: 1, Cost: 10, Expires: start.Add(time.Hour), Draws: []Draw{{Lot: "l3", Pool: "extra", Amount: 4, Cycle: 1}, {Lot: "l4", Pool: "extra", Amount: 6, Cycle: 1}}},
		&PurchaseRequested{Purchase: "p1", Pack: "p", Pool: "extra", Credits: 5, Price: Money{"EUR", 9}, Provider: "sandbox", PaysUntil: start.Add(time.Hour), Metadata: Metadata{"x": json.RawMessage(`1`)}},
		&BalanceLow{Threshold: 5},
	} {
		a.Evolve(e, start)
	}
	return a
}

// taken is how many bytes a call allocates.
func taken(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// most is the memory that may be taken for so many bytes: a lot of 19 bytes is 300 in memory, and stands in slices
// that grow.
func most(n int) uint64 { return 256<<10 + 200*uint64(n) }

func FuzzSnapshot(f *testing.F) {
	f.Add(aFullAccount().AppendSnapshot(nil))
	f.Add(NewAccount("a").AppendSnapshot(nil))
	f.Add([]byte{stateFormat})
	empty := NewAccount("a").AppendSnapshot(nil) // ends with no lots, no holds and no purchases
	f.Add(append(binary.AppendUvarint(empty[:len(empty)-3], 60_000), bytes.Repeat([]byte{0xff}, 60_000)...))
	f.Fuzz(func(t *testing.T, value []byte) {
		var a *Account
		var err error
		if n := taken(func() { a, err = RestoreSnapshot("a", value) }); n > most(len(value)) {
			t.Errorf("%d bytes took %d of memory", len(value), n)
		}
		if err != nil {
			return
		}
		written := a.AppendSnapshot(nil)
		again, err := RestoreSnapshot("a", written)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if !bytes.Equal(again.AppendSnapshot(nil), written) || !again.NextDue().Equal(a.NextDue()) || !again.LastEnd().Equal(a.LastEnd()) {
			t.Error("what was read again is another account")
		}
		if clone := a.Clone(); !bytes.Equal(clone.AppendSnapshot(nil), written) {
			t.Error("a copy is another account")
		}
	})
}

// FuzzRestore is about the records of an account, one by one.
func FuzzRestore(f *testing.F) {
	full := records{}
	full.drain(aFullAccount())
	f.Add([]byte(full["a"]), []byte(full["ll4"]), []byte(full["hh1"]), []byte(full["pp1"]))
	few := NewAccount("a")
	few.Evolve(&AccountOpened{Timezone: "UTC", Anchor: time.Unix(0, 0), Cycle: Cycle{Number: 1}}, time.Unix(0, 0))
	one := records{}
	one.drain(few)
	f.Add([]byte(one["a"]), []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, head, lot, hold, purchase []byte) {
		var a *Account
		var err error
		if n := taken(func() { a, err = restoreParts(head, lot, hold, purchase) }); n > most(len(head)+len(lot)+len(hold)+len(purchase)) {
			t.Errorf("records took %d bytes of memory", n)
		}
		if err != nil {
			return
		}
		written := drainAll(a)
		again := written.restore(t, "a")
		if got := drainAll(again); !maps.Equal(got, written) {
			t.Errorf("what was read again is another account:\n%q\n%q", got, written)
		}
	})
}

// restoreParts reads a head, and one of each other part that is not empty.
func restoreParts(head, lot, hold, purchase []byte) (*Account, error) {
	a := NewAccount("a")
	err := a.Restore(PartHead, "", head)
	if err == nil && len(lot) > 0 {
		err = a.Restore(PartLot, "l4", lot)
	}
	if err == nil && len(hold) > 0 {
		err = a.Restore(PartHold, "h1", hold)
	}
	if err == nil && len(purchase) > 0 {
		err = a.Restore(PartPurchase, "p1", purchase)
	}
	if err != nil {
		return nil, err
	}
	return a, a.Restored()
}

// drainAll is every record of an account, whether or not it changed.
func drainAll(a *Account) records {
	a.changed.head = true
	for _, l := range a.lots {
		a.touchLot(l)
	}
	for _, h := range a.holds {
		a.touchHold(h)
	}
	for _, p := range a.purchases {
		a.touchPurchase(p)
	}
	r := records{}
	r.drain(a)
	return r
}
