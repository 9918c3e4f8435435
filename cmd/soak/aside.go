package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// aside is what was acknowledged beside the journal: in the streams CREDENTIALS (keys, and that they were revoked) and
// PERSONAL (texts that can be read, and that they were erased). What had no answer is not in it. It may be used
// concurrently.
type aside struct {
	mu      sync.Mutex
	live    []string // API keys
	revoked []string
	texts   []string // accounts with a text
	erased  []string // accounts whose text was erased
}

// asideChecked is how many of each list are looked at when the books are closed: the newest, and as many by chance.
const asideChecked = 25

func (a *aside) add(list *[]string, item string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*list = append(*list, item)
}

// some are the newest of a list, and others by chance.
func (a *aside) some(list *[]string, rng *rand.Rand) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := *list
	newest := slices.Clone(all[max(0, len(all)-asideChecked):])
	for range min(asideChecked, len(all)-len(newest)) {
		newest = append(newest, all[rng.IntN(len(all))])
	}
	return newest
}

// count adds what was acknowledged to a result.
func (a *aside) count(to *result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, list := range map[kind][]string{"key": a.live, "revocation": a.revoked, "text": a.texts, "erasure": a.erased} {
		to.Acknowledged += len(list)
		to.ByKind[name] += len(list)
	}
}

// besides sends, until ctx ends, what is not for the journal, and usage that waits in the intake.
func (d *driver) besides(ctx context.Context, url, natsURL string, rng *rand.Rand) {
	var js jetstream.JetStream
	if nc, err := nats.Connect(natsURL, nats.NoReconnect()); err == nil && d.feeds {
		defer nc.Close()
		js, _ = jetstream.New(nc) // of a connection without options there is no error
	}
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("aside-r%d-%d", d.round, n)
		switch n % 4 {
		case 0:
			d.keyed(ctx, url, name, rng.IntN(2) == 0)
		case 1:
			d.written(ctx, url, name, rng.IntN(2) == 0)
		default:
			if js != nil {
				d.feed(ctx, js, name, rng)
			}
		}
	}
}

// keyed makes a key, and perhaps ends it.
func (d *driver) keyed(ctx context.Context, url, actor string, revoke bool) {
	a, err := d.ask(ctx, url, http.MethodPost, "/v1/admin/keys", "", fmt.Sprintf(`{"tenant":%q,"actor":%q,"scopes":["read"]}`, tenant, actor))
	var made struct{ ID, Key string }
	if err != nil || a.status != http.StatusCreated || json.Unmarshal(a.body, &made) != nil {
		return
	}
	if !revoke {
		d.aside.add(&d.aside.live, made.Key)
		return
	}
	if d.set(ctx, url, http.MethodDelete, "/v1/admin/keys/"+made.ID, "") == nil {
		d.aside.add(&d.aside.revoked, made.Key)
	}
}

// written opens an account with a text, and perhaps erases it.
func (d *driver) written(ctx context.Context, url, account string, erase bool) {
	path := base + "/accounts/" + account
	if d.set(ctx, url, http.MethodPut, path, `{"metadata":{"name":"somebody"}}`) != nil {
		return
	}
	if !erase {
		d.aside.add(&d.aside.texts, path)
		return
	}
	if d.set(ctx, url, http.MethodDelete, path+"/personal", "") == nil {
		d.aside.add(&d.aside.erased, path)
	}
}

// feed publishes a use to the intake. The stream's own acknowledgement is the promise.
func (d *driver) feed(ctx context.Context, js jetstream.JetStream, key string, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	q := request{Kind: fed, Account: accountName(rng.IntN(rich)), Key: key}
	q.Body = fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/soak","type":"creditstream.usage","subject":%q,"data":{"meter":"call","quantity":1}}`, q.Key, q.Account)
	if _, err := js.Publish(ctx, "intake."+tenant+".usage", []byte(q.Body)); err == nil {
		_ = d.record.acknowledge(q, "") // what cannot be written down is not compared
	}
}

// drainWithin is how long usage of the intake may take to be recorded after a start.
const drainWithin = time.Minute

// awaitFed waits until the journal has what the intake acknowledged. What is still missing then is lost: it
// must not be sent again before it is counted.
func (d *driver) awaitFed(ctx context.Context, url string, since int) error {
	d.record.mu.Lock()
	want := make(map[string]bool)
	for _, id := range d.record.order[since:] {
		if d.record.acked[id].Kind == fed {
			want[id] = true
		}
	}
	d.record.mu.Unlock()
	for late := time.Now().Add(drainWithin); len(want) > 0 && time.Now().Before(late); {
		found, _, err := d.readJournal(ctx, url)
		if err != nil {
			return err
		}
		for id := range want {
			if _, there := found[id]; there {
				delete(want, id)
			}
		}
		if len(want) > 0 {
			time.Sleep(200 * time.Millisecond)
		}
	}
	return nil
}

// compareAside asks for keys and texts.
func (d *driver) compareAside(ctx context.Context, url string, rng *rand.Rand, r *result) error {
	for _, c := range []struct {
		list   *[]string
		what   string
		stands func(item string) (bool, error)
	}{
		{&d.aside.live, "an API key that was made is not taken", func(key string) (bool, error) { return d.opens(ctx, url, key) }},
		{&d.aside.revoked, "an API key that was revoked is taken", func(key string) (bool, error) {
			taken, err := d.opens(ctx, url, key)
			return !taken, err
		}},
		{&d.aside.texts, "a text cannot be read", func(path string) (bool, error) { return d.reads(ctx, url, path) }},
		{&d.aside.erased, "an erased text can be read", func(path string) (bool, error) {
			read, err := d.reads(ctx, url, path)
			return !read, err
		}},
	} {
		for _, item := range d.aside.some(c.list, rng) {
			ok, err := c.stands(item)
			if err != nil {
				return err
			}
			if !ok {
				r.Lost++
				r.problem("%s: %s", c.what, item)
			}
		}
	}
	return nil
}

// opens reports whether a key is taken.
func (d *driver) opens(ctx context.Context, url, key string) (bool, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+base+"/accounts/"+accountName(0), nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	a, err := d.do(r)
	if err == nil && a.status != http.StatusOK && a.status != http.StatusUnauthorized {
		err = fmt.Errorf("use a key: %d %s", a.status, a.body)
	}
	return a.status == http.StatusOK, err
}

// reads reports whether an account's text can be read.
func (d *driver) reads(ctx context.Context, url, path string) (bool, error) {
	a, err := d.ask(ctx, url, http.MethodGet, path, "", "")
	var account struct {
		Metadata map[string]string
	}
	if err == nil {
		err = json.Unmarshal(a.body, &account)
	}
	if err == nil && a.status != http.StatusOK {
		err = errors.New(string(a.body))
	}
	if err != nil {
		return false, fmt.Errorf("read the text of %s: %w", path, err)
	}
	return account.Metadata["name"] == "somebody", nil
}
