package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"creditstream/services/api"
	"creditstream/services/credentials"
)

// How long a session lasts without being used, and at most; and how many there may be.
const (
	idleSession = time.Hour
	longSession = 12 * time.Hour
	maxSessions = 1000
)

const cookieName = "creditstream_admin"

// session is somebody who signed in. It ends with the key that it was opened with.
type session struct {
	who          credentials.Principal
	opened, used time.Time
}

// sessions are kept in memory, by the hash of what the browser holds: a restart ends them.
type sessions struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]*session
}

func (s *sessions) begin(who credentials.Principal, now time.Time) (token string) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[[sha256.Size]byte]*session)
	}
	if len(s.open) >= maxSessions {
		s.makeRoom(now)
	}
	s.open[sha256.Sum256([]byte(token))] = &session{who: who, opened: now, used: now}
	return token
}

// makeRoom drops what has ended, and of what has not, the session that was used least lately.
func (s *sessions) makeRoom(now time.Time) {
	var oldest [sha256.Size]byte
	var at time.Time
	for token, one := range s.open {
		if one.over(now) {
			delete(s.open, token)
		} else if at.IsZero() || one.used.Before(at) {
			oldest, at = token, one.used
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) > idleSession || now.Sub(s.opened) > longSession
}

func (s *sessions) find(token string, now time.Time) (credentials.Principal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := sha256.Sum256([]byte(token))
	one := s.open[hash]
	if one == nil {
		return credentials.Principal{}, false
	}
	if one.over(now) {
		delete(s.open, hash)
		return credentials.Principal{}, false
	}
	one.used = now
	return one.who, true
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(token)))
}

// whoIs says who asks: the session's key as long as it lives; in development, on this machine and without a
// session, the operator.
func (v *visit) whoIs() (credentials.Principal, bool) {
	cookie, err := v.r.Cookie(cookieName)
	if err != nil {
		if v.cfg.Dev && api.FromHere(v.r) {
			return credentials.Operator(), true
		}
		return credentials.Principal{}, false
	}
	who, ok := v.sessions.find(cookie.Value, v.cfg.Now())
	if !ok || !v.lives(who) {
		return credentials.Principal{}, false
	}
	return who, true
}

// lives reports whether a principal's key is still good.
func (c *Console) lives(who credentials.Principal) bool {
	if who.KeyID == "" {
		return c.cfg.Dev
	}
	key, ok := c.cfg.Credentials.Lookup(who.KeyID)
	return ok && key.Live(c.cfg.Accounts.Clock().Now())
}

// remember gives the browser its token, or takes it away. No other site's page can have it sent, not even
// by a link.
func (v *visit) remember(token string) {
	cookie := &http.Cookie{
		Name: cookieName, Value: token, Path: home, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: v.r.TLS != nil || strings.EqualFold(v.r.Header.Get("X-Forwarded-Proto"), "https"),
	}
	if token == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(v.w, cookie)
}

// Failed attempts that one address has at once, how soon it gets another, and of how many addresses that is
// remembered.
const (
	attemptsAtOnce = 5
	attemptEvery   = 10 * time.Second
	maxAddresses   = 4096
)

// attempts bounds how often somebody may try keys. The addresses that do not fit share one bound.
type attempts struct {
	mu     sync.Mutex
	from   map[string]*rate.Limiter
	others *rate.Limiter
}

func (a *attempts) of(r *http.Request, now time.Time) *rate.Limiter {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.from == nil {
		a.from, a.others = make(map[string]*rate.Limiter), newAttempts()
	}
	if known := a.from[host]; known != nil {
		return known
	}
	if len(a.from) >= maxAddresses {
		for address, limiter := range a.from {
			if limiter.TokensAt(now) >= attemptsAtOnce {
				delete(a.from, address)
			}
		}
	}
	if len(a.from) >= maxAddresses {
		return a.others
	}
	a.from[host] = newAttempts()
	return a.from[host]
}

func newAttempts() *rate.Limiter { return rate.NewLimiter(rate.Every(attemptEvery), attemptsAtOnce) }

// maxForms is how many forms are remembered.
const maxForms = 1000

// forms remembers forms whose effect carries no idempotency key of its own, so that one that is sent twice
// acts once.
type forms struct {
	mu   sync.Mutex
	sent map[string]bool
	list []string
}

// first reports whether a form is sent for the first time, and remembers it. One without a key never is.
func (f *forms) first(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if key == "" || f.sent[key] {
		return false
	}
	if f.sent == nil {
		f.sent = make(map[string]bool)
	}
	f.sent[key] = true
	if f.list = append(f.list, key); len(f.list) > maxForms {
		delete(f.sent, f.list[0])
		f.list = f.list[1:]
	}
	return true
}

// forget lets a form that had no effect be sent again.
func (f *forms) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sent, key)
}
