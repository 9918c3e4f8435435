package api

import (
	"strconv"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
)

// The bounds of a page of a list (API.md "Lists").
const (
	defaultLimit = 100
	maxLimit     = 1000
)

var listParams = []param{
	{"cursor", "string", "`next` of the page before."},
	{"limit", "integer", "How many at most; default 100, at most 1,000."},
}

// limit reads the limit of a list.
func (c *call) limit() (int, error) { return c.intParam("limit", 1, maxLimit, defaultLimit) }

// pageOf cuts a page out of a list in the order of ordinals, which are the cursor.
func pageOf[T any](c *call, all []T, ordinal func(T) uint64) (page []T, next string, err error) {
	limit, err := c.limit()
	if err != nil {
		return nil, "", err
	}
	after := uint64(0)
	if cursor := c.r.URL.Query().Get("cursor"); cursor != "" {
		if after, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", badCursor()
		}
	}
	for len(all) > 0 && ordinal(all[0]) <= after {
		all = all[1:]
	}
	if len(all) > limit {
		all = all[:limit]
		next = strconv.FormatUint(ordinal(all[limit-1]), 10)
	}
	return all, next, nil
}

func badCursor() error { return invalid("cursor", "this is not a cursor that this list gave out") }

// existing reads the account of the path, after min_position, or refuses with unknown_account.
func (c *call) existing() (*credit.Account, time.Time, accounts.Position, error) {
	if err := c.waitForMinPosition(); err != nil {
		return nil, time.Time{}, accounts.Position{}, err
	}
	a, now, at, err := c.tenant.Account(c.account)
	if err == nil && !a.Exists() {
		err = unknownAccount(c.account)
	}
	return a, now, at, err
}
