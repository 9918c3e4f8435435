package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"creditstream/services/api"
	"creditstream/services/rules"
)

// accountPage is what all pages of one account show.
type accountPage struct {
	api.Account
	Tab     string
	Tabs    []link
	Done    string // what was done just now
	Now     time.Time
	Catalog *rules.Catalog // in force; nil where there is none

	Balance   *api.Balance
	Lots      []api.Lot
	MoreLots  string
	History   *api.History
	Filter    url.Values
	Purchases *api.Purchases
	Holds     *api.Holds
}

// Path is where the account's pages are.
func (p *accountPage) Path() string { return p.Tabs[0].Path }

// PoolName is what the catalog calls a pool.
func (p *accountPage) PoolName(id string) string {
	if p.Catalog != nil && p.Catalog.Pools[id] != nil && p.Catalog.Pools[id].Name != "" {
		return p.Catalog.Pools[id].Name
	}
	return id
}

// dones are what an action says once it is done.
var dones = map[string]string{
	"granted": "The credits were granted.", "revoked": "What was left of the lot was taken back.", "reversed": "The usage was taken back, to the lots that paid it.",
}

// openAccount reads the account of the path.
func (v *visit) openAccount(tab string) (*accountPage, error) {
	p := &accountPage{Tab: tab, Now: v.tenant.Now(), Catalog: v.tenant.Books().Current(), Done: dones[v.r.URL.Query().Get("done")]}
	if err := v.ask(get(v.ofAccount(), nil), &p.Account); err != nil {
		return nil, err
	}
	base := home + "/t/" + v.tenant.Name() + "/accounts/" + url.PathEscape(p.Account.Account)
	for _, t := range [...]struct{ name, path string }{
		{"Balance", ""}, {"History", "/history"}, {"Explain", "/explain"}, {"Purchases", "/purchases"}, {"Holds", "/holds"},
	} {
		p.Tabs = append(p.Tabs, link{Name: t.name, Path: base + t.path, Current: t.name == tab})
	}
	return p, nil
}

func (v *visit) writeAccount(name string, p *accountPage) error {
	return v.write(http.StatusOK, name, p.Account.Account+" · "+p.Tab, p)
}

// account is the balance, and the lots that it is the sum of.
func (v *visit) account() error {
	p, err := v.openAccount("Balance")
	if err != nil {
		return err
	}
	p.Balance = new(api.Balance)
	if err := v.ask(get(v.ofAccount("balance"), nil), p.Balance); err != nil {
		return err
	}
	var lots api.Lots
	ask := pick(v.r.URL.Query(), "cursor")
	if err := v.ask(get(v.ofAccount("lots"), ask), &lots); err != nil {
		return err
	}
	p.Lots, p.MoreLots = lots.Lots, lots.Next
	return v.writeAccount("account", p)
}

func (v *visit) history() error {
	p, err := v.openAccount("History")
	if err != nil {
		return err
	}
	p.Filter = pick(v.r.URL.Query(), "meter", "type", "pool", "from", "to", "cursor")
	if p.History, err = v.lines(p.Filter, "50"); err != nil {
		return err
	}
	return v.writeAccount("history", p)
}

// lines asks for a page of the history. Dates are taken as whole days in UTC.
func (v *visit) lines(filter url.Values, limit string) (*api.History, error) {
	ask := pick(filter, "meter", "type", "pool", "from", "to", "cursor")
	ask.Set("limit", limit)
	for _, name := range [...]string{"from", "to"} {
		if at, err := time.Parse(time.DateOnly, ask.Get(name)); err == nil {
			if name == "to" {
				at = at.AddDate(0, 0, 1)
			}
			ask.Set(name, at.Format(time.RFC3339))
		}
	}
	history := new(api.History)
	return history, v.ask(get(v.ofAccount("history"), ask), history)
}

func (v *visit) purchases() error {
	p, err := v.openAccount("Purchases")
	if err != nil {
		return err
	}
	p.Filter = pick(v.r.URL.Query(), "cursor")
	p.Purchases = new(api.Purchases)
	if err := v.ask(get(v.ofAccount("purchases"), pick(p.Filter, "cursor")), p.Purchases); err != nil {
		return err
	}
	return v.writeAccount("purchases", p)
}

func (v *visit) holds() error {
	p, err := v.openAccount("Holds")
	if err != nil {
		return err
	}
	p.Filter = pick(v.r.URL.Query(), "cursor")
	p.Holds = new(api.Holds)
	if err := v.ask(get(v.ofAccount("holds"), pick(p.Filter, "cursor")), p.Holds); err != nil {
		return err
	}
	return v.writeAccount("holds", p)
}

// newFormKey is an idempotency key for a form that was just made.
func newFormKey() string { return uuid.Must(uuid.NewV7()).String() }
