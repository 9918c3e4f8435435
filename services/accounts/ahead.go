package accounts

import "creditstream/events/credit"

// aheadAtOnce is how many of the next requests ahead looks at.
const aheadAtOnce = decisionsAtOnce

// ahead reads a little of each account that is decided about next. With many accounts none of that is in the
// processor's cache, and a decision, which follows one pointer after another, waits for the memory at each of
// them; read in a row, the memory of many accounts is on its way at the same time.
type ahead struct {
	accounts [aheadAtOnce]*credit.Account
	read     int // what was read, so that it is
}

// look looks at the accounts of the requests from index on, of the first call and of those behind it, and returns
// how many requests that were.
func (l *ahead) look(c *cache, calls []*call, index int) (requests uint) {
	n := 0
	for _, call := range calls {
		for i := index; i < len(call.requests) && requests < aheadAtOnce; i++ {
			requests++
			if e := c.peek(call.requests[i].Account); e != nil {
				l.accounts[n] = e.account
				n++
			}
		}
		if index = 0; requests == aheadAtOnce {
			break
		}
	}
	for depth := range credit.FetchDepth {
		for _, a := range l.accounts[:n] {
			l.read += a.Fetch(depth)
		}
	}
	clear(l.accounts[:n])
	return requests
}
