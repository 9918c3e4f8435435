package accounts

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// used is what a view would know.
type used map[flightKey]bool

func (u used) last(below string) (last string, err error) {
	for k := range u {
		if k.key < below {
			last = max(last, k.key)
		}
	}
	return last, nil
}

// keyAt is a key as a client makes it at an instant, or one of another make.
func keyAt(t time.Time, random *rand.Rand) string {
	switch random.IntN(20) {
	case 0:
		return fmt.Sprintf("order-%d", random.IntN(1000))
	case 1:
		return fmt.Sprintf("%08x-%04x", random.Uint32(), random.IntN(1<<16)) // of any time, as a UUIDv4
	}
	if random.IntN(20) == 0 {
		t = t.Add(time.Duration(random.IntN(40)) * time.Minute) // a client whose clock is ahead
	}
	ms := uint64(t.UnixMilli())
	return fmt.Sprintf("%08x-%04x-7%03x", ms>>16, ms&0xffff, random.IntN(50))
}

// A key that was used is never called new, whatever keys there are and however the time goes on: neither by what
// the whole shard knows, nor by an account's own latest.
func TestRecentNeverCallsAUsedKeyNew(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	applied, all, r := used{}, used{}, newRecent()
	var before, ahead, waiting []flightKey // all, some that are ahead of the clock, and those whose commit is not applied
	for i := range 1000 {
		k := flightKey{fmt.Sprint("a", i%3), keyAt(now.Add(time.Duration(i-1000)*time.Second), random)}
		applied[k], all[k], before = true, true, append(before, k)
	}
	raise := func() {
		if err := r.raise(now, applied.last); err != nil {
			t.Fatal(err)
		}
	}
	raise()
	floors, raised := map[string]string{}, 0
	const rounds = 6 * recentKeys
	for i := range rounds {
		step := 300 // ms at most; or the time hardly goes on, for longer than keys are in memory
		if i/(3*recentKeys)%2 == 0 {
			step = 2
		}
		if now = now.Add(time.Duration(random.IntN(step)) * time.Millisecond); !now.Before(r.until) {
			raise()
			raised++
		}
		k := flightKey{fmt.Sprint("a", random.IntN(3)), keyAt(now.Add(time.Duration(random.IntN(400)-200)*time.Millisecond), random)}
		switch n := random.IntN(20); {
		case n < 2:
			k = before[random.IntN(len(before))]
		case n == 2 && len(waiting) > 0:
			k = waiting[random.IntN(len(waiting))]
		case n == 3 && len(ahead) > 0:
			k = ahead[max(0, len(ahead)-1-random.IntN(200))]
		}
		if random.IntN(500) == 0 {
			floors[k.account] = r.greatest() // it was forgotten, and loaded
		}
		switch _, found := r.get(k); {
		case k.key > floors[k.account] && r.orders(k.key):
			if floors[k.account] = k.key; all[k] {
				t.Fatalf("round %d: key %v is above what its account used, and was used", i, k)
			}
		case found:
		case r.complete(k.key):
			if all[k] {
				t.Fatalf("round %d: key %v, used before, is called new; floor %s, ceiling %s", i, k, r.floor, r.ceiling)
			}
		}
		if !all[k] {
			all[k], before = true, append(before, k)
			if k.key > r.greatest() {
				ahead = append(ahead, k)
			}
			r.put(k, keyed{sequence: uint64(i)}, uint64(max(i-300, 0)))
			if waiting = append(waiting, k); len(waiting) > 300 {
				applied[waiting[0]] = true
				waiting = waiting[1:]
			}
		}
	}
	if raised < 2 || len(r.now.keys)+len(r.old.keys) > 2*recentKeys+300 {
		t.Errorf("the ceiling was raised %d times, and there are %d keys in memory", raised, len(r.now.keys)+len(r.old.keys))
	}
}

// One key of another make does not cost the others a look at the view.
func TestAKeyOfAnotherMakeIsAlone(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	r, random := newRecent(), rand.New(rand.NewPCG(1, 2))
	applied := used{{"a", "order-17"}: true, {"a", "zz"}: true}
	if err := r.raise(now, applied.last); err != nil {
		t.Fatal(err)
	}
	r.put(flightKey{"a", "order-18"}, keyed{sequence: 1}, 0)
	var key string
	for key == "" || key[0] != '0' {
		key = keyAt(now, random)
	}
	if r.greatest() > key || !r.orders(key) || !r.complete(key) || r.complete("order-19") || r.orders("order-19") {
		t.Errorf("base %q, floor %q, ceiling %q", r.base, r.floor, r.ceiling)
	}
}

// A key that came before its time, and whose commit the view does not show when that comes, is not taken for new.
func TestAKeyAheadOfTheClockIsRemembered(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	r, applied := newRecent(), used{}
	ms := uint64(now.Add(ceilingAhead + time.Minute).UnixMilli())
	ahead := fmt.Sprintf("%08x-%04x-7000", ms>>16, ms&0xffff)
	for range 2 {
		if err := r.raise(now, applied.last); err != nil {
			t.Fatal(err)
		}
		r.put(flightKey{"a", ahead}, keyed{sequence: 1}, 0)
		now = now.Add(ceilingAhead / 2)
	}
	if r.orders(ahead) || ahead >= r.ceiling || r.greatest() < ahead {
		t.Errorf("key %s: base %s, ceiling %s", ahead, r.base, r.ceiling)
	}
}
