package accounts

import "creditstream/events/credit"

// cached is one account in memory: the fold of everything decided, in flight included.
type cached struct {
	account *credit.Account
	floor   string  // no greater idempotency key that recent orders was used for the account
	again   bool    // its commit, which is open, changed it more than once
	commit  *commit // the latest commit that it has a part in and that is not applied yet, or nil
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
