package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"creditstream/services/api"
	"creditstream/services/node"
)

var start = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// world is a whole server with the three catalogs, and a client outside it.
type world struct {
	t    *testing.T
	base string
	key  string // of who asks; "" is the operator of a server in development
	node *node.Node
}

func newWorld(t *testing.T, change ...func(*node.Config)) *world {
	t.Helper()
	cfg := node.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Dev: true, TestClock: start, Catalogs: "../../deploy/catalogs"}
	for _, f := range change {
		f(&cfg)
	}
	n, err := node.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t: t, base: n.HTTP(), node: n}
}

// as is the world for somebody else.
func (w *world) as(key string) *world {
	other := *w
	other.key = key
	return &other
}

// answer is what came back.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

// send asks for something. Headers are "Name: value".
func (w *world) send(method, path string, body any, headers ...string) *answer {
	w.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if w.key != "" {
		r.Header.Set("Authorization", "Bearer "+w.key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := api.AsDescribed(method, r.URL.EscapedPath(), response.StatusCode, response.Header.Get("Content-Type"), got); err != nil {
		w.t.Errorf("%s %s answers what the document does not say: %v\n%s", method, path, err, got)
	}
	return &answer{t: w.t, what: method + " " + path, status: response.StatusCode, header: response.Header, body: got}
}

func (w *world) get(path string, headers ...string) *answer {
	w.t.Helper()
	return w.send(http.MethodGet, path, nil, headers...)
}

func (w *world) put(path string, body any) *answer {
	w.t.Helper()
	return w.send(http.MethodPut, path, body)
}

// post asks with an idempotency key; "" is none.
func (w *world) post(path, key string, body any) *answer {
	w.t.Helper()
	if key == "" {
		return w.send(http.MethodPost, path, body)
	}
	return w.send(http.MethodPost, path, body, "Idempotency-Key: "+key)
}

// is requires a status.
func (a *answer) is(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d, want %d\n%s", a.what, a.status, status, a.body)
	}
	return a
}

// refused requires a problem.
func (a *answer) refused(status int, code string) *answer {
	a.t.Helper()
	a.is(status)
	if media := a.header.Get("Content-Type"); media != "application/problem+json" {
		a.t.Errorf("%s: a problem of type %s", a.what, media)
	}
	return a.has("code", code).has("status", float64(status))
}

// field finds "a.b.0.c" in the answer.
func (a *answer) field(path string) any {
	a.t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.what, err, a.body)
	}
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a *answer) text(path string) string {
	a.t.Helper()
	s, _ := a.field(path).(string)
	return s
}

// has requires a value at a path.
func (a *answer) has(path string, want any) *answer {
	a.t.Helper()
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got := a.field(path); got != want {
		a.t.Errorf("%s: %s is %v, want %v\n%s", a.what, path, got, want, a.body)
	}
	return a
}

func account(tenant, name string) string { return "/v1/tenants/" + tenant + "/accounts/" + name }

// open opens an account.
func (w *world) open(tenant, name, body string) string {
	w.t.Helper()
	path := account(tenant, name)
	w.put(path, body).is(200)
	return path
}

// grant gives credits.
func (w *world) grant(path, pool, credits string) {
	w.t.Helper()
	w.post(path+"/grants", "grant-"+pool+credits, map[string]string{"pool": pool, "credits": credits, "reason": "test"}).is(201)
}

// newKey makes a key.
func (w *world) newKey(tenant, actor string, person bool, scopes ...string) *world {
	w.t.Helper()
	return w.as(w.post("/v1/admin/keys", "", map[string]any{"tenant": tenant, "actor": actor, "person": person, "scopes": scopes}).is(201).text("key"))
}
