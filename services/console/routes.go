package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/credentials"
)

// Path is where the console is served, and below it.
const Path = "/admin"

// Paths of a tenant's pages and of one of its accounts.
const (
	home        = Path
	tenantPath  = home + "/t/{tenant}"
	accountPath = tenantPath + "/accounts/{account}"
)

// anybody marks a page that needs no key. It is not the zero scope: a page whose scope was forgotten is
// shown to nobody.
const anybody = credentials.Scope(1 << 7)

// route is one page and who may see it. A path with a tenant is for keys that reach the tenant; every other
// one is the operator's, unless it is for anybody who is signed in (own).
type route struct {
	method, path string
	scope        credentials.Scope
	person       bool // the key has to be a person's
	own          bool // of whoever is signed in, whatever the key reaches
	handle       func(*visit) error
}

func (rt *route) ofTenant() bool { return strings.HasPrefix(rt.path, tenantPath) }

// routes is the table of all pages.
func (c *Console) routes() []route {
	return []route{
		{method: "GET", path: home + "/sign-in", scope: anybody, handle: (*visit).signInPage},
		{method: "POST", path: home + "/sign-in", scope: anybody, handle: (*visit).signIn},
		{method: "POST", path: home + "/sign-out", scope: anybody, handle: (*visit).signOut},
		{method: "GET", path: home, scope: credentials.Read, own: true, handle: (*visit).start},

		{method: "GET", path: home + "/overview", scope: credentials.Admin, handle: (*visit).overview},
		{method: "GET", path: home + "/vitals", scope: credentials.Admin, handle: (*visit).samples},
		{method: "GET", path: home + "/tenants", scope: credentials.Admin, handle: (*visit).tenants},
		{method: "GET", path: home + "/health", scope: credentials.Admin, handle: (*visit).health},
		{method: "GET", path: home + "/views", scope: credentials.Admin, handle: (*visit).views},
		{method: "GET", path: home + "/views/rebuild", scope: credentials.Admin, handle: (*visit).askRebuild},
		{method: "POST", path: home + "/views/rebuild", scope: credentials.Admin, handle: (*visit).rebuild},
		{method: "GET", path: home + "/verify", scope: credentials.Admin, handle: (*visit).verifyPage},
		{method: "POST", path: home + "/verify", scope: credentials.Admin, handle: (*visit).verify},
		{method: "GET", path: home + "/tasks/{task}", scope: credentials.Admin, handle: (*visit).task},
		{method: "GET", path: home + "/keys", scope: credentials.Admin, handle: (*visit).keys},
		{method: "GET", path: home + "/keys/new", scope: credentials.Admin, handle: (*visit).newKey},
		{method: "POST", path: home + "/keys", scope: credentials.Admin, handle: (*visit).createKey},
		{method: "GET", path: home + "/keys/delete", scope: credentials.Admin, handle: (*visit).askDeleteKey},
		{method: "POST", path: home + "/keys/delete", scope: credentials.Admin, handle: (*visit).deleteKey},

		{method: "GET", path: tenantPath, scope: credentials.Read, handle: (*visit).tenantStart},
		{method: "GET", path: tenantPath + "/accounts", scope: credentials.Read, handle: (*visit).accounts},
		{method: "GET", path: accountPath, scope: credentials.Read, handle: (*visit).account},
		{method: "GET", path: accountPath + "/history", scope: credentials.Read, handle: (*visit).history},
		{method: "GET", path: accountPath + "/explain", scope: credentials.Read, handle: (*visit).explain},
		{method: "GET", path: accountPath + "/purchases", scope: credentials.Read, handle: (*visit).purchases},
		{method: "GET", path: accountPath + "/holds", scope: credentials.Read, handle: (*visit).holds},
		{method: "GET", path: accountPath + "/grant", scope: credentials.Grant, person: true, handle: (*visit).askGrant},
		{method: "POST", path: accountPath + "/grant", scope: credentials.Grant, person: true, handle: (*visit).grant},
		{method: "GET", path: accountPath + "/revoke", scope: credentials.Grant, person: true, handle: (*visit).askRevoke},
		{method: "POST", path: accountPath + "/revoke", scope: credentials.Grant, person: true, handle: (*visit).revoke},
		{method: "GET", path: accountPath + "/reverse", scope: credentials.Usage, handle: (*visit).askReverse},
		{method: "POST", path: accountPath + "/reverse", scope: credentials.Usage, handle: (*visit).reverse},
		{method: "GET", path: tenantPath + "/journal", scope: credentials.Read, handle: (*visit).journal},
		{method: "GET", path: tenantPath + "/journal/live", scope: credentials.Read, handle: (*visit).live},
		{method: "GET", path: tenantPath + "/journal/tail", scope: credentials.Read, handle: (*visit).tail},
		{method: "GET", path: tenantPath + "/journal/{shard}/{sequence}", scope: credentials.Read, handle: (*visit).commit},
		{method: "GET", path: tenantPath + "/catalog", scope: credentials.Read, handle: (*visit).catalogs},
		{method: "GET", path: tenantPath + "/catalog/diff", scope: credentials.Read, handle: (*visit).diff},
		{method: "GET", path: tenantPath + "/catalog/edit", scope: credentials.Catalog, handle: (*visit).editCatalog},
		{method: "POST", path: tenantPath + "/catalog/edit", scope: credentials.Catalog, handle: (*visit).publishCatalog},
	}
}

func (c *Console) mux() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range c.routes() {
		mux.Handle(rt.method+" "+rt.path, c.serve(&rt))
	}
	nowhere := route{scope: anybody, handle: func(v *visit) error { return errNowhere }}
	mux.Handle("/", c.serve(&nowhere))
	return mux
}

// visit is one request of somebody's.
type visit struct {
	*Console
	ctx    context.Context
	w      http.ResponseWriter
	r      *http.Request
	route  *route
	who    credentials.Principal // the zero principal may nothing
	tenant *accounts.Tenant      // nil where the path has none
}

var (
	errNowhere  = errors.New("nothing is at this address")
	errSignIn   = errors.New("nobody is signed in")
	errNotYours = errors.New("the key that you signed in with does not reach this")
)

func (c *Console) serve(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Console: c, ctx: r.Context(), w: w, r: r, route: rt}
		err := v.enter()
		if err == nil {
			err = rt.handle(v)
		}
		if err != nil {
			v.fail(err)
		}
	})
}

// enter checks who it is, what the key may, and what it reaches, before anything is looked up: whoever
// holds another tenant's key does not learn what there is.
func (v *visit) enter() error {
	who, signedIn := v.whoIs()
	v.who = who
	rt := v.route
	if rt.scope == anybody {
		return nil
	}
	if !signedIn {
		return errSignIn
	}
	if rt.own {
		return nil
	}
	name := v.r.PathValue("tenant")
	if rt.ofTenant() && !v.who.Covers(name, "") || !rt.ofTenant() && !v.who.IsOperator() {
		return errNotYours
	}
	if !v.may(rt) {
		return errNotYours
	}
	if !rt.ofTenant() {
		return nil
	}
	var err error
	v.tenant, err = v.cfg.Accounts.Tenant(name)
	return err
}

// may reports whether the key has what a page asks for.
func (v *visit) may(rt *route) bool { return v.who.Can(rt.scope) && (!rt.person || v.who.Person) }

// fail shows what went wrong.
func (v *visit) fail(err error) {
	var status int
	var title, detail string
	var refused *refusal
	switch {
	case errors.Is(err, errSignIn):
		if v.r.Method == http.MethodGet && !v.isPart() {
			http.Redirect(v.w, v.r, home+"/sign-in?next="+url.QueryEscape(v.r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		v.w.Header().Set("HX-Redirect", home+"/sign-in")
		status, title, detail = http.StatusUnauthorized, "You are signed out", "Sign in again, then repeat what you did: a form that was sent twice counts once."
	case errors.Is(err, errNotYours):
		status, title, detail = http.StatusForbidden, "Not with this key", "The key that you signed in with does not reach this page. Sign in with another one."
	case errors.Is(err, errNowhere):
		status, title, detail = http.StatusNotFound, "Nothing is here", "The address has changed, or it was never one."
	case errors.As(err, &refused):
		status, title, detail = refused.Status, refused.Title, refused.Detail
	case v.ctx.Err() != nil:
		return // nobody is there to tell
	default:
		if problem := api.ProblemOf(err, 6); problem.Status != http.StatusServiceUnavailable {
			status, title, detail = problem.Status, problem.Title, problem.Detail
		} else {
			v.log.Warn("a page of the console failed", "path", v.r.URL.Path, "error", err)
			status, title, detail = problem.Status, problem.Title, "The server could not answer this now; its log says why. Try again: a form that was sent twice counts once."
		}
	}
	if err := v.write(status, "fault", title, map[string]any{"Status": status, "Heading": title, "Detail": detail}); err != nil {
		v.log.Warn("a page of the console was not written", "path", v.r.URL.Path, "error", err)
	}
}
