package projections

import (
	"errors"
	"hash/maphash"

	"github.com/cockroachdb/pebble/v2"
)

// usedKeys knows which keys were used, however many: all are in a store. Nearly every key is new, and to look it up
// there to learn that would be most of the work. So sieves in memory, of a bit in ten for each key, say of 99 in 100
// new ones that they are; only where they cannot the store is asked.
type usedKeys struct {
	db     *pebble.DB
	batch  *pebble.Batch
	seed   maphash.Seed
	sieves []sieve
}

// The first sieve has room for some 100,000 keys, each next one for twice as many, up to the last, for 50 million:
// 128 MiB in all. Beyond that more and more keys are looked up.
const (
	leastSieve = 128 << 10 // bytes
	mostSieve  = 64 << 20
)

func newUsedKeys(db *pebble.DB) usedKeys {
	return usedKeys{db: db, batch: db.NewBatch(), seed: maphash.MakeSeed()}
}

// use notes a key, and reports whether it was used before.
func (k *usedKeys) use(key []byte) (used bool, err error) {
	hash := maphash.Bytes(k.seed, key)
	maybe := false
	for i := range k.sieves {
		maybe = maybe || k.sieves[i].has(hash)
	}
	if maybe {
		if used, err = k.known(key); used || err != nil {
			return used, err
		}
	}
	last := len(k.sieves) - 1
	if last < 0 || k.sieves[last].full() && len(k.sieves[last].bits)*8 < mostSieve {
		k.sieves = append(k.sieves, newSieve(leastSieve<<(last+1)))
		last++
	}
	k.sieves[last].add(hash)
	if err := k.batch.Set(key, nil, nil); err != nil || k.batch.Len() < checkedBytes {
		return false, err
	}
	return false, k.flush()
}

// known looks a key up.
func (k *usedKeys) known(key []byte) (bool, error) {
	if err := k.flush(); err != nil {
		return false, err
	}
	_, closer, err := k.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

func (k *usedKeys) flush() error {
	if k.batch.Empty() {
		return nil
	}
	err := k.batch.Commit(pebble.NoSync)
	k.batch.Reset()
	return err
}

func (k *usedKeys) close() error { return k.batch.Close() }

// sieve is a Bloom filter in which the bits of a key are in one word.
type sieve struct {
	bits  []uint64
	count int
}

func newSieve(bytes int) sieve { return sieve{bits: make([]uint64, bytes/8)} }

// full: a word has the bits of six keys and a half, ten bits for each.
func (s *sieve) full() bool { return s.count >= len(s.bits)*64/10 }

// place is a word and five bits of it.
func (s *sieve) place(hash uint64) (word int, mask uint64) {
	word = int(hash >> 32 % uint64(len(s.bits)))
	for range 5 {
		mask |= 1 << (hash & 63)
		hash >>= 6
	}
	return word, mask
}

func (s *sieve) add(hash uint64) {
	word, mask := s.place(hash)
	s.bits[word] |= mask
	s.count++
}

func (s *sieve) has(hash uint64) bool {
	word, mask := s.place(hash)
	return s.bits[word]&mask == mask
}
