package api

import (
	"net/http"
	"strings"
)

// often.go finds the endpoints that features ask for each thing they do, without the mux and without making
// anything: for package front, which answers them over connections that are kept. Both ways lead to the same handlers.

// often are their handlers, by the last segment of the path.
type often struct{ ofTenant, ofAccount map[string]http.Handler }

func (o *often) add(rt *route, handler http.Handler) {
	if !rt.often {
		return
	}
	into, prefix := &o.ofTenant, tenantPath+"/"
	if rt.ofAccount() {
		into, prefix = &o.ofAccount, accountPath+"/"
	}
	last, ok := strings.CutPrefix(rt.path, prefix)
	if !ok || strings.Contains(last, "/") || rt.method != http.MethodPost || rt.stream {
		panic("api: " + rt.id + " is not of the shape of what comes often")
	}
	if *into == nil {
		*into = make(map[string]http.Handler)
	}
	(*into)[last] = handler
}

// Often returns who answers a POST that comes often, and notes in it what its path names; nil for every other
// request. Nothing in the path may be percent-encoded, and no segment empty.
func (a *API) Often(r *http.Request) http.Handler {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v1/tenants/")
	if !ok || r.Method != http.MethodPost {
		return nil
	}
	tenant, last, _ := strings.Cut(rest, "/")
	account, handlers := "", a.often.ofTenant
	if of, is := strings.CutPrefix(last, "accounts/"); is {
		account, last, _ = strings.Cut(of, "/")
		handlers = a.often.ofAccount
	}
	handler := handlers[last]
	if handler == nil {
		return nil
	}
	r.SetPathValue("tenant", tenant)
	r.SetPathValue("account", account) // "", too: the request before had another one
	return handler
}
