package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"creditstream/services/node"
)

// site is a running node as somebody outside of it sees it: an address, a tenant, a key or none, and a
// clock that may be moved. Everything the tests of this file's users know comes over HTTP or NATS.
type site struct {
	http, nats, tenant, key string
}

// open runs a node with the three shipped catalogs whose clock stands at now, until the test ends. Each test
// has a node, and so a clock, of its own: they run beside each other.
func open(t *testing.T, now string, change ...func(*node.Config)) site {
	t.Helper()
	t.Parallel()
	cfg := node.Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0",
		Catalogs: "../../deploy/catalogs", Dev: true, TestClock: instant(t, now),
	}
	for _, c := range change {
		c(&cfg)
	}
	n, err := node.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return site{http: n.HTTP(), nats: n.NATS()}
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// of is the same site for one tenant, as its operator.
func (s site) of(tenant string) site { s.tenant = tenant; return s }

// as is the same site for somebody who holds key.
func (s site) as(key string) site { s.key = key; return s }

// clock moves the test clock.
func (s site) clock(t *testing.T, now string) {
	t.Helper()
	s.as("").post(t, "/v1/admin/test-clock", `{"now":"`+now+`"}`).is(t, 200)
}

// tick moves the test clock on by d and says where it stands.
func (s site) tick(t *testing.T, d time.Duration) string {
	t.Helper()
	now := instant(t, s.as("").get(t, "/v1/admin/test-clock").is(t, 200).text("now")).Add(d).Format(time.RFC3339Nano)
	s.clock(t, now)
	return now
}

func (s site) get(t *testing.T, path string) answer {
	t.Helper()
	return s.send(t, http.MethodGet, path, "", nil)
}

func (s site) put(t *testing.T, path, body string) answer {
	t.Helper()
	return s.send(t, http.MethodPut, path, body, nil)
}

// post sends body; a key, if there is one, goes as the Idempotency-Key.
func (s site) post(t *testing.T, path, body string, key ...string) answer {
	t.Helper()
	h := http.Header{}
	if len(key) > 0 {
		h.Set("Idempotency-Key", key[0])
	}
	return s.send(t, http.MethodPost, path, body, h)
}

// send does one request. A path that starts with a slash is the server's, any other the tenant's.
func (s site) send(t *testing.T, method, path, body string, header http.Header) answer {
	t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/v1/tenants/" + s.tenant + "/" + path
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		r.Header[name] = values
	}
	if s.key != "" {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{request: method + " " + path + " " + shorten(body), status: response.StatusCode, header: response.Header, raw: text}
	a.decode()
	return a
}

func shorten(s string) string { return s[:min(len(s), 300)] }

// answer is what came back.
type answer struct {
	request string
	status  int
	header  http.Header
	raw     []byte
	body    any
}

func (a *answer) decode() {
	d := json.NewDecoder(bytes.NewReader(a.raw))
	d.UseNumber()
	if d.Decode(&a.body) != nil {
		a.body = nil
	}
}

func (a answer) String() string {
	return fmt.Sprintf("%s\n  answered %d %s", a.request, a.status, shorten(string(a.raw)+" ")+tail(a.raw))
}

func tail(b []byte) string {
	if len(b) <= 300 {
		return ""
	}
	return string(b[300:min(len(b), 2500)])
}

func (a answer) is(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%v\n  want %d", a, status)
	}
	return a
}

// refused demands a problem with this status and code, in the form of RFC 9457.
func (a answer) refused(t *testing.T, status int, code string) answer {
	t.Helper()
	if a.status != status || a.text("code") != code {
		t.Fatalf("%v\n  want %d %s", a, status, code)
	}
	if kind := a.header.Get("Content-Type"); a.header != nil && kind != "application/problem+json" {
		t.Errorf("%v\n  has content type %q", a, kind)
	}
	return a
}

// value follows a path: names, indices, "#" for a length, and for a list of named things a name.
func (a answer) value(path string) any {
	v := a.body
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			v = element(x, step)
		default:
			return nil
		}
	}
	return v
}

func element(list []any, step string) any {
	if step == "#" {
		return json.Number(strconv.Itoa(len(list)))
	}
	if i, err := strconv.Atoi(step); err == nil {
		if i < len(list) {
			return list[i]
		}
		return nil
	}
	for _, e := range list {
		o, _ := e.(map[string]any)
		for _, name := range []string{"pool", "pack", "lot", "account", "purchase", "hold", "meter", "key", "view", "id", "type"} {
			if o[name] == step {
				return e
			}
		}
	}
	return nil
}

// text is the value at path: a string as it is, anything else as JSON, nothing as "".
func (a answer) text(path string) string {
	switch v := a.value(path).(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		b, _ := json.Marshal(v)
		return string(b)
	}
}

// want compares values: path, text, path, text …
func (a answer) want(t *testing.T, pairs ...string) answer {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		if got := a.text(pair[0]); got != pair[1] {
			t.Errorf("%v\n  has %s = %q, want %q", a, pair[0], got, pair[1])
		}
	}
	return a
}

// balance reads an account's balance and holds it to the identity of its terms. query is "at=…" and such.
func (s site) balance(t *testing.T, account string, query ...string) answer {
	t.Helper()
	a := s.get(t, "accounts/"+account+"/balance?"+strings.Join(query, "&")).is(t, 200)
	closes(t, a)
	return a
}

var terms = []string{"used", "held", "expired", "revoked", "frozen", "remaining"}

// closes demands total = used + held + expired + revoked + frozen + remaining of the account and of each
// pool, nothing negative, and the account's terms to be the sum of the pools counted in credits.
func closes(t *testing.T, a answer) {
	t.Helper()
	account, _ := a.body.(map[string]any)
	pools, _ := account["pools"].([]any)
	sums := map[string]*big.Rat{}
	for _, p := range pools {
		pool := p.(map[string]any)
		adds(t, a, pool)
		for _, term := range append([]string{"total"}, terms...) {
			if pool["unit"] == "credit" {
				sums[term] = new(big.Rat).Add(number(t, a, sums[term]), number(t, a, pool[term]))
			}
		}
		left := new(big.Rat)
		lots, _ := pool["lots"].([]any)
		for _, lot := range lots {
			left.Add(left, number(t, a, lot.(map[string]any)["remaining"]))
		}
		if alive := new(big.Rat).Add(number(t, a, pool["remaining"]), number(t, a, pool["frozen"])); left.Cmp(alive) != 0 {
			t.Errorf("%v\n  the lots of %v hold %v, the pool says %v", a, pool["pool"], left, alive)
		}
	}
	adds(t, a, account)
	for term, sum := range sums {
		if sum.Cmp(number(t, a, account[term])) != 0 {
			t.Errorf("%v\n  %s of the pools is %v", a, term, sum.RatString())
		}
	}
}

func adds(t *testing.T, a answer, terms6 map[string]any) {
	t.Helper()
	sum := new(big.Rat)
	for _, term := range terms {
		n := number(t, a, terms6[term])
		if n.Sign() < 0 {
			t.Errorf("%v\n  has a negative %s", a, term)
		}
		sum.Add(sum, n)
	}
	if sum.Cmp(number(t, a, terms6["total"])) != 0 {
		t.Errorf("%v\n  the terms of %v add up to %v", a, terms6["pool"], sum.RatString())
	}
}

func number(t *testing.T, a answer, v any) *big.Rat {
	t.Helper()
	switch x := v.(type) {
	case *big.Rat:
		if x == nil {
			return new(big.Rat)
		}
		return x
	case string:
		if n, ok := new(big.Rat).SetString(x); ok && decimal.MatchString(x) {
			return n
		}
	}
	t.Fatalf("%v\n  %v is no decimal string", a, v)
	return nil
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$`)

// spend charges an account and answers what came back.
func (s site) spend(t *testing.T, account, meter string, quantity int, key string) answer {
	t.Helper()
	return s.post(t, "accounts/"+account+"/usage", fmt.Sprintf(`{"meter":%q,"quantity":%d}`, meter, quantity), key)
}

// buy asks for a pack or top-up, pays for it in the sandbox, and answers the completed purchase.
func (s site) buy(t *testing.T, account, body, key string) answer {
	t.Helper()
	p := s.post(t, "accounts/"+account+"/purchases", body, key).is(t, 201)
	return s.post(t, "payments/sandbox/"+p.text("purchase")+"/succeed", "").is(t, 200).want(t, "status", "completed")
}

// lines are the types of an account's history, oldest first, without those named.
func (s site) lines(t *testing.T, account string, without ...string) []string {
	t.Helper()
	a := s.get(t, "accounts/"+account+"/history?limit=1000").is(t, 200)
	var types []string
	entries, _ := a.value("entries").([]any)
	for _, e := range slices.Backward(entries) {
		if kind := e.(map[string]any)["type"].(string); !slices.Contains(without, kind) {
			types = append(types, kind)
		}
	}
	return types
}

// eventually asks until done, at most ten seconds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}
