package console

import (
	"net/http"
	"net/url"

	"creditstream/services/api"
	"creditstream/services/rules"
)

// accountRow is one account in the list.
type accountRow struct {
	api.Account
	Remaining, Debt string // "" when not known
}

// accountsPage is a page of the accounts of a tenant.
type accountsPage struct {
	Rows  []accountRow
	Q     url.Values // the filter
	Next  string
	First bool
	Plans []*rules.Plan
}

func (v *visit) accounts() error {
	filter := pick(v.r.URL.Query(), "q", "plan", "status", "cursor")
	ask := pick(filter, "q", "plan", "status", "cursor")
	ask.Set("limit", "50")
	var list api.AccountList
	if err := v.ask(get(v.of("accounts"), ask), &list); err != nil {
		return err
	}
	data := accountsPage{Q: filter, Next: list.Next, First: filter.Get("cursor") == ""}
	if catalog := v.tenant.Books().Current(); catalog != nil {
		data.Plans = catalog.PlanOrder
	}
	var err error
	if data.Rows, err = v.withBalances(list.Accounts); err != nil {
		return err
	}
	return v.write(http.StatusOK, "accounts", "Accounts", data)
}

// withBalances says what remains to each account.
func (v *visit) withBalances(list []api.Account) ([]accountRow, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var ask api.BalancesRequest
	for i := range list {
		ask.Accounts = append(ask.Accounts, list[i].Account)
	}
	var answer struct{ Balances []api.Balance }
	if err := v.ask(post(v.of("balances"), "", ask), &answer); err != nil {
		return nil, err
	}
	rows := make([]accountRow, len(list))
	for i := range list {
		rows[i].Account = list[i]
		if i < len(answer.Balances) && answer.Balances[i].Account == list[i].Account {
			rows[i].Remaining, rows[i].Debt = answer.Balances[i].Remaining, answer.Balances[i].Debt
		}
	}
	return rows, nil
}

// pick takes the named values that are there.
func pick(from url.Values, names ...string) url.Values {
	picked := make(url.Values)
	for _, name := range names {
		if value := from.Get(name); value != "" {
			picked.Set(name, value)
		}
	}
	return picked
}
