package console

import (
	"net/http"
	"strings"

	"creditstream/services/api"
	"creditstream/services/credentials"
)

// maxForm bounds the body of a form in bytes; that of a catalog may be larger.
const maxForm = 64 << 10

// signInForm is what the sign-in page shows.
type signInForm struct {
	Next, Fault string
	Dev         bool // the operator may come in without a key
}

func (v *visit) signInPage() error {
	return v.writeSignIn(http.StatusOK, "", v.r.URL.Query().Get("next"))
}

func (v *visit) writeSignIn(status int, fault, next string) error {
	return v.write(status, "sign-in", "Sign in", signInForm{Next: within(next), Fault: fault, Dev: v.cfg.Dev && api.FromHere(v.r)})
}

// within is where to go on after signing in: a page of the console, nowhere else.
func within(next string) string {
	if next == home || strings.HasPrefix(next, home+"/") || strings.HasPrefix(next, home+"?") {
		return next
	}
	return home
}

// signIn opens a session with an API key. Nobody learns more of a wrong key than that it is not good.
func (v *visit) signIn() error {
	form, err := v.form(maxForm)
	if err != nil {
		return err
	}
	next := form.Get("next")
	if form.Get("operator") != "" && v.cfg.Dev && api.FromHere(v.r) {
		v.remember(v.sessions.begin(credentials.Operator(), v.cfg.Now()))
		return v.goTo(within(next))
	}
	now := v.cfg.Now()
	limiter := v.attempts.of(v.r, now)
	if limiter.TokensAt(now) < 1 {
		return v.writeSignIn(http.StatusTooManyRequests, "Too many attempts from here. Wait ten seconds, then try again.", next)
	}
	who, err := v.cfg.Credentials.Authenticate(strings.TrimSpace(form.Get("apikey")), v.cfg.Accounts.Clock().Now())
	if err != nil {
		limiter.AllowN(now, 1)
		return v.writeSignIn(http.StatusUnauthorized, "This is not a valid key. Check that you pasted all of it, from cs_live_ on; it may also have ended.", next)
	}
	if !who.Can(credentials.Read) && !(who.IsOperator() && who.Can(credentials.Admin)) {
		return v.writeSignIn(http.StatusForbidden, "This key has the scopes "+who.Scopes.String()+". The console needs one with read (or, of the operator, admin).", next)
	}
	v.log.Info("signed in to the console", "actor", who.Actor, "key", who.KeyID)
	v.remember(v.sessions.begin(who, now))
	return v.goTo(within(next))
}

func (v *visit) signOut() error {
	if cookie, err := v.r.Cookie(cookieName); err == nil {
		v.sessions.end(cookie.Value)
	}
	v.remember("")
	return v.goTo(home + "/sign-in")
}

// start leads to the first page that the key may see.
func (v *visit) start() error {
	switch {
	case v.who.IsOperator() && v.who.Can(credentials.Admin):
		return v.goTo(home + "/overview")
	case v.who.Tenant != "":
		return v.goTo(home + "/t/" + v.who.Tenant)
	}
	if all := v.cfg.Accounts.Tenants(); len(all) > 0 {
		return v.goTo(home + "/t/" + all[0].Name())
	}
	return errNotYours
}
