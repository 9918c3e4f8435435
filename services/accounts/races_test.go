package accounts_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// What a client does in a race. Amounts are whole credits; target numbers one of the holds or uses that
// everybody fights for, from 0.
type act struct {
	kind     string // use, hold, capture, release, reverse, fight for a hold, fight for a use, read
	quantity int64
	held     int64 // of capture and release: what the client's own hold keeps aside
	target   int
}

// outcome is what the client was told: whether it was done, and the credits that remain where the answer
// says so.
type outcome struct {
	done      bool
	remaining int64
	short     int64
	unpaid    int64
}

// purse is the whole of the sequential specification's state.
type purse struct {
	remaining        int64
	closed, reversed uint16 // of the holds and uses that everybody fights for
}

const (
	contested     = 6
	contestedSize = 5
	purseCredits  = 60 // beside what is contested
)

// spec says what each act does when nothing else happens meanwhile.
func spec(state, input, output any) (bool, any) {
	p, a, o := state.(purse), input.(act), output.(outcome)
	mask := uint16(1) << a.target
	switch a.kind {
	case "use", "hold":
		if a.quantity > p.remaining {
			return !o.done && o.short == a.quantity-p.remaining, p
		}
		p.remaining -= a.quantity
	case "capture":
		beyond := max(a.quantity-a.held, 0)
		unpaid := max(beyond-p.remaining, 0)
		p.remaining += max(a.held-a.quantity, 0) - (beyond - unpaid)
		return o.done && o.remaining == p.remaining && o.unpaid == unpaid, p
	case "release":
		p.remaining += a.held
		return o.done, p
	case "reverse":
		p.remaining += a.quantity
		return o.done, p
	case "fight for a hold":
		if p.closed&mask != 0 {
			return !o.done, p
		}
		p.closed |= mask
		p.remaining += contestedSize - a.quantity
	case "fight for a use":
		if p.reversed&mask != 0 {
			return !o.done, p
		}
		p.reversed |= mask
		p.remaining += contestedSize
		return o.done, p
	case "read":
	}
	return o.done && o.remaining == p.remaining, p
}

var purses = porcupine.Model{
	Init: func() any { return purse{remaining: purseCredits} },
	Step: spec,
}

// racer is one client with its own holds and uses.
type racer struct {
	t       *testing.T
	tenant  *accounts.Tenant
	id      int
	random  *rand.Rand
	holds   map[string]int64
	uses    map[string]int64
	history []porcupine.Operation
	start   time.Time
	keys    int
}

func (r *racer) do(command rules.Command) accounts.Answer {
	r.keys++
	return r.tenant.Do(r.t.Context(), accounts.Request{Account: "a", Key: fmt.Sprint("c", r.id, "-", r.keys), Hash: credit.Hash{1}, Command: command})
}

// race does so many things at random, and notes when each began, when it was answered, and what was said.
func (r *racer) race(acts int) {
	for range acts {
		a := act{quantity: 1 + r.random.Int64N(15), target: r.random.IntN(contested)}
		call := time.Since(r.start).Nanoseconds()
		var o outcome
		switch n := r.random.IntN(10); {
		case n < 3:
			a.kind = "use"
			if o = r.outcome(r.do(rules.Use{Meter: "call", Quantity: a.quantity})); o.done {
				r.uses[fmt.Sprint("c", r.id, "-", r.keys)] = a.quantity
			}
		case n < 5:
			a.kind = "hold"
			answer := r.do(rules.PlaceHold{Meter: "call", Quantity: a.quantity})
			if o = r.outcome(answer); o.done {
				r.holds[answer.Facts[0].Event.(*credit.HoldPlaced).Hold] = a.quantity
			}
		case n < 7 && len(r.holds) > 0:
			a.kind = []string{"capture", "release"}[r.random.IntN(2)]
			for hold, held := range r.holds {
				a.held = held
				delete(r.holds, hold)
				if a.kind == "capture" {
					o = r.outcome(r.do(rules.CaptureHold{Hold: hold, Quantity: a.quantity}))
				} else {
					o = r.outcome(r.do(rules.ReleaseHold{Hold: hold}))
				}
				break
			}
		case n == 7 && len(r.uses) > 0:
			a.kind = "reverse"
			for key, quantity := range r.uses {
				a.quantity = quantity
				delete(r.uses, key)
				o = r.outcome(r.do(r.reversal(key)))
				break
			}
		case n == 8:
			a.kind, a.quantity = "fight for a hold", r.random.Int64N(contestedSize)+1
			o = r.outcome(r.do(rules.CaptureHold{Hold: fmt.Sprint("h", a.target+1), Quantity: a.quantity}))
		case n == 9:
			a.kind = "fight for a use"
			o = r.outcome(r.do(r.reversal(fmt.Sprint("contested", a.target))))
		default:
			a.kind = "read"
			o = outcome{done: true, remaining: int64(remaining(r.t, r.tenant, "a")) / 100}
		}
		r.history = append(r.history, porcupine.Operation{ClientId: r.id, Input: a, Call: call, Output: o, Return: time.Since(r.start).Nanoseconds()})
	}
}

// reversal asks for all of a use, as the door does.
func (r *racer) reversal(key string) rules.Command {
	original, at, ok, err := r.tenant.Shard("a").Used(r.t.Context(), "a", key)
	if err != nil || !ok {
		r.t.Errorf("the use %s is not to be found: %v", key, err)
	}
	return &rules.ReverseUsage{Usage: key, Original: original, OriginalAt: at}
}

func (r *racer) outcome(answer accounts.Answer) outcome {
	var refusal *rules.Refusal
	if errors.As(answer.Err, &refusal) {
		return outcome{short: int64(refusal.Short) / 100}
	}
	if answer.Err != nil {
		r.t.Errorf("client %d: %v", r.id, answer.Err)
		return outcome{}
	}
	o := outcome{done: true}
	switch e := answer.Facts[0].Event.(type) {
	case *credit.UsageRecorded:
		o.remaining = int64(e.Remaining) / 100
	case *credit.HoldPlaced:
		o.remaining = int64(e.Remaining) / 100
	case *credit.HoldCaptured:
		o.remaining, o.unpaid = int64(e.Remaining)/100, int64(e.Unpaid)/100
	}
	return o
}

// raceOn lets clients race for one account and returns the history.
func raceOn(t *testing.T, tenant *accounts.Tenant, clients, acts int) (history []porcupine.Operation) {
	t.Helper()
	opening(t, tenant, "a", (purseCredits+2*contested*contestedSize)*100)
	for i := range contested {
		answer := tenant.Do(t.Context(), use("a", fmt.Sprint("contested", i), contestedSize))
		if answer.Err == nil {
			answer = tenant.Do(t.Context(), accounts.Request{Account: "a", Command: rules.PlaceHold{Meter: "call", Quantity: contestedSize}})
		}
		if answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wait sync.WaitGroup
	racers, start := make([]*racer, clients), time.Now()
	for i := range racers {
		racers[i] = &racer{t: t, tenant: tenant, id: i, random: rand.New(rand.NewPCG(seed, uint64(i))), holds: map[string]int64{}, uses: map[string]int64{}, start: start}
		wait.Go(func() { racers[i].race(acts) })
	}
	wait.Wait()
	for _, r := range racers {
		history = append(history, r.history...)
	}
	return history
}

// Invariant 3 under contention: clients that together want more than ten times the balance, with holds,
// captures beyond them, releases and reversals, and fights for the same hold or use, are answered as if
// one after another.
func TestARaceForOneAccountIsLinearizable(t *testing.T) {
	for range 3 {
		n, tenant := open(t, t.TempDir())
		history := raceOn(t, tenant, 8, 24)
		if got := porcupine.CheckOperationsTimeout(purses, history, time.Minute); got != porcupine.Ok {
			t.Fatalf("the history of %d acts is %s", len(history), got)
		}
		noticed(t, history)
		report, err := n.Verify(t.Context(), "", nil)
		if err != nil || !report.OK {
			t.Errorf("verify: %+v, %v", report, err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// noticed shows that the check can fail: one answer with credits out of nowhere, one use that left no trace, one
// hold captured twice, and no order explains the history any more.
func noticed(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	demanded, tried := int64(0), map[string]bool{}
	for i, op := range history {
		a, o := op.Input.(act), op.Output.(outcome)
		if a.kind == "use" || a.kind == "hold" {
			demanded += a.quantity
		}
		changed := append([]porcupine.Operation(nil), history...)
		what := ""
		switch {
		case a.kind == "use" && o.done && !tried["credits out of nowhere"]:
			what = "credits out of nowhere"
			o.remaining += 1000
			changed[i].Output = o
		case a.kind == "use" && o.done && !tried["a lost use"]:
			what = "a lost use"
			changed = append(changed[:i], changed[i+1:]...)
		case a.kind == "fight for a hold" && !o.done && !tried["a hold captured twice"]:
			what = "a hold captured twice"
			o.done = true
			changed[i].Output = o
		default:
			continue
		}
		tried[what] = true
		if got := porcupine.CheckOperationsTimeout(purses, changed, 10*time.Second); got == porcupine.Ok {
			t.Errorf("%s passes for right", what)
		}
	}
	if len(tried) < 3 {
		t.Errorf("only %v could be tried", tried)
	}
	if demanded < 10*purseCredits {
		t.Errorf("only %d credits were demanded", demanded)
	}
}
