package accounts

import "creditstream/events/credit"

// recentKeys is how many idempotency keys a generation of recent holds. Every key whose commit is still
// under way is in memory: the commits of a shard that can be (open, sent, being applied) hold fewer by far.
const recentKeys = 1 << 16

// flightKey names an idempotency key: each account has its own.
type flightKey struct{ account, key string }

// keyed is what is known of a key in memory.
type keyed struct {
	commit   *commit // that its entry is in; nil once it was applied
	hash     credit.Hash
	sequence uint64 // of the commit, once it was applied
	offset   uint32 // of the entry in the commit
}

// recent is the keys used lately. Keys that sort above its floor are in memory, all that were ever used:
// a new key that does, as the next UUIDv7 of a client does, is known to be new without a look at the
// view, which took a sixth of the time of the loop.
type recent struct {
	now, old       map[flightKey]keyed
	maxNow, maxOld string
	floor          string
}

// newRecent starts with the greatest key that was ever used.
func newRecent(floor string) *recent {
	return &recent{now: make(map[flightKey]keyed), old: make(map[flightKey]keyed), floor: floor}
}

func (r *recent) get(k flightKey) (keyed, bool) {
	if v, ok := r.now[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	return v, ok
}

// complete reports whether a key that get does not find was never used.
func (r *recent) complete(key string) bool { return key > r.floor }

func (r *recent) put(k flightKey, v keyed) {
	if len(r.now) >= recentKeys {
		r.floor = max(r.floor, r.maxOld)
		clear(r.old)
		r.now, r.old = r.old, r.now
		r.maxNow, r.maxOld = "", r.maxNow
	}
	r.now[k] = v
	r.maxNow = max(r.maxNow, k.key)
}

// applied notes that the entry of a key can be read in the journal.
func (r *recent) applied(k flightKey, sequence uint64) {
	generation := r.now
	v, ok := generation[k]
	if !ok {
		generation = r.old
		if v, ok = generation[k]; !ok {
			return
		}
	}
	v.commit, v.sequence = nil, sequence
	generation[k] = v
}
