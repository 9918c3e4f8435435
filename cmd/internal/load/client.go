package load

import (
	"context"
	"math/rand/v2"
	"time"
)

// client is one who asks, one request at a time.
type client struct {
	number       int
	target       *target
	profile      profile
	door         Door
	tallies      *tallies
	recorded     *recorded
	random       *rand.Rand
	zipf         *rand.Zipf
	acknowledged counts // of its charges
	sent         uint64 // charges so far
	charges      []Charge
	spent        bool // the request under way is a charge
}

// run asks, waits for the answer, and asks again.
func (c *client) run(ctx context.Context, until time.Time) error {
	for start := time.Now(); start.Before(until); {
		n, err := c.once(ctx, start)
		if err != nil {
			return err
		}
		answered := time.Now()
		took := answered.Sub(start).Microseconds()
		c.tallies.note(c.number, func(m *measured) { m.add(took, n, c.spent) })
		start = answered
	}
	return nil
}

// once does what the profile says, and returns how many charges or checks were answered.
func (c *client) once(ctx context.Context, now time.Time) (int, error) {
	c.spent = false
	return c.profile.do(ctx, c, now)
}

// account chooses whom to charge.
func (c *client) account() string {
	if c.zipf != nil {
		return c.target.names[c.zipf.Uint64()]
	}
	return c.target.names[c.random.IntN(len(c.target.names))]
}

// next makes the next batch of charges.
func (c *client) next(now time.Time) []Charge {
	c.charges = c.charges[:0]
	for range c.target.cfg.Batch {
		c.charges = append(c.charges, Charge{Account: c.account(), Key: KeyOf(now, c.number, c.sent)})
		c.sent++
	}
	return c.charges
}

// charge charges one batch, and notes that it was acknowledged.
func (c *client) charge(ctx context.Context, now time.Time) (int, error) {
	c.spent = true
	first := c.sent
	batch := c.next(now)
	if err := c.door.Charge(ctx, batch); err != nil {
		return 0, err
	}
	c.charged(first, len(batch))
	return len(batch), nil
}

// charged notes that n charges from one on were acknowledged.
func (c *client) charged(first uint64, n int) {
	for i := range n {
		c.acknowledged.add(first + uint64(i))
	}
}

// onlyAsks decides whether the next request is a check, where the profile has both.
func (c *client) onlyAsks() bool { return c.random.IntN(10) < c.profile.checks }
