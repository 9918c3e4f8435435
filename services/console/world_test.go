package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"creditstream/services/node"
)

// world is a running server with a small tenant, and whoever asks it over HTTP.
type world struct {
	t    *testing.T
	node *node.Node
	cfg  node.Config
	url  string
	keys int
}

// begin starts a server in development with the three shipped catalogs.
func begin(t *testing.T, change ...func(*node.Config)) *world {
	t.Helper()
	w := &world{t: t, cfg: node.Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Catalogs: filepath.Join("..", "..", "deploy", "catalogs"), Dev: true,
	}}
	for _, c := range change {
		c(&w.cfg)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	n, err := node.Start(context.Background(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.node, w.url = n, n.HTTP()
}

func (w *world) stop() {
	if err := w.node.Close(); err != nil {
		w.t.Errorf("close: %v", err)
	}
}

// do asks the API as the operator, or with a key, and stops the test unless it is answered well.
func (w *world) do(method, path, body string, into any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys++
	r.Header.Set("Idempotency-Key", fmt.Sprintf("world-%d", w.keys))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if answer.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// account opens an account on a plan, or none.
func (w *world) account(tenant, id, plan string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"plan":%q}`, plan)
	if plan == "" {
		body = `{}`
	}
	w.do("PUT", "/v1/tenants/"+tenant+"/accounts/"+url.PathEscape(id), body, nil)
}

// key makes an API key.
func (w *world) key(tenant, actor string, person bool, scopes ...string) (secret, id string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"tenant": tenant, "actor": actor, "person": person, "scopes": scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	var made struct{ Key, ID string }
	w.do("POST", "/v1/admin/keys", string(body), &made)
	return made.Key, made.ID
}

// lots are those of an account.
func (w *world) lots(tenant, account string) (lots []struct{ Lot, Pool, Remaining, Kind string }) {
	w.t.Helper()
	var answer struct {
		Lots []struct{ Lot, Pool, Remaining, Kind string }
	}
	w.do("GET", "/v1/tenants/"+tenant+"/accounts/"+url.PathEscape(account)+"/lots", "", &answer)
	return answer.Lots
}

// visitor is somebody with a session, without a browser.
type visitor struct {
	w      *world
	client *http.Client
}

// visitor signs in with a key.
func (w *world) visitor(key string) *visitor {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	v := &visitor{w: w, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if status, text := v.post("/admin/sign-in", url.Values{"apikey": {key}}); status != http.StatusSeeOther {
		w.t.Fatalf("sign in: %d %s", status, text)
	}
	return v
}

func (v *visitor) send(method, path string, form url.Values) (int, string) {
	v.w.t.Helper()
	r, err := http.NewRequestWithContext(v.w.t.Context(), method, v.w.url+path, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		v.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	answer, err := v.client.Do(r)
	if err != nil {
		v.w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (v *visitor) get(path string) (int, string) { return v.send("GET", path, nil) }

func (v *visitor) post(path string, form url.Values) (int, string) { return v.send("POST", path, form) }

// filled is a world with something to see on each page.
func filled(t *testing.T, change ...func(*node.Config)) *world {
	t.Helper()
	w := begin(t, change...)
	for i, name := range []string{"atelier-nord", "bella-casa", "casa-verde", "studio-lumen", "tante-emma", "vinho-e-mar"} {
		w.account("adtech", name, []string{"pro", "standard"}[i/5])
	}
	w.account("tecpet", "clinic-7", "ai")
	w.account("wanclouds", "northwind", "pro")
	lumen := "/v1/tenants/adtech/accounts/studio-lumen"
	w.do("POST", lumen+"/grants", `{"pool":"extra","credits":"500","reason":"Spring campaign, contract 2291","kind":"sold"}`, nil)
	w.do("POST", lumen+"/grants", `{"pool":"extra","credits":"25","reason":"Sorry for the outage on Tuesday","kind":"goodwill"}`, nil)
	for i := range 12 {
		w.do("POST", lumen+"/usage", fmt.Sprintf(`{"meter":%q,"quantity":%d,"description":"Campaign %d"}`,
			[]string{"dynamic_video", "custom_image", "feed_optimization"}[i%3], 3+i*7, 100+i), nil)
	}
	w.do("POST", lumen+"/holds", `{"meter":"dynamic_video","quantity":40,"ttl":"15m","description":"Render queue"}`, nil)
	return w
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func replaceOnce(t *testing.T, text, old, now string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q occurs %d times", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, now, 1)
}
