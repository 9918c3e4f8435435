package api

import (
	"net"
	"net/http"
	"strings"

	"creditstream/services/credentials"
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
	if !c.limits.keys.allow(c.principal.KeyID) {
		return tooMany("too many requests with this key")
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
		if !c.principal.Covers(c.r.PathValue("tenant"), c.aboutAccount()) {
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

// aboutAccount is the account that a request is about, "" for the whole tenant.
func (c *call) aboutAccount() string {
	if c.route.accountInQuery {
		return c.r.URL.Query().Get("account")
	}
	return c.r.PathValue("account")
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
