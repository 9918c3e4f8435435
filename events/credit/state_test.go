package credit

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// records is the account view of one account.
type records map[string]string

func (r records) drain(a *Account) {
	a.Drain(nil,
		func(part Part, id string, value []byte) { r[string(part)+id] = string(value) },
		func(part Part, id string) { delete(r, string(part)+id) })
}

func (r records) restore(t *testing.T, id string) *Account {
	t.Helper()
	a := NewAccount(id)
	if err := a.Restore(PartHead, "", []byte(r[string(PartHead)])); err != nil {
		t.Fatal(err)
	}
	for key, value := range r {
		if part := Part(key[0]); part != PartHead && part != PartDue && part != PartReversed {
			if err := a.Restore(part, key[1:], []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Restored(); err != nil {
		t.Fatal(err)
	}
	return a
}

// The number of an account's lots goes up and down past the place where they stand in the head record.
// However often it was drained on the way, restored or not, its records are those of one drain at the end.
func TestRecordsAreTheSameHoweverOftenDrained(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	month := func(n int) time.Time { return start.AddDate(0, n, 0) }
	var facts []Event
	opened := &AccountOpened{Timezone: "UTC", Anchor: start, Cycle: Cycle{Number: 1, From: start, To: month(1)}}
	facts = append(facts, opened)
	lots := 0
	type alive struct {
		id     string
		amount Amount
		ends   int
	}
	var living []alive
	for cycle := 1; cycle < 40; cycle++ {
		for range random.IntN(5) {
			lots++
			g := Grant{Lot: fmt.Sprint("l", lots), Pool: "main", Amount: Amount(10 + lots), Starts: month(cycle - 1), Kind: KindPromotion}
			ends := cycle + random.IntN(3)
			g.Ends = month(ends)
			living = append(living, alive{g.Lot, g.Amount, ends})
			facts = append(facts, &CreditGranted{Grant: g})
		}
		renewed := &CycleRenewed{Cycle: Cycle{Number: uint32(cycle + 1), From: month(cycle), To: month(cycle + 1)}, Timezone: "UTC", Forget: month(cycle - 1)}
		kept := living[:0]
		for _, l := range living {
			if l.ends == cycle {
				renewed.Expired = append(renewed.Expired, Ended{Lot: l.id, Pool: "main", Amount: l.amount})
				continue
			}
			kept = append(kept, l)
		}
		living = kept
		facts = append(facts, renewed)
	}
	often, sometimes := NewAccount("a"), NewAccount("a")
	step, seldom := records{}, records{}
	inside, outside := 0, 0
	for i, fact := range facts {
		often.Evolve(fact, start.Add(time.Duration(i)))
		sometimes.Evolve(fact, start.Add(time.Duration(i)))
		step.drain(often)
		if random.IntN(4) == 0 {
			seldom.drain(sometimes)
			sometimes = seldom.restore(t, "a")
		}
		once := NewAccount("a")
		for j, f := range facts[:i+1] {
			once.Evolve(f, start.Add(time.Duration(j)))
		}
		want := records{}
		want.drain(once)
		if !maps.Equal(step, want) {
			t.Fatalf("after %d facts the records drained one by one differ:\n%q\n%q", i+1, step, want)
		}
		if len(often.lots) > inlineLots {
			outside++
		} else {
			inside++
		}
	}
	seldom.drain(sometimes)
	if !maps.Equal(seldom, step) {
		t.Errorf("drained now and then, and restored:\n%q\n%q", seldom, step)
	}
	if inside < 20 || outside < 20 {
		t.Errorf("%d states had their lots inside the head record and %d outside: too few of one", inside, outside)
	}
}
