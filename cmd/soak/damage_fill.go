package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"creditstream/events/journal"
)

// filled is the data directory of several tenants, and what their books say.
type filled struct {
	*driver
	cfg      victimConfig
	dir      string // of all that follows
	log      string
	long     int    // entries of the first tenant
	sound    string // as it was when the server was stopped
	earlier  string // as it was before the last entries
	work     string // what a round damages
	accept   bool   // start as an operator who says that nothing is missing
	tenants  []string
	journals []journal.Name
	secrets  []string // API keys: one that is live, one that was revoked
	// books are the answers to every question, by tenant.
	books map[string]map[string]string
}

// stillAt is the time of all damaged servers: nothing falls due in it.
var stillAt = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

const (
	// perTenant is how many accounts a tenant has.
	perTenant = 6
	// bulk is how many long entries the first tenant has in a long run: several blocks of 8 MiB.
	bulk = 7000
	// together is how many are sent at once.
	together = 1000
)

// fillBooks makes the directory, twice: before and after the last entries. Then it writes down what the books say.
func fillBooks(ctx context.Context, s *session, r *result) (*filled, error) {
	l, err := newPlainLife(s, "books")
	if err != nil {
		return nil, err
	}
	b := &filled{driver: l.driver, dir: l.dir, log: logPath(l.dir), tenants: []string{"one", "two", "three"}, books: make(map[string]map[string]string)}
	b.sound, b.earlier, b.work = filepath.Join(b.dir, "sound"), filepath.Join(b.dir, "earlier"), filepath.Join(b.dir, "work")
	if b.long = bulk; s.rounds < 10 {
		b.long = together
	}
	b.cfg = victimConfig{Data: b.sound, TestClock: stillAt, Reserve: noReserve}
	for i, t := range b.tenants {
		for shard := range i + 1 {
			b.journals = append(b.journals, journal.Name{Tenant: t, Shard: shard})
		}
	}
	for _, phase := range []func(context.Context, string) error{b.furnishAll, b.goOn} {
		server, err := start(ctx, b.cfg, b.log)
		if err != nil {
			return nil, err
		}
		if err := phase(ctx, server.url); err != nil {
			return nil, fmt.Errorf("%w; its log ends with:\n  %s", err, server.lastWords())
		}
		if err := server.stop(); err != nil {
			return nil, err
		}
		if len(b.books) == 0 {
			if err := copyData(b.sound, b.earlier); err != nil {
				return nil, err
			}
		}
	}
	b.record.count(r)
	return b, b.record.close()
}

func (b *filled) path(tenant string) string { return "/v1/tenants/" + tenant }

// furnishAll makes the tenants, their keys and accounts, and the first entries.
func (b *filled) furnishAll(ctx context.Context, url string) error {
	for i, t := range b.tenants {
		if err := b.set(ctx, url, http.MethodPost, "/v1/admin/tenants", fmt.Sprintf(`{"tenant":%q,"shards":%d}`, t, i+1)); err != nil {
			return err
		}
		if err := b.set(ctx, url, http.MethodPut, b.path(t)+"/catalog", catalog); err != nil {
			return err
		}
		for n := range perTenant {
			at := b.path(t) + "/accounts/" + accountName(n)
			if err := b.set(ctx, url, http.MethodPut, at, `{"plan":"pro","metadata":{"name":"somebody"},"approval":{"pin":"482913"}}`); err != nil {
				return err
			}
			if err := b.must(ctx, url, grant, t, n, "/grants", "first", grantBody(fmt.Sprint(1000000+100*i+n))); err != nil {
				return err
			}
		}
		if err := b.entries(ctx, url, t, "early", 30); err != nil {
			return err
		}
	}
	return b.makeKeys(ctx, url, "first")
}

// goOn makes the last entries, ends a key and an account's texts, and writes the books down.
func (b *filled) goOn(ctx context.Context, url string) error {
	if err := b.bulk(ctx, url); err != nil {
		return err
	}
	for _, t := range b.tenants {
		if err := b.entries(ctx, url, t, "late", 30); err != nil {
			return err
		}
		if err := b.set(ctx, url, http.MethodPut, b.path(t)+"/accounts/"+accountName(0), `{"approval":{"pin":"112358"}}`); err != nil {
			return err
		}
		if err := b.set(ctx, url, http.MethodDelete, b.path(t)+"/accounts/"+accountName(1)+"/personal", ""); err != nil {
			return err
		}
	}
	if err := b.makeKeys(ctx, url, "second"); err != nil {
		return err
	}
	return b.writeBooks(ctx, url)
}

// must sends a command that has to be acknowledged.
func (b *filled) must(ctx context.Context, url string, k kind, tenant string, n int, what, key, body string) error {
	account := tenant + "/" + accountName(n)
	q := request{Kind: k, Account: account, Method: http.MethodPost, Key: key, Path: b.path(tenant) + "/accounts/" + accountName(n) + what, Body: body}
	if code := b.send(ctx, url, q); code != "" {
		return fmt.Errorf("%s of %s: %s", k, account, code)
	}
	return nil
}

// entries are a few of each kind.
func (b *filled) entries(ctx context.Context, url, tenant, when string, count int) error {
	for i := range count {
		n, key := i%perTenant, fmt.Sprintf("%s-%d", when, i)
		var err error
		switch i % 5 {
		case 3:
			err = b.must(ctx, url, hold, tenant, n, "/holds", key, `{"meter":"call","quantity":3}`)
		case 4:
			err = b.must(ctx, url, grant, tenant, n, "/grants", key, grantBody("7.5"))
		default:
			err = b.must(ctx, url, usage, tenant, n, "/usage", key, fmt.Sprintf(`{"meter":"call","quantity":%d,"description":"%s of %s, the %d th"}`, i+1, when, tenant, i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bulk makes the first tenant's journal several blocks long.
func (b *filled) bulk(ctx context.Context, url string) error {
	text := strings.Repeat("x", 1000)
	for from := 0; from < b.long; from += together {
		var events []string
		for i := from; i < from+together; i++ {
			events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"bulk-%d","source":"/soak","type":"creditstream.usage","subject":%q,"data":{"meter":"call","quantity":1,"description":%q}}`,
				i, accountName(2+i%(perTenant-2)), text))
		}
		a, err := b.ask(ctx, url, http.MethodPost, b.path(b.tenants[0])+"/events", "", "["+strings.Join(events, ",")+"]")
		if err != nil {
			return err
		}
		if got := strings.Count(string(a.body), `"recorded"`); a.status != http.StatusOK || got != together {
			return fmt.Errorf("of %d events %d were recorded: %d %.200s", together, got, a.status, a.body)
		}
	}
	return nil
}

// makeKeys makes a key of each tenant, and ends the one that was made before.
func (b *filled) makeKeys(ctx context.Context, url, name string) error {
	for _, t := range b.tenants {
		a, err := b.ask(ctx, url, http.MethodGet, "/v1/admin/keys?tenant="+t, "", "")
		if err != nil {
			return err
		}
		var list struct {
			Keys []struct{ ID string }
		}
		if err := json.Unmarshal(a.body, &list); err != nil {
			return fmt.Errorf("list the keys: %w", err)
		}
		for _, key := range list.Keys {
			if err := b.set(ctx, url, http.MethodDelete, "/v1/admin/keys/"+key.ID, ""); err != nil {
				return err
			}
		}
		a, err = b.ask(ctx, url, http.MethodPost, "/v1/admin/keys", "", fmt.Sprintf(`{"tenant":%q,"actor":%q,"scopes":["usage","read"]}`, t, name))
		if err != nil {
			return err
		}
		var made struct{ Key string }
		if err := json.Unmarshal(a.body, &made); err != nil || made.Key == "" {
			return fmt.Errorf("make a key: %d %s (%w)", a.status, a.body, err)
		}
		b.secrets = append(b.secrets, made.Key)
	}
	return nil
}

// writeBooks asks everything once, and keeps the answers.
func (b *filled) writeBooks(ctx context.Context, url string) error {
	for i, t := range b.tenants {
		var names []string
		for n := range perTenant {
			names = append(names, fmt.Sprintf("%q", accountName(n)))
		}
		questions := []string{
			"GET " + b.path(t) + "/events",
			"POST " + b.path(t) + `/balances {"accounts":[` + strings.Join(names, ",") + `]}`,
			"GET /v1/admin/keys?tenant=" + t,
			// Who had a key that was revoked must not come back, and who has one must not be kept out.
			"GET " + b.path(t) + "/accounts#" + b.secrets[i],
			"GET " + b.path(t) + "/accounts#" + b.secrets[len(b.tenants)+i],
		}
		for n := range perTenant {
			at := "GET " + b.path(t) + "/accounts/" + accountName(n)
			questions = append(questions, at, at+"/history?limit=200", at+"/usage?by=meter&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", at+"/lots", at+"/holds")
		}
		b.books[t] = make(map[string]string)
		for _, q := range questions {
			answer, err := b.answer(ctx, url, q)
			if err != nil {
				return fmt.Errorf("write the books down: %s: %w", q, err)
			}
			b.books[t][q] = answer
		}
		if revoked := b.books[t][questions[3]]; revoked != "401" {
			return fmt.Errorf("a revoked key of %s is answered %s", t, revoked)
		}
	}
	return nil
}

// askAs is ask with a key of a tenant; "" asks as the operator.
func (b *filled) askAs(ctx context.Context, url, method, path, body, bearer string) (answer, error) {
	if bearer == "" {
		return b.ask(ctx, url, method, path, "", body)
	}
	r, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	return b.do(r)
}
