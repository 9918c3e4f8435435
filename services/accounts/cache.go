package accounts

import (
	"encoding/binary"

	"creditstream/events/credit"
)

// cached is one account in memory: the fold of everything decided, in flight included.
type cached struct {
	account *credit.Account
	floor   bound   // no greater idempotency key that recent orders was used for the account
	again   bool    // its commit, which is open, changed it more than once
	commit  *commit // the latest commit that it has a part in and that is not applied yet, or nil
}

// bound is a key to compare others with. Its beginning is at hand: what a client sent long ago is in no cache of
// the processor any more, and keys of two different milliseconds differ there already.
type bound struct {
	first, second uint64 // the first 16 bytes, of a shorter key with zeros behind
	key           string
}

func boundOf(key string) (b bound) {
	b.first, b.second = beginning(key)
	b.key = key
	return b
}

func beginning(key string) (first, second uint64) {
	if len(key) >= 16 {
		text := []byte(key[:16])
		return binary.BigEndian.Uint64(text), binary.BigEndian.Uint64(text[8:])
	}
	var text [16]byte
	copy(text[:], key)
	return binary.BigEndian.Uint64(text[:]), binary.BigEndian.Uint64(text[8:])
}

// below reports whether key is greater.
func (b *bound) below(key string) bool {
	switch first, second := beginning(key); {
	case first != b.first:
		return first > b.first
	case second != b.second:
		return second > b.second
	}
	return key > b.key
}

// cache keeps the accounts used lately, at most 2×half of them plus those that a commit under way
// still needs. Two generations stand for an order of use: what was not asked for while a whole
// generation filled up is forgotten.
type cache struct {
	half     int
	hot, old map[string]*cached
}

func newCache(accounts int) *cache {
	return &cache{half: max(accounts/2, 1), hot: make(map[string]*cached)}
}

func (c *cache) get(id string) *cached {
	if e := c.hot[id]; e != nil {
		return e
	}
	e := c.old[id]
	if e != nil {
		delete(c.old, id)
		c.put(id, e)
	}
	return e
}

// peek is get without counting as a use.
func (c *cache) peek(id string) *cached {
	if e := c.hot[id]; e != nil {
		return e
	}
	return c.old[id]
}

func (c *cache) put(id string, e *cached) {
	if len(c.hot) >= c.half {
		kept := c.old
		c.old = c.hot
		c.hot = make(map[string]*cached, c.half)
		for id, e := range kept {
			if e.commit != nil {
				c.hot[id] = e
			}
		}
	}
	c.hot[id] = e
}

func (c *cache) clear() { c.hot, c.old = make(map[string]*cached), nil }
