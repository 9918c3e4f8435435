package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	tenant  = "soak"
	base    = "/v1/tenants/" + tenant
	rich    = 12 // accounts with credits for ever
	poor    = 4  // accounts that are always asked for more than they have
	clients = 8
	// answerWithin is how long an answer may take before it counts as unknown.
	answerWithin = 10 * time.Second
	// closeWithin is the same while the books are closed, on a machine that may have much else to do.
	closeWithin = 5 * time.Minute
)

// catalog is what the soaked tenant sells: nothing is owed, and nothing ends during a run.
const catalog = `
name: Soak
timezone: UTC
currency: USD
scale: 2
meters:
  call: {price: 1}
  page: {price: 1, per: 2, rounding: exact}
pools:
  quota: {priority: 10, unit: page, expires: cycle_end}
  bought: {priority: 20, expires: 12 months}
without_plan: {purchase: true, grants: all}
plans:
  pro: {rank: 1, meters: all, allowances: {quota: 300}, purchase: true, grants: all}
packs:
  small: {price: 5, credits: 50, pool: bought}
debt: off
`

// kind is a kind of command of the load.
type kind string

// The kinds of command.
const (
	usage    kind = "usage"
	event    kind = "event" // usage as a CloudEvent
	hold     kind = "hold"
	capture  kind = "capture"
	release  kind = "release"
	grant    kind = "grant"
	purchase kind = "purchase"
	reverse  kind = "reverse"
	fed      kind = "intake" // usage that JetStream acknowledged and the server records later
)

func accountName(i int) string { return fmt.Sprintf("account-%02d", i) }

func accountNames() []string {
	names := make([]string, rich+poor)
	for i := range names {
		names[i] = accountName(i)
	}
	return names
}

// driver sends commands to a server and keeps the record of its answers.
type driver struct {
	http   *http.Client
	record *record
	aside  *aside
	feeds  bool // usage to the intake, too
	round  int
	trace  uint64 // of random choices
}

func newDriver(rec *record, seed uint64) *driver {
	return &driver{
		http:   &http.Client{Timeout: closeWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}},
		record: rec, aside: new(aside), feeds: true, trace: seed,
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (d *driver) ask(ctx context.Context, url, method, path, key, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	switch {
	case strings.HasSuffix(path, "/events") && method == http.MethodPost:
		r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	case strings.HasSuffix(path, "/catalog"):
		r.Header.Set("Content-Type", "application/yaml")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return d.do(r)
}

func (d *driver) do(r *http.Request) (answer, error) {
	response, err := d.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, text}, err
}

// set is ask where only success will do.
func (d *driver) set(ctx context.Context, url, method, path, body string) error {
	a, err := d.ask(ctx, url, method, path, "", body)
	if err == nil && a.status >= 300 {
		err = fmt.Errorf("%d %s", a.status, a.body)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// furnish makes the tenant and its accounts. Doing it again changes nothing.
func (d *driver) furnish(ctx context.Context, url string) error {
	if err := d.set(ctx, url, http.MethodPost, "/v1/admin/tenants", `{"tenant":"`+tenant+`"}`); err != nil {
		return err
	}
	if err := d.set(ctx, url, http.MethodPut, base+"/catalog", catalog); err != nil {
		return err
	}
	for i, name := range accountNames() {
		if err := d.set(ctx, url, http.MethodPut, base+"/accounts/"+name, `{"plan":"pro"}`); err != nil {
			return err
		}
		credits := "1000000"
		if i >= rich {
			credits = "30"
		}
		q := request{Kind: grant, Account: name, Method: http.MethodPost, Path: base + "/accounts/" + name + "/grants", Key: "first", Body: grantBody(credits)}
		if code := d.send(ctx, url, q); code != "" {
			return fmt.Errorf("give account %s its first credits: %s", name, code)
		}
	}
	return nil
}

func grantBody(credits string) string {
	return `{"pool":"bought","credits":"` + credits + `","reason":"soak"}`
}

// load sends commands from many clients until ctx ends.
func (d *driver) load(ctx context.Context, server *server) {
	var running sync.WaitGroup
	url := server.url
	running.Go(func() { d.besides(ctx, url, server.nats, rand.New(rand.NewPCG(d.trace, uint64(d.round)<<32))) })
	for i := range clients {
		c := &client{driver: d, url: url, rng: rand.New(rand.NewPCG(d.trace, uint64(d.round*clients+i))), name: fmt.Sprintf("r%d-c%d", d.round, i)}
		running.Go(func() { c.run(ctx) })
	}
	running.Wait()
}

// client is one of those who send.
type client struct {
	*driver
	url  string
	name string
	rng  *rand.Rand
	sent int
	mine []request // acknowledged, to be repeated
	open []request // holds that can be captured or released
}

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.step(ctx)
	}
}

// step sends one command, by chance.
func (c *client) step(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	account := accountName(c.rng.IntN(rich + poor))
	path := base + "/accounts/" + account
	q := request{Account: account, Method: http.MethodPost, Key: c.key()}
	switch n := c.rng.IntN(100); {
	case n < 50:
		q.Kind, q.Path, q.Body = usage, path+"/usage", c.usageBody()
	case n < 65:
		c.batch(ctx)
		return
	case n < 73:
		q.Kind, q.Path, q.Body = hold, path+"/holds", `{"meter":"call","quantity":`+fmt.Sprint(1+c.rng.IntN(5))+`}`
	case n < 79:
		c.close(ctx)
		return
	case n < 83:
		q.Kind, q.Path, q.Body = grant, path+"/grants", grantBody("7.5")
	case n < 87:
		c.buy(ctx, q, path)
		return
	case n < 92:
		c.takeBack(ctx)
		return
	default:
		if len(c.mine) == 0 {
			return
		}
		q = c.mine[c.rng.IntN(len(c.mine))]
	}
	code := c.send(ctx, c.url, q)
	c.keep(q, code)
	c.rest(ctx, code)
}

// rest waits a little after a command that has no outcome: a server that refuses all would be asked for nothing else, and
// everything is asked again when the books are closed.
func (c *client) rest(ctx context.Context, code string) {
	if code != "unknown" {
		return
	}
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
}

// key makes a new key: some sort by time, some do not, and the server looks them up in different ways.
func (c *client) key() string {
	c.sent++
	if c.rng.IntN(2) == 0 {
		return uuid.Must(uuid.NewV7()).String()
	}
	return fmt.Sprintf("%s-%d", c.name, c.sent)
}

func (c *client) usageBody() string {
	meter := "call"
	if c.rng.IntN(3) == 0 {
		meter = "page"
	}
	// Some are long: commits of many sizes, and several blocks of the journal in a run.
	return fmt.Sprintf(`{"meter":%q,"quantity":%d,"description":%q}`, meter, 1+c.rng.IntN(3), strings.Repeat("x", c.rng.IntN(4)*c.rng.IntN(300)))
}

// keep remembers what was acknowledged.
func (c *client) keep(q request, code string) {
	if code != "" {
		return
	}
	if c.mine = append(c.mine, q); len(c.mine) > 200 {
		c.mine = c.mine[100:]
	}
	if q.Kind == hold {
		c.open = append(c.open, q)
	}
}

// batch sends several uses as CloudEvents, the last of them twice.
func (c *client) batch(ctx context.Context) {
	var all []request
	for range 1 + c.rng.IntN(5) {
		q := request{Kind: event, Account: accountName(c.rng.IntN(rich + poor)), Method: http.MethodPost, Path: base + "/events", Key: c.key()}
		data := c.usageBody()
		q.Body = fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/soak","type":"creditstream.usage","subject":%q,"data":%s}`, q.Key, q.Account, data)
		all = append(all, q)
	}
	all = append(all, all[len(all)-1])
	c.rest(ctx, c.sendEvents(ctx, c.url, all)[0])
}

// close captures or releases a hold, sometimes one that is closed already.
func (c *client) close(ctx context.Context) {
	if len(c.open) == 0 {
		return
	}
	h := c.open[c.rng.IntN(len(c.open))]
	q := request{Kind: release, Account: h.Account, Method: http.MethodPost, Key: c.key()}
	c.record.mu.Lock()
	text := c.record.acked[h.id()].Answer
	c.record.mu.Unlock()
	var placed struct{ Hold string }
	if json.Unmarshal([]byte(text), &placed) != nil {
		return
	}
	q.Path = base + "/accounts/" + h.Account + "/holds/" + placed.Hold + "/release"
	if c.rng.IntN(2) == 0 {
		q.Kind, q.Path, q.Body = capture, strings.TrimSuffix(q.Path, "release")+"capture", `{"quantity":1}`
	}
	c.keep(q, c.send(ctx, c.url, q))
}

// buy asks for a pack and pays for it.
func (c *client) buy(ctx context.Context, q request, path string) {
	q.Kind, q.Path, q.Body = purchase, path+"/purchases", `{"pack":"small"}`
	if c.send(ctx, c.url, q) != "" {
		return
	}
	c.record.mu.Lock()
	text := c.record.acked[q.id()].Answer
	c.record.mu.Unlock()
	var asked struct{ Purchase string }
	if json.Unmarshal([]byte(text), &asked) != nil {
		return
	}
	if c.set(ctx, c.url, http.MethodPost, base+"/payments/sandbox/"+asked.Purchase+"/succeed", "") == nil {
		c.record.settled(path + "/purchases/" + asked.Purchase)
	}
}

// takeBack reverses a use.
func (c *client) takeBack(ctx context.Context) {
	for range 5 {
		if len(c.mine) == 0 {
			return
		}
		of := c.mine[c.rng.IntN(len(c.mine))]
		if of.Kind != usage {
			continue
		}
		q := request{Kind: reverse, Account: of.Account, Method: http.MethodPost, Key: c.key(), Path: base + "/accounts/" + of.Account + "/usage/" + of.Key + "/reverse", Body: `{"reason":"soak"}`}
		c.keep(q, c.send(ctx, c.url, q))
		return
	}
}

// send sends a command, notes what came of it, and returns why it was not acknowledged, or "".
func (d *driver) send(ctx context.Context, url string, q request) string {
	if q.Kind == event {
		return d.sendEvents(ctx, url, []request{q})[0]
	}
	d.record.doubt(q)
	a, err := d.ask(ctx, url, q.Method, q.Path, q.Key, q.Body)
	switch {
	case err != nil:
		return "unknown"
	case a.status < 300:
		if err := d.record.acknowledge(q, essence(q.Kind, a.body)); err != nil {
			return err.Error()
		}
		return ""
	}
	var problem struct{ Code string }
	if a.status >= 500 || json.Unmarshal(a.body, &problem) != nil {
		return "unknown"
	}
	d.record.refuse(q, problem.Code)
	return problem.Code
}

// sendEvents sends CloudEvents as one batch.
func (d *driver) sendEvents(ctx context.Context, url string, all []request) []string {
	codes := make([]string, len(all))
	bodies := make([]string, len(all))
	for i, q := range all {
		d.record.doubt(q)
		codes[i], bodies[i] = "unknown", q.Body
	}
	a, err := d.ask(ctx, url, http.MethodPost, base+"/events", "", "["+strings.Join(bodies, ",")+"]")
	var results struct{ Results []json.RawMessage }
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &results) != nil || len(results.Results) != len(all) {
		return codes
	}
	for i, text := range results.Results {
		var one struct{ Status, Code string }
		if json.Unmarshal(text, &one) != nil {
			continue
		}
		switch one.Status {
		case "recorded":
			if codes[i] = ""; d.record.acknowledge(all[i], essence(event, text)) != nil {
				codes[i] = "not recorded"
			}
		case "refused":
			codes[i] = one.Code
			d.record.refuse(all[i], one.Code)
		}
	}
	return codes
}

// essence is what of an answer has to be the same when its request is repeated: all but that it is a
// repetition, and of a purchase what does not move on by itself.
func essence(k kind, body []byte) string {
	var all map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		return string(body)
	}
	delete(all, "replayed")
	if k == purchase {
		for name := range all {
			if name != "purchase" && name != "credits" && name != "price" && name != "pool" {
				delete(all, name)
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return string(body)
	}
	return string(text)
}
