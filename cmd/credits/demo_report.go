package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"creditstream/events/credit"
)

// historyLines is the length of the page of history that the demo shows.
const historyLines = 12

// scale is that of the three catalogs: six decimals.
const scale = 6

// report shows each tenant's books as its customers and its staff would see them.
func (d *demo) report(ctx context.Context) error {
	for i, p := range d.cast {
		s := d.scenes[i]
		d.head("%s: balances by pool", p.tenant)
		if err := d.balances(ctx, p.tenant, p.star); err != nil {
			return fmt.Errorf("balances of %s: %w", p.tenant, err)
		}
		var page history
		s.must(s.client, request{
			method: http.MethodGet, path: s.at(p.star, "history"), query: map[string][]string{"limit": {strconv.Itoa(historyLines)}},
		}, &page)
		if s.err != nil {
			return fmt.Errorf("history of %s: %w", p.star, s.err)
		}
		d.head("%s: the last lines in the history of %s, and the lots that paid", p.tenant, p.star)
		printHistory(d.out, page.Entries)
		d.head("%s: consumption per meter, all accounts, %s to %s", p.tenant, firstDay.Format("2 January 2006"), renewal.Format("2 January 2006"))
		if err := d.consumption(ctx, p.tenant); err != nil {
			return fmt.Errorf("consumption of %s: %w", p.tenant, err)
		}
	}
	return nil
}

// accounts lists all accounts of a tenant.
func (d *demo) accounts(ctx context.Context, tenant string) ([]string, error) {
	var names []string
	cursor := ""
	for {
		query := map[string][]string{"limit": {"1000"}}
		if cursor != "" {
			query["cursor"] = []string{cursor}
		}
		var page struct {
			Accounts []account `json:"accounts"`
			Next     string    `json:"next"`
		}
		if _, err := d.client.send(ctx, request{method: http.MethodGet, path: tenantPath(tenant, "accounts"), query: query}, &page); err != nil {
			return nil, err
		}
		for _, one := range page.Accounts {
			names = append(names, one.Account)
		}
		if cursor = page.Next; cursor == "" {
			return names, nil
		}
	}
}

// allBalances reads the balance of every account of a tenant.
func (d *demo) allBalances(ctx context.Context, tenant string) ([]balance, error) {
	names, err := d.accounts(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Balances []balance `json:"balances"`
	}
	_, err = d.client.send(ctx, request{
		method: http.MethodPost, path: tenantPath(tenant, "balances"),
		body: map[string][]string{"accounts": names}, repeatable: true,
	}, &answer)
	return answer.Balances, err
}

// balances prints the pools of the star and of all accounts together.
func (d *demo) balances(ctx context.Context, tenant, star string) error {
	all, err := d.allBalances(ctx, tenant)
	if err != nil {
		return err
	}
	sums, err := sumPools(all)
	if err != nil {
		return err
	}
	g := newGrid("Account", "Pool", "Unit", ">Total", ">Used", ">Held", ">Expired", ">Revoked", ">Frozen", ">Remaining")
	for _, b := range all {
		if b.Account != star {
			continue
		}
		for _, p := range b.Pools {
			g.row(append([]any{star, p.Pool, p.Unit}, p.cells()...)...)
		}
	}
	for _, p := range sums {
		g.row(append([]any{fmt.Sprintf("all %d", len(all)), p.Pool, p.Unit}, p.cells()...)...)
	}
	g.print(d.out)
	return nil
}

// sumPools adds up the pools of many balances, each term for itself.
func sumPools(all []balance) ([]poolBalance, error) {
	var sums []poolBalance
	for _, b := range all {
		for _, p := range b.Pools {
			i := slices.IndexFunc(sums, func(sum poolBalance) bool { return sum.Pool == p.Pool })
			if i < 0 {
				sums = append(sums, poolBalance{Pool: p.Pool, Unit: p.Unit, terms: p.terms})
				continue
			}
			for _, term := range [][2]*string{
				{&sums[i].Total, &p.Total}, {&sums[i].Used, &p.Used}, {&sums[i].Held, &p.Held}, {&sums[i].Expired, &p.Expired},
				{&sums[i].Revoked, &p.Revoked}, {&sums[i].Frozen, &p.Frozen}, {&sums[i].Remaining, &p.Remaining},
			} {
				sum, err := plus(*term[0], *term[1])
				if err != nil {
					return nil, fmt.Errorf("pool %s of %s: %w", p.Pool, b.Account, err)
				}
				*term[0] = sum
			}
		}
	}
	return sums, nil
}

// plus adds two decimal strings exactly.
func plus(a, b string) (string, error) {
	x, err := credit.ParseAmount(a, scale)
	if err != nil {
		return "", err
	}
	y, err := credit.ParseAmount(b, scale)
	if err != nil {
		return "", err
	}
	sum, err := x.Add(y)
	return sum.Format(scale), err
}

// consumption prints what all accounts of a tenant used in the month of the trace, by meter.
func (d *demo) consumption(ctx context.Context, tenant string) error {
	names, err := d.accounts(ctx, tenant)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	total := usageReport{Credits: "0"}
	err = inParallel(names, func(account string) error {
		var one usageReport
		_, err := d.client.send(ctx, request{
			method: http.MethodGet, path: tenantPath(tenant, "accounts", account, "usage"),
			query: map[string][]string{
				"by": {"meter"}, "from": {firstDay.Format(time.RFC3339)}, "to": {renewal.Format(time.RFC3339)},
			},
		}, &one)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return total.add(one)
	})
	if err != nil {
		return err
	}
	slices.SortFunc(total.Groups, func(a, b usageGroup) int { return strings.Compare(a.Meter, b.Meter) })
	g := newGrid("Meter", ">Quantity", ">Credits")
	for _, group := range total.Groups {
		g.row(group.Meter, count(group.Quantity), grouped(group.Credits))
	}
	g.footer("all", "", grouped(total.Credits))
	g.print(d.out)
	return nil
}

// add adds another report's groups to those of the same meter.
func (r *usageReport) add(other usageReport) (err error) {
	for _, group := range other.Groups {
		i := slices.IndexFunc(r.Groups, func(g usageGroup) bool { return g.Meter == group.Meter })
		if i < 0 {
			r.Groups = append(r.Groups, group)
			continue
		}
		r.Groups[i].Quantity += group.Quantity
		if r.Groups[i].Credits, err = plus(r.Groups[i].Credits, group.Credits); err != nil {
			return err
		}
	}
	r.Credits, err = plus(r.Credits, other.Credits)
	return err
}
