package accounts

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// What complete says is never wrong: a key above the floor that get does not find was never put in.
func TestRecentNeverCallsAUsedKeyNew(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	used := map[flightKey]bool{{"a", "00000007"}: true}
	r := newRecent("00000007")
	for i := range 4 * recentKeys {
		k := flightKey{fmt.Sprint("a", random.IntN(3)), fmt.Sprintf("%08d-%d", i+random.IntN(200), random.IntN(50))}
		if _, found := r.get(k); !found && r.complete(k.key) && used[k] {
			t.Fatalf("key %v, used before, is called new; the floor is %s", k, r.floor)
		}
		if !used[k] {
			used[k] = true
			r.put(k, keyed{sequence: uint64(i)}, uint64(i))
		}
	}
	if r.floor == "00000007" || len(r.now.keys)+len(r.old.keys) > 2*recentKeys {
		t.Errorf("floor %s, %d keys in memory", r.floor, len(r.now.keys)+len(r.old.keys))
	}
	if !r.complete("99999999") || r.complete("00000000") {
		t.Error("a key above the floor is new, one below may not be")
	}
}
