package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

const adminPath = "/v1/admin"

func adminRoutes() []route {
	key := func(rt route) route { rt.scope = credentials.Admin; return rt }
	return []route{
		key(route{
			id: "addTenant", method: http.MethodPost, path: adminPath + "/tenants", summary: "Add a tenant",
			detail:  "One that is there already, with as many shards, stays as it is.",
			request: TenantRequest{}, answer: Tenant{}, status: http.StatusCreated, handle: addTenant,
		}),
		key(route{id: "listTenants", method: http.MethodGet, path: adminPath + "/tenants", summary: "All tenants", answer: Tenants{}, handle: listTenants}),
		key(route{
			id: "createKey", method: http.MethodPost, path: adminPath + "/keys", summary: "Create an API key",
			detail:  "The key itself is in this answer and nowhere else. An actor has at most two live keys of a tenant: one in use, one to change over to.",
			request: KeyRequest{}, answer: KeyAnswer{}, status: http.StatusCreated, codes: []rules.Code{codeUnknownTenant}, handle: createKey,
		}),
		key(route{
			id: "listKeys", method: http.MethodGet, path: adminPath + "/keys", summary: "All keys, without their secrets",
			query: []param{{"tenant", "string", "Only this tenant's."}}, answer: Keys{}, codes: []rules.Code{codeUnknownTenant}, handle: listKeys,
		}),
		key(route{
			id: "revokeKey", method: http.MethodDelete, path: adminPath + "/keys/{key}", summary: "Revoke a key, and the tokens minted with it",
			answer: credentials.Key{}, codes: []rules.Code{codeNotFound}, handle: revokeKey,
		}),
		key(route{
			id: "revokeKeyNamed", method: http.MethodDelete, path: adminPath + "/keys", summary: "The same, with the id in the query",
			query: []param{{"id", "string", "The key's id."}}, answer: credentials.Key{}, codes: []rules.Code{codeNotFound}, handle: revokeKey,
		}),
		key(route{id: "listViews", method: http.MethodGet, path: adminPath + "/views", summary: "How every view stands", answer: Views{}, handle: listViews}),
		key(route{
			id: "rebuildView", method: http.MethodPost, path: adminPath + "/views/{view}/rebuild", stream: true,
			summary: "Rebuild a view beside the live one, compare, and switch",
			detail: "Views that differ from the fold are told record by record and switched only with `accept`. With `Accept: application/x-ndjson` " +
				"lines of progress come first.",
			query: []param{
				{"tenant", "string", "Only this tenant's; default all."}, {"shard", "integer", "Only this shard's; default all."},
				{"accept", "boolean", "Switch though they differ."},
			},
			answer: RebuildAnswer{}, codes: []rules.Code{codeNotFound, codeUnknownTenant}, handle: rebuildView,
		}),
		key(backupRoute()),
		key(route{id: "getTestClock", method: http.MethodGet, path: adminPath + "/test-clock", summary: "The test clock", answer: ClockAnswer{}, codes: []rules.Code{codeNotFound}, handle: getClock}),
		key(route{
			id: "setTestClock", method: http.MethodPost, path: adminPath + "/test-clock", stream: true, summary: "Move the test clock forward",
			detail:  "What fell due on the way has happened when the call answers.",
			request: ClockRequest{}, answer: ClockAnswer{}, codes: []rules.Code{codeNotFound}, handle: setClock,
		}),
	}
}

// TenantRequest adds a tenant.
type TenantRequest struct {
	Tenant string `json:"tenant" pattern:"^[a-z0-9-]{1,32}$"`
	Shards int    `json:"shards,omitempty" minimum:"1" maximum:"256" doc:"Fixed for ever; default one."`
}

// Tenant is one business.
type Tenant struct {
	Tenant  string `json:"tenant"`
	Shards  int    `json:"shards"`
	Catalog uint32 `json:"catalog" doc:"The version in force; 0 for none."`
}

// Tenants are all of them.
type Tenants struct {
	Tenants []Tenant `json:"tenants"`
}

// KeyRequest asks for a key.
type KeyRequest struct {
	Tenant  string     `json:"tenant,omitempty" doc:"Absent: a key of the operator."`
	Actor   string     `json:"actor" doc:"Who uses it; named in every entry."`
	Person  bool       `json:"person,omitempty" doc:"The actor is a person: grants and revocations need one."`
	Scopes  []string   `json:"scopes" doc:"usage, read, purchase, grant, catalog, admin."`
	Name    string     `json:"name,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// KeyAnswer is a key that was made.
type KeyAnswer struct {
	Secret string `json:"key" doc:"The key itself: shown once."`
	credentials.Key
}

// Keys is a list of keys.
type Keys struct {
	Keys []credentials.Key `json:"keys"`
}

// Views are all views.
type Views struct {
	Views []projections.Status `json:"views"`
}

// RebuildAnswer is what came of rebuilding.
type RebuildAnswer struct {
	Rebuilt []projections.Rebuilt `json:"rebuilt"`
}

// ClockRequest moves the test clock.
type ClockRequest struct {
	Now time.Time `json:"now"`
}

// ClockAnswer is what the test clock shows.
type ClockAnswer struct {
	Now time.Time `json:"now"`
}

func addTenant(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "tenant", "shards")
	name, shards := f.id("tenant"), f.integer("shards", 1, 256, 0)
	if f.fault == nil && !isTenantName(name) {
		f.refuse("tenant", "1 to 32 of a-z, 0-9 and - are expected")
	}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	if t, err := c.cfg.Accounts.Tenant(name); err == nil {
		if shards != 0 && shards != len(t.Shards()) {
			return reply{}, invalid("shards", fmt.Sprintf("this tenant has %d for ever", len(t.Shards())))
		}
		return created(tenantAnswer(t))
	}
	if err := c.cfg.AddTenant(c.ctx, name, shards); err != nil {
		return reply{}, fmt.Errorf("add tenant %s: %w", name, err)
	}
	t, err := c.cfg.Accounts.Tenant(name)
	if err != nil {
		return reply{}, err
	}
	return created(tenantAnswer(t))
}

func isTenantName(s string) bool {
	for _, b := range []byte(s) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

func tenantAnswer(t *accounts.Tenant) Tenant {
	answer := Tenant{Tenant: t.Name(), Shards: len(t.Shards())}
	if catalog := t.Books().Current(); catalog != nil {
		answer.Catalog = catalog.Version
	}
	return answer
}

func listTenants(c *call) (reply, error) {
	list := Tenants{Tenants: []Tenant{}}
	for _, t := range c.cfg.Accounts.Tenants() {
		list.Tenants = append(list.Tenants, tenantAnswer(t))
	}
	return ok(list)
}

func createKey(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "tenant", "actor", "person", "scopes", "name", "expires")
	ask := credentials.NewKey{
		Tenant: f.optional("tenant", maxID), Actor: f.id("actor"), Person: f.flag("person"), Name: f.optional("name", maxID),
		Expires: f.time("expires"), By: c.principal.Actor,
	}
	names := f.texts("scopes", 6)
	if err := f.err(); err != nil {
		return reply{}, err
	}
	if ask.Scopes, err = credentials.ParseScopes(names...); err != nil {
		return reply{}, err
	}
	if ask.Tenant != "" {
		if _, err := c.cfg.Accounts.Tenant(ask.Tenant); err != nil {
			return reply{}, err
		}
	}
	secret, key, err := c.cfg.Credentials.Create(c.ctx, ask)
	if err != nil {
		return reply{}, err
	}
	return created(KeyAnswer{Secret: secret, Key: key})
}

func listKeys(c *call) (reply, error) {
	list := Keys{Keys: []credentials.Key{}}
	if tenant := c.r.URL.Query().Get("tenant"); tenant != "" {
		if _, err := c.cfg.Accounts.Tenant(tenant); err != nil {
			return reply{}, err
		}
		list.Keys = append(list.Keys, c.cfg.Credentials.List(tenant)...)
		return ok(list)
	}
	list.Keys = append(list.Keys, c.cfg.Credentials.List("")...)
	for _, t := range c.cfg.Accounts.Tenants() {
		list.Keys = append(list.Keys, c.cfg.Credentials.List(t.Name())...)
	}
	return ok(list)
}

func revokeKey(c *call) (reply, error) {
	id := c.r.PathValue("key")
	if id == "" {
		if id = c.r.URL.Query().Get("id"); id == "" {
			return reply{}, invalid("id", "name the key to revoke")
		}
	}
	if err := c.cfg.Credentials.Revoke(c.ctx, id, c.principal.Actor); err != nil {
		return reply{}, err
	}
	key, _ := c.cfg.Credentials.Lookup(id)
	return ok(key)
}

func listViews(c *call) (reply, error) {
	status, err := c.cfg.Views.Status()
	if err != nil {
		return reply{}, err
	}
	return ok(Views{Views: append([]projections.Status{}, status...)})
}

// journals are the journals that a request of the operator is about: all, a tenant's, or one.
func (c *call) journals() ([]journal.Name, error) {
	tenants := c.cfg.Accounts.Tenants()
	if name := c.r.URL.Query().Get("tenant"); name != "" {
		t, err := c.cfg.Accounts.Tenant(name)
		if err != nil {
			return nil, err
		}
		tenants = []*accounts.Tenant{t}
	}
	only, err := c.intParam("shard", 0, 1<<16, -1)
	if err != nil {
		return nil, err
	}
	var names []journal.Name
	for _, t := range tenants {
		for i := range t.Shards() {
			if only < 0 || only == i {
				names = append(names, journal.Name{Tenant: t.Name(), Shard: i})
			}
		}
	}
	if only >= 0 && len(names) == 0 {
		return nil, invalid("shard", "there is no such shard")
	}
	return names, nil
}

func rebuildView(c *call) (reply, error) {
	view := c.r.PathValue("view")
	names, err := c.journals()
	if err != nil {
		return reply{}, err
	}
	if kinds := c.cfg.Views.Kinds(); !slices.Contains(kinds, view) {
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: "there is no such view; there are " + list(kinds)}
	}
	p := c.progress()
	options := projections.RebuildOptions{Accept: c.r.URL.Query().Get("accept") == "true"}
	answer := RebuildAnswer{Rebuilt: []projections.Rebuilt{}}
	for _, name := range names {
		options.Progress = func(done, total uint64) { p.tell(name, done, total) }
		rebuilt, err := c.cfg.Views.Rebuild(c.ctx, view, name, options)
		if errors.Is(err, projections.ErrRebuilding) {
			err = invalid("view", err.Error())
		}
		if err != nil {
			return p.end(c, nil, err)
		}
		answer.Rebuilt = append(answer.Rebuilt, rebuilt)
	}
	return p.end(c, answer, nil)
}

func noTestClock() error {
	return &rules.Refusal{Code: codeNotFound, Detail: "this server runs on real time; start it with --test-clock"}
}

func getClock(c *call) (reply, error) {
	if c.cfg.TestClock == nil {
		return reply{}, noTestClock()
	}
	return ok(ClockAnswer{Now: c.cfg.TestClock.Now()})
}

func setClock(c *call) (reply, error) {
	if c.cfg.TestClock == nil {
		return reply{}, noTestClock()
	}
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "now")
	at := f.time("now")
	if !f.has("now") {
		f.refuse("now", "this field is required")
	}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	if at.Before(c.cfg.TestClock.Now()) || c.cfg.TestClock.Set(at) != nil {
		return reply{}, invalid("now", "the test clock only moves forward: it shows "+formatTime(c.cfg.TestClock.Now()))
	}
	p := c.progress()
	p.prolong()
	if c.cfg.Advance != nil {
		if err := c.cfg.Advance(c.ctx); err != nil {
			return reply{}, fmt.Errorf("settle what fell due by %s: %w", strconv.Quote(formatTime(at)), err)
		}
	}
	return ok(ClockAnswer{Now: c.cfg.TestClock.Now()})
}
