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

// snapshot is the pools of the star and of all accounts at one moment.
type snapshot struct {
	when string
	all  int
	star []poolBalance
	sums []poolBalance
}

// takeStock reads the balances of every programme, to be shown in the report.
func (d *demo) takeStock(ctx context.Context, when time.Time) error {
	if d.stock == nil {
		d.stock = make(map[string][]snapshot)
	}
	for _, p := range d.cast {
		all, err := d.allBalances(ctx, p.tenant)
		if err != nil {
			return fmt.Errorf("balances of %s: %w", p.tenant, err)
		}
		shot := snapshot{when: when.Format("2 January"), all: len(all)}
		for _, b := range all {
			if b.Account == p.star {
				shot.star = b.Pools
			}
		}
		if shot.sums, err = sumPools(all); err != nil {
			return fmt.Errorf("balances of %s: %w", p.tenant, err)
		}
		d.stock[p.tenant] = append(d.stock[p.tenant], shot)
	}
	return nil
}

// report shows each tenant's books as its customers and its staff would see them.
func (d *demo) report(ctx context.Context) error {
	for i, p := range d.cast {
		s := d.scenes[i]
		d.head("%s: balances by pool, after the trace and after the renewal", p.tenant)
		d.balances(p.tenant, p.star)
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

// balances prints the pools of the star and of all accounts together, before and after the renewal.
func (d *demo) balances(tenant, star string) {
	g := newGrid("Account", "On", "Pool", "Unit", ">Total", ">Used", ">Held", ">Expired", ">Revoked", ">Frozen", ">Remaining")
	rows := func(who string, shot snapshot, pools []poolBalance) {
		for _, p := range pools {
			g.row(append([]any{who, shot.when, p.Pool, p.Unit}, p.cells()...)...)
		}
	}
	for _, shot := range d.stock[tenant] {
		rows(star, shot, shot.star)
	}
	for _, shot := range d.stock[tenant] {
		rows(fmt.Sprintf("all %d", shot.all), shot, shot.sums)
	}
	g.print(d.out)
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
	printReport(d.out, total)
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
		if r.Groups[i].Units, err = plus(r.Groups[i].Units, group.Units); err != nil {
			return err
		}
	}
	r.Credits, err = plus(r.Credits, other.Credits)
	return err
}
