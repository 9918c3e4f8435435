package api

import (
	"cmp"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"creditstream/services/rules"
)

// Limits say how much one client may ask for, so that others are answered, too. Rates are requests per second in
// the long run; twice as many may come at once. Less than 0 is no limit, 0 the default.
type Limits struct {
	// PerKey is for each API key, and the tokens minted with it. Default 5,000.
	PerKey int
	// PerTenant is for all keys of a tenant together. Default 50,000.
	PerTenant int
	// PerAddress is for each address that requests come from, whoever asks; an IPv6 client is its /64. This
	// machine has no limit: a proxy may stand there. Default 10,000.
	PerAddress int
	// UnderWay is how many requests of one tenant may be under way at once. Default 4,096.
	UnderWay int
	// Followers is how many clients of one tenant may follow its journal. Default 256.
	Followers int
	// Waiting is how many bytes of requests over NATS may wait for one tenant, each counted with what it takes
	// beside its text. Default 64 MiB.
	Waiting int
	// SlowestRead is how long a follower may take for what was written to it. Default 30 s.
	SlowestRead time.Duration
}

func (l *Limits) setDefaults() {
	l.PerKey = cmp.Or(l.PerKey, 5000)
	l.PerTenant = cmp.Or(l.PerTenant, 50_000)
	l.PerAddress = cmp.Or(l.PerAddress, 10_000)
	l.UnderWay = cmp.Or(l.UnderWay, 4096)
	l.Followers = cmp.Or(l.Followers, 256)
	l.Waiting = cmp.Or(l.Waiting, 64<<20)
	l.SlowestRead = cmp.Or(l.SlowestRead, slowestRead)
}

// Bounds of what a request may ask for in its URL; its length is part of the header's (Server).
const (
	maxQuery  = 8 << 10 // bytes
	maxParams = 64
)

// limits are how much was asked for lately, and is under way.
type limits struct {
	keys, tenants, addresses buckets
	underWay, followers      crowd
	waiting                  int
	slowestRead              time.Duration
}

func (l *limits) set(c Limits) {
	l.keys.perSecond, l.tenants.perSecond, l.addresses.perSecond = c.PerKey, c.PerTenant, c.PerAddress
	l.underWay.most, l.followers.most = c.UnderWay, c.Followers
	l.waiting, l.slowestRead = c.Waiting, c.SlowestRead
}

func tooMany(detail string) error {
	return &rules.Refusal{Code: codeTooManyRequests, Detail: detail + ": slow down"}
}

// admitAddress comes before everything else: it costs less than to find out who is asking.
func (c *call) admitAddress() error {
	if q := c.r.URL.RawQuery; len(q) > maxQuery || strings.Count(q, "&") >= maxParams {
		return invalid("", "the query may have at most 64 parameters and 8 KiB")
	}
	if address, limited := addressOf(c.r); limited && !c.limits.addresses.allow(address) {
		return tooMany("too many requests from this address")
	}
	return nil
}

// addressOf is whom a request counts for; this machine is not limited.
func addressOf(r *http.Request) (string, bool) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, true
	}
	address := at.Addr().Unmap()
	if address.IsLoopback() {
		return "", false
	}
	if address.Is6() {
		prefix, _ := address.Prefix(64) // an IPv6 address has one
		return prefix.String(), true
	}
	return address.String(), true
}

// admitTenant counts a request for its tenant, until end is called.
func (c *call) admitTenant() (end func(), err error) {
	if c.tenant == nil {
		return func() {}, nil
	}
	name := c.tenant.Name()
	if !c.limits.tenants.allow(name) {
		return nil, tooMany("too many requests for this tenant")
	}
	crowd, what := &c.limits.underWay, "too many requests of this tenant are under way"
	if c.route.stream {
		crowd, what = &c.limits.followers, "too many clients of this tenant follow its journal"
	}
	if !crowd.enter(name) {
		return nil, tooMany(what)
	}
	return func() { crowd.leave(name) }, nil
}

// maxBuckets bounds the memory of one kind of limit, about 150 bytes each.
const maxBuckets = 1 << 16

// buckets holds one bucket for each name that asked lately.
type buckets struct {
	perSecond int
	mu        sync.RWMutex
	all       map[string]*rate.Limiter
}

func (b *buckets) allow(name string) bool {
	if b.perSecond < 0 {
		return true
	}
	b.mu.RLock()
	bucket := b.all[name]
	b.mu.RUnlock()
	if bucket == nil {
		bucket = b.add(name)
	}
	return bucket.Allow()
}

func (b *buckets) add(name string) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bucket := b.all[name]; bucket != nil {
		return bucket
	}
	if b.all == nil {
		b.all = make(map[string]*rate.Limiter)
	}
	if len(b.all) >= maxBuckets {
		b.forget(time.Now())
	}
	if len(b.all) >= maxBuckets {
		name = "" // all who come beyond share one
		if bucket := b.all[name]; bucket != nil {
			return bucket
		}
	}
	bucket := rate.NewLimiter(rate.Limit(b.perSecond), 2*b.perSecond)
	b.all[name] = bucket
	return bucket
}

// forget drops full buckets: a new one would be as full.
func (b *buckets) forget(now time.Time) {
	for name, bucket := range b.all {
		if bucket.TokensAt(now) >= float64(bucket.Burst()) {
			delete(b.all, name)
		}
	}
}

// crowd counts who is there, by name.
type crowd struct {
	most int
	mu   sync.Mutex
	here map[string]int
}

func (c *crowd) enter(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most >= 0 && c.here[name] >= c.most {
		return false
	}
	if c.here == nil {
		c.here = make(map[string]int)
	}
	c.here[name]++
	return true
}

func (c *crowd) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[name]--; c.here[name] == 0 {
		delete(c.here, name)
	}
}
