package node

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/api"
	"creditstream/services/console"
	"creditstream/services/look"
	"creditstream/services/pages"
)

// openText opens what was written about an account; "" when it was erased or its key cannot be reached.
func (n *Node) openText(ctx context.Context, tenant, account, text string) string {
	if !credit.IsSealed(text) {
		return text
	}
	key, err := n.personal.Key(ctx, tenant, account)
	if err != nil {
		n.log.Warn("a text cannot be opened", "tenant", tenant, "account", account, "error", err)
		return ""
	}
	opened, err := key.Open(text)
	if err != nil {
		return ""
	}
	return opened
}

// openPages puts the pages beside the API behind one handler.
func (n *Node) openPages(door *api.API) (http.Handler, error) {
	design, err := look.New()
	if err != nil {
		return nil, err
	}
	n.doors.pages, err = pages.New(pages.Config{
		Look: design, Accounts: n.accounts, Credentials: n.credentials, Purchases: n.doors.purchases, Views: n.views.runner, Journal: n.Journal,
		Statement: func(name journal.Name) (*statement.View, error) { return statement.Of(n.views.statement, name) },
		Usage:     func(name journal.Name) (*usage.View, error) { return usage.Of(n.views.usage, name) },
		Open:      n.openText,
		Dev:       n.cfg.Dev, Logger: n.log,
	})
	if err != nil {
		return nil, fmt.Errorf("open the pages: %w", err)
	}
	if err := n.openConsole(door, design); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(console.Path, door.Admit("console", n.doors.console.Handler()))
	mux.Handle(console.Path+"/", door.Admit("console", n.doors.console.Handler()))
	mux.Handle(look.AssetPath, design.Handler())
	for _, path := range pages.Paths() {
		mux.Handle(path, door.Admit("pages", n.doors.pages.Handler()))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The API has its own word for a path that is not clean; a mux would send the client elsewhere.
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			if _, pattern := mux.Handler(r); pattern != "" {
				mux.ServeHTTP(w, r)
				return
			}
		}
		door.Handler().ServeHTTP(w, r)
	}), nil
}

// openConsole makes the pages of operators and support.
func (n *Node) openConsole(door *api.API, design *look.Look) (err error) {
	cfg := console.Config{
		API: door.Handler(), Accounts: n.accounts, Credentials: n.credentials, Views: n.views.runner, Vitals: n.vitals, Journal: n.Journal,
		Bus: n.BusState, Disk: n.Disk, Look: design, Dev: n.cfg.Dev, Logger: n.log,
	}
	if n.views.statement != nil {
		cfg.Statement = func(name journal.Name) (*statement.View, error) { return statement.Of(n.views.statement, name) }
	}
	if n.doors.console, err = console.New(cfg); err != nil {
		return fmt.Errorf("open the console: %w", err)
	}
	return nil
}
