package api

import (
	"net"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// open marks an endpoint that asks for no key. It is not the zero scope: an endpoint whose scope was
// forgotten is open to nobody.
const open = credentials.Scope(1 << 7)

const tokenPrefix = "cs_acct_"

// authenticate finds out who is calling.
func (c *call) authenticate() error {
	if c.route.scope == open {
		return nil
	}
	authorization := c.r.Header.Get("Authorization")
	var known bool
	if c.principal, known = inside(c.r.Context()); !known {
		if authorization == "" && c.cfg.Dev {
			if !FromHere(c.r) {
				return forbidden("requests without a key are taken from this machine only, and not from another site's page")
			}
			c.principal = credentials.Operator()
			return nil
		}
		var err error
		if c.principal, err = c.API.Authenticate(authorization); err != nil {
			return err
		}
	}
	if c.principal.KeyID == "" {
		return nil // the operator's, in development
	}
	if !c.limits.allow(c.principal.KeyID) {
		return &rules.Refusal{Code: codeTooManyRequests, Detail: "too many requests with this key: slow down"}
	}
	return nil
}

// Authenticate reads an Authorization header: a key or an account's token. Refusals are
// credentials.ErrUnauthenticated.
func (a *API) Authenticate(authorization string) (credentials.Principal, error) {
	scheme, secret, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return credentials.Principal{}, credentials.ErrUnauthenticated
	}
	now := a.cfg.Accounts.Clock().Now()
	if strings.HasPrefix(secret, tokenPrefix) {
		token, err := a.cfg.Credentials.VerifyToken(secret, now)
		if err != nil {
			return credentials.Principal{}, err
		}
		return token.Principal(), nil
	}
	return a.cfg.Credentials.Authenticate(secret, now)
}

// authorize checks the scope and that the path is within the key's reach, before anything is looked up:
// whoever holds another tenant's key does not learn what there is.
func (c *call) authorize() error {
	rt := c.route
	if rt.scope == open {
		return nil
	}
	if !c.principal.Can(rt.scope) {
		return forbidden("this needs a key with scope " + rt.scope.String())
	}
	if rt.ofTenant() {
		if !c.principal.Covers(c.r.PathValue("tenant"), c.r.PathValue("account")) {
			return forbidden("this key is for something else")
		}
	} else if !c.principal.IsOperator() {
		return forbidden("this needs a key of the operator")
	}
	if rt.person && !c.principal.Person {
		return forbidden("this needs the key of a person, not of a service")
	}
	return nil
}

// FromHere reports whether a request comes from this machine and, when a browser sent it, from a page of
// this server: a page elsewhere must not act as the operator through somebody's browser.
func FromHere(r *http.Request) bool {
	if !isLoopback(r.RemoteAddr) || !isLoopback(r.Host) {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin" || site == "none"
	}
	origin := r.Header.Get("Origin")
	return origin == "" || strings.EqualFold(origin, "http://"+r.Host)
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// limits holds one bucket for each key in use. There are as many as live keys, so nothing is evicted.
type limits struct {
	perSecond int
	mu        sync.RWMutex
	buckets   map[string]*rate.Limiter
}

func (l *limits) allow(key string) bool {
	l.mu.RLock()
	bucket := l.buckets[key]
	l.mu.RUnlock()
	if bucket == nil {
		l.mu.Lock()
		if bucket = l.buckets[key]; bucket == nil {
			if l.buckets == nil {
				l.buckets = make(map[string]*rate.Limiter)
			}
			bucket = rate.NewLimiter(rate.Limit(l.perSecond), 2*l.perSecond)
			l.buckets[key] = bucket
		}
		l.mu.Unlock()
	}
	return bucket.Allow()
}
