package accounts

import "creditstream/events/credit"

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

// recent is the keys used lately, among them all whose commit is not applied yet. Keys that sort above its
// floor are in memory, all that were ever used: a new key that does, as the next UUIDv7 of a client does, is
// known to be new without a look at the view, which took a sixth of the time of the loop.
type recent struct {
	now, old generation
	floor    string
}

// generation is the keys that were used one after another.
type generation struct {
	keys map[flightKey]keyed
	max  string
	last uint64 // the commit of the latest of them
}

// newRecent starts with the greatest key that was ever used.
func newRecent(floor string) *recent {
	return &recent{now: generation{keys: make(map[flightKey]keyed)}, old: generation{keys: make(map[flightKey]keyed)}, floor: floor}
}

func (r *recent) get(k flightKey) (keyed, bool) {
	if v, ok := r.now.keys[k]; ok {
		return v, true
	}
	v, ok := r.old.keys[k]
	return v, ok
}

// complete reports whether a key that get does not find was never used.
func (r *recent) complete(key string) bool { return key > r.floor }

// put notes a key; applied is the latest commit that the view shows. A generation is forgotten once the
// view knows all its keys.
func (r *recent) put(k flightKey, v keyed, applied uint64) {
	if len(r.now.keys) >= recentKeys && r.old.last <= applied {
		r.floor = max(r.floor, r.old.max)
		clear(r.old.keys)
		r.now, r.old = generation{keys: r.old.keys}, r.now
	}
	r.now.keys[k] = v
	r.now.max = max(r.now.max, k.key)
	r.now.last = v.sequence
}

// greatest is a key that none ever used sorts above.
func (r *recent) greatest() string { return max(r.floor, r.old.max, r.now.max) }
