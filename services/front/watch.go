package front

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// stage is what a connection is doing, and so who is waited for, and how long.
type stage int

const (
	fresh     stage = iota // it asked for nothing yet
	idle                   // between requests
	inHead                 // a request has begun
	inBody                 // its head was read
	answering              // the handler has it
	writing                // the client has to take the answer
	away                   // handed over
	closed                 // hung up on
)

// limits are how long each stage may take; 0 is for ever.
type limits [closed + 1]time.Duration

// limitsOf are those that the server keeps.
func limitsOf(s *http.Server) limits {
	header := cmp.Or(s.ReadHeaderTimeout, s.ReadTimeout)
	return limits{fresh: header, idle: cmp.Or(s.IdleTimeout, s.ReadTimeout), inHead: header, inBody: s.ReadTimeout, writing: s.WriteTimeout}
}

// The time between two looks at all connections.
const (
	longestTick  = 250 * time.Millisecond
	shortestTick = 5 * time.Millisecond
)

func (l *limits) tick() time.Duration {
	tick := longestTick
	for _, limit := range l {
		if limit > 0 {
			tick = min(tick, limit/8)
		}
	}
	return max(tick, shortestTick)
}

// watch looks at all connections, until the front is closed and the last of them has gone.
func (f *Front) watch() {
	tick := f.limits.tick()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-f.gone:
			return
		}
		now := int64(time.Since(f.started))
		f.now.Store(now)
		f.each(func(c *conn) { c.look(now, int64(tick)) })
	}
}

// look ends what took too long, or for nobody.
func (c *conn) look(now, tick int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := now - c.since
	if c.stage == answering {
		switch {
		case c.until != 0 && now >= c.until:
			c.span.ends(context.DeadlineExceeded)
		case took > tick && hasHungUp(c.nc):
			c.span.ends(context.Canceled)
		}
		return
	}
	if limit := c.front.limits[c.stage]; limit > 0 && took > int64(limit)+tick {
		c.close()
	}
}

// enter begins a stage; false when the connection was hung up on, or its request was cut short.
func (c *conn) enter(next stage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == closed {
		return false
	}
	if c.stage != next {
		c.stage, c.since = next, c.front.now.Load()
	}
	switch {
	case next == answering:
		c.until = 0
	case next == idle && c.front.closing.Load() && c.end == c.start:
		c.close() // it may have begun after the others were hung up on
		return false
	}
	return true
}

// close hangs up. The caller holds c.mu.
func (c *conn) close() {
	if c.stage != away {
		c.stage = closed
		_ = c.nc.Close() // whoever reads or writes notices
	}
}

// hangUpIdle hangs up when nothing was asked.
func (c *conn) hangUpIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == fresh || c.stage == idle {
		c.close()
	}
}

// hangUp hangs up, whatever is under way.
func (c *conn) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == answering {
		c.span.ends(context.Canceled)
	}
	c.close()
}
