package api

import (
	"net/http"
	"slices"
	"strings"

	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// Paths of a tenant and of one of its accounts. Segments are percent-encoded.
const (
	tenantPath  = "/v1/tenants/{tenant}"
	accountPath = tenantPath + "/accounts/{account}"
)

// keyUse says what an endpoint does with an Idempotency-Key.
type keyUse int

const (
	keyNone     keyUse = iota // the header means nothing here
	keyOptional               // repeating is harmless; a key that is given counts
	keyRequired
)

// route is one endpoint: everything that the door and the document need to know of it.
type route struct {
	id     string // the operation's name in the document, the metrics and the log
	method string
	path   string
	scope  credentials.Scope // open asks for no key
	person bool              // the key has to be a person's
	key    keyUse
	// accountInQuery says that the query may name the account: then a token for it is enough.
	accountInQuery bool

	stream  bool // answers for as long as the client listens
	often   bool // comes often, see often.go
	summary string
	detail  string
	query   []param
	request any // a value of the body's type, nil for none
	answer  any // a value of the answer's type, nil for none
	// Media types of body and answer, separated by spaces; "" is application/json.
	requestMedia, answerMedia string

	status int  // of success; 0 is 200
	hidden bool // not part of the document
	codes  []rules.Code
	handle func(*call) (reply, error)
}

// param is a parameter of the query.
type param struct{ name, kind, detail string }

func (rt *route) ofTenant() bool  { return strings.HasPrefix(rt.path, tenantPath) }
func (rt *route) ofAccount() bool { return strings.Contains(rt.path, "{account}") }

// routes is the table of everything that can be asked for over HTTP.
func (a *API) routes() []route {
	return slices.Concat(
		catalogRoutes(),
		accountRoutes(),
		personalRoutes(),
		importRoutes(),
		balanceRoutes(),
		historyRoutes(),
		explainRoutes(),
		checkRoutes(),
		usageRoutes(),
		eventRoutes(),
		holdRoutes(),
		lotRoutes(),
		purchaseRoutes(),
		paymentRoutes(),
		checkoutRoutes(),
		intakeRoutes(),
		streamRoutes(),
		adminRoutes(),
		bookRoutes(),
		healthRoutes(),
		docRoutes(),
	)
}

// mux puts the table behind one handler. What is not in it is a problem, too.
func (a *API) mux() http.Handler {
	mux := http.NewServeMux()
	routes := a.routes()
	a.document, _ = document(routes)
	for i := range routes {
		handler := a.serve(&routes[i])
		mux.Handle(routes[i].method+" "+routes[i].path, handler)
		a.often.add(&routes[i], handler)
	}
	nowhere := a.serve(&route{id: "notThere", scope: open, handle: func(c *call) (reply, error) { return notThere(c, mux) }})
	mux.Handle("/", nowhere)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isUnclean(r.URL.EscapedPath()) {
			nowhere.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isUnclean finds a segment that is empty or a dot. The mux would send the client elsewhere: without its
// account, a path is that of the account called "balance".
func isUnclean(path string) bool {
	return strings.Contains(path, "//") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
}

// notThere tells a path that there is not from one that is there for other methods.
func notThere(c *call, mux *http.ServeMux) (reply, error) {
	var allowed []string
	if isUnclean(c.r.URL.EscapedPath()) {
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: "a segment of the path is empty, or a dot: percent-encode it"}
	}
	for _, method := range [...]string{http.MethodDelete, http.MethodGet, http.MethodPost, http.MethodPut} {
		other := c.r.Clone(c.ctx)
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: "nothing is at this path; /docs lists what is"}
	}
	list := strings.Join(allowed, ", ")
	c.w.Header().Set("Allow", list)
	return reply{}, &rules.Refusal{Code: codeMethodNotAllowed, Detail: "allowed here: " + list}
}
