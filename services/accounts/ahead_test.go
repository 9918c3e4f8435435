package accounts

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

const plain = `
name: Plain
timezone: UTC
currency: EUR
scale: 2
meters:
  ping: {price: 1}
pools:
  credits: {priority: 1, expires: never}
plans:
  basic: {rank: 1, meters: all}
`

// open gives a new account credits for good.
func open(tb testing.TB, id string, b *rules.Book, now time.Time) *credit.Account {
	tb.Helper()
	a := credit.NewAccount(id)
	for _, command := range []rules.Command{rules.PutAccount{Plan: rules.Set("basic")}, rules.GrantCredits{Pool: "credits", Credits: 1e12, Reason: "plenty"}} {
		facts, err := command.Decide(a, b, now)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range facts {
			a.Evolve(f.Event, f.At)
		}
	}
	return a
}

func book(tb testing.TB, now time.Time) *rules.Book {
	tb.Helper()
	catalog, err := rules.ParseCatalog([]byte(plain))
	if err != nil {
		tb.Fatal(err)
	}
	return (&rules.Book{}).With(now, catalog)
}

// Looking ahead goes over the calls in their order, as far as it may, and uses nothing: what it looked at is
// forgotten when it would have been without.
func TestLookingAheadUsesNothing(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	b := book(t, now)
	c := newCache(4)
	for _, id := range []string{"a", "b", "c"} {
		c.put(id, &cached{account: open(t, id, b, now)})
	}
	if c.hot["a"] != nil || c.old["a"] == nil {
		t.Fatal("a should be among the old ones")
	}
	var l ahead
	calls := []*call{{requests: []Request{{Account: "b"}, {Account: "a"}}}, {requests: []Request{{Account: "nobody"}}}, {pause: func() error { return nil }}, {requests: make([]Request, 2*aheadAtOnce)}}
	if n := l.look(c, calls[:3], 1); n != 2 {
		t.Errorf("looked at %d requests, not at the 2 that are left", n)
	}
	if n := l.look(c, calls, 0); n != aheadAtOnce {
		t.Errorf("looked at %d requests at once", n)
	}
	if c.hot["a"] != nil || c.old["a"] == nil {
		t.Error("a look counted as a use")
	}
}

// BenchmarkAhead is what deciding, folding and draining a use costs, of accounts in random order.
func BenchmarkAhead(b *testing.B) {
	for _, accounts := range []int{1_000, 10_000, 50_000} {
		for _, look := range []bool{false, true} {
			b.Run(fmt.Sprintf("accounts=%d/ahead=%v", accounts, look), func(b *testing.B) { use(b, accounts, look) })
		}
	}
}

func use(b *testing.B, accounts int, look bool) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	rule, c, random := book(b, now), newCache(4*accounts), rand.New(rand.NewPCG(1, 2))
	put, drop := func(credit.Part, string, []byte) {}, func(credit.Part, string) {}
	var names []string
	var between [][]byte // what else is in memory
	for i := range accounts {
		names = append(names, fmt.Sprintf("account-%06d", i))
		a := open(b, names[i], rule, now)
		a.Drain(nil, put, drop)
		c.put(names[i], &cached{account: a})
		between = append(between, make([]byte, random.IntN(700)))
	}
	const commit = 3 * aheadAtOnce
	calls := []*call{{requests: make([]Request, commit)}}
	requests := calls[0].requests
	other := make([]byte, 1<<20) // what else passes through the processor's cache
	var l ahead
	var buf []byte
	command := rules.Use{Meter: "ping", Quantity: 1}
	b.ResetTimer()
	for done := 0; done < b.N; done += commit {
		b.StopTimer()
		for i := range requests {
			requests[i].Account = names[random.IntN(accounts)]
		}
		for i := 0; i < len(other); i += 64 {
			other[i]++
		}
		b.StartTimer()
		for i := range requests {
			if look && i%aheadAtOnce == 0 {
				l.look(c, calls, i)
			}
			a := c.get(requests[i].Account).account
			facts, err := command.Decide(a, rule, now)
			if err != nil {
				b.Fatal(err)
			}
			for _, f := range facts {
				a.Evolve(f.Event, f.At)
			}
		}
		for i := range requests {
			buf = c.get(requests[i].Account).account.Drain(buf, put, drop)
		}
	}
	_ = between
}
