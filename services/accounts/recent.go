package accounts

import (
	"fmt"
	"time"

	"creditstream/events/credit"
)

// recentKeys is how many idempotency keys a generation of recent holds: few enough for the processor's
// cache, and far more than the keys that clients use in another order than they made them.
const recentKeys = 1 << 13

// flightKey names an idempotency key: each account has its own.
type flightKey struct{ account, key string }

// keyed is what is known of a key in memory: where its entry is, or will be.
type keyed struct {
	hash     credit.Hash
	sequence uint64
	offset   uint32
}

// recent is the keys used lately, among them all whose commit is not applied yet. Of the keys that sort between
// its floor and its ceiling all that were ever used are in memory: a new key there, as the next UUIDv7 of a client
// is, is known to be new without a look at the view, which took a sixth of the time of the loop.
//
// The ceiling lies ahead of the clock, so that a key of another make ("order-17") which sorts above all times costs
// a look at the view itself, and no other key one.
type recent struct {
	now, old generation
	floor    string
	ceiling  string
	base     string    // the greatest key below the ceiling that was in use when that was set
	until    time.Time // when the ceiling is to be set anew
}

// generation is the keys that were used one after another.
type generation struct {
	keys map[flightKey]keyed
	max  string // the greatest of them below the ceiling
	last uint64 // the commit of the latest of them
}

func newRecent() *recent {
	return &recent{now: generation{keys: make(map[flightKey]keyed)}, old: generation{keys: make(map[flightKey]keyed)}}
}

// ceilingAhead is how far the ceiling lies ahead of the clock, at most: more than the clocks of most clients are.
// Keys of one that is ahead further cost a look at the view; of one that is a little ahead, the keys of the others
// do, until their time has come.
const ceilingAhead = 10 * time.Minute

// raise sets the ceiling anew. last finds the greatest key below one among those that were ever used and whose
// commit is applied.
func (r *recent) raise(now time.Time, last func(below string) (string, error)) error {
	ahead := uint64(now.Add(ceilingAhead).UnixMilli())
	ceiling := fmt.Sprintf("%08x-%04x", ahead>>16, ahead&0xffff) // what a UUIDv7 of then begins with
	floor, err := last(ceiling)
	if err != nil {
		return err
	}
	r.floor, r.ceiling, r.until = floor, ceiling, now.Add(ceilingAhead/2)
	for _, g := range []*generation{&r.now, &r.old} {
		g.max = ""
		for k := range g.keys {
			g.note(k.key, ceiling)
		}
	}
	r.base = r.greatest()
	return nil
}

// orders reports whether of two keys, this and one used since the ceiling was set, the greater one is the newer.
func (r *recent) orders(key string) bool { return key > r.base && key < r.ceiling }

func (r *recent) get(k flightKey) (keyed, bool) {
	if v, ok := r.now.keys[k]; ok {
		return v, true
	}
	v, ok := r.old.keys[k]
	return v, ok
}

// complete reports whether a key that get does not find was never used.
func (r *recent) complete(key string) bool { return key > r.floor && key < r.ceiling }

// put notes a key; applied is the latest commit that the view shows. A generation is forgotten once the
// view knows all its keys.
func (r *recent) put(k flightKey, v keyed, applied uint64) {
	if len(r.now.keys) >= recentKeys && r.old.last <= applied {
		r.floor = max(r.floor, r.old.max)
		clear(r.old.keys)
		r.now, r.old = generation{keys: r.old.keys}, r.now
	}
	r.now.keys[k] = v
	r.now.note(k.key, r.ceiling)
	r.now.last = v.sequence
}

// note counts a key in, unless it is above the ceiling.
func (g *generation) note(key, ceiling string) {
	if key < ceiling {
		g.max = max(g.max, key)
	}
}

// greatest is a key below the ceiling such that none that was ever used lies between the two.
func (r *recent) greatest() string { return max(r.floor, r.old.max, r.now.max) }
