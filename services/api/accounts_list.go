package api

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

func listAccounts(c *call) (reply, error) {
	limit, err := c.limit()
	if err != nil {
		return reply{}, err
	}
	query := c.r.URL.Query()
	shard, after, err := accountCursor(query.Get("cursor"))
	if err != nil || shard >= len(c.tenant.Shards()) {
		return reply{}, badCursor()
	}
	plan, status, part := query.Get("plan"), query.Get("status"), query.Get("q")
	if status != "" && status != "open" && status != "closed" {
		return reply{}, invalid("status", "open or closed is expected")
	}
	now := c.tenant.Now()
	keep := func(a *credit.Account) bool {
		if !strings.Contains(a.ID(), part) {
			return false
		}
		if due := a.NextDue(); !due.IsZero() && !now.Before(due) {
			rules.Settle(a, c.tenant.Books(), now)
		}
		return (status == "" || status == statusOfAccount(a)) && (plan == "" || plan == a.Plan() || plan == "-" && a.Plan() == "")
	}
	list := AccountList{Accounts: []Account{}}
	for ; shard < len(c.tenant.Shards()); shard, after = shard+1, "" {
		s := c.tenant.Shards()[shard]
		position := accounts.Position{Shard: shard, Sequence: s.Head()}
		page, next, err := s.View().Accounts(after, limit-len(list.Accounts), keep)
		if err != nil {
			return reply{}, err
		}
		for _, a := range page {
			shown, err := c.accountAnswer(a, position.String())
			if err != nil {
				return reply{}, err
			}
			list.Accounts = append(list.Accounts, shown)
		}
		if next != "" {
			list.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%s", shard, next))
			break
		}
		if len(list.Accounts) == limit && shard+1 < len(c.tenant.Shards()) {
			list.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/", shard+1))
			break
		}
	}
	return ok(list)
}

// accountCursor reads "<shard>/<account>": where a page ended.
func accountCursor(s string) (shard int, after string, err error) {
	if s == "" {
		return 0, "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return 0, "", badCursor()
	}
	number, after, _ := strings.Cut(string(text), "/")
	if shard, err = strconv.Atoi(number); err != nil || shard < 0 {
		return 0, "", badCursor()
	}
	return shard, after, nil
}
