package pages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"creditstream/services/accounts"
	"creditstream/services/internal/browser"
	"creditstream/services/node"
)

// noon is when the clock of a world starts, and stands still until it is moved.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// world is a whole server with the three catalogs, in development, and a client outside of it.
type world struct {
	t    testing.TB
	cfg  node.Config
	base string
	node *node.Node
	keys int
}

func newWorld(t testing.TB, change ...func(*node.Config)) *world {
	t.Helper()
	cfg := node.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Dev: true, TestClock: noon, Catalogs: "../../deploy/catalogs"}
	for _, f := range change {
		f(&cfg)
	}
	w := &world{t: t, cfg: cfg}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	n, err := node.Start(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.base, w.node = n.HTTP(), n
}

func (w *world) stop() {
	if err := w.node.Close(); err != nil {
		w.t.Error(err)
	}
}

// restart starts the server anew, with other settings.
func (w *world) restart(change func(*node.Config)) {
	w.t.Helper()
	w.stop()
	change(&w.cfg)
	w.start()
}

// clock is what the server goes by.
func (w *world) clock() *accounts.TestClock { return w.node.Accounts().Clock().(*accounts.TestClock) }

// api asks the HTTP door and requires a status below 300.
func (w *world) api(method, path string, body string) map[string]any {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys++
	r.Header.Set("Idempotency-Key", fmt.Sprint("k", w.keys))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		w.t.Fatalf("%s %s is answered with %d %s", method, path, response.StatusCode, text)
	}
	var answer map[string]any
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil && len(text) > 0 {
		w.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return answer
}

// batch sends usage that all has to be recorded.
func (w *world) batch(tenant, events string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.base+"/v1/tenants/"+tenant+"/events", strings.NewReader(events))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"refused"`)) {
		w.t.Fatalf("a batch is answered with %d %.300s, %v", response.StatusCode, text, err)
	}
}

// account is the path of an account in the API.
func account(tenant, id string) string { return "/v1/tenants/" + tenant + "/accounts/" + id }

// publish publishes a shipped catalog with more in it.
func (w *world) publish(tenant, more string) {
	w.t.Helper()
	source, err := os.ReadFile("../../deploy/catalogs/" + tenant + ".yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	w.api("PUT", "/v1/tenants/"+tenant+"/catalog", string(source)+more)
}

// open makes an account.
func (w *world) open(tenant, id, body string) string {
	w.t.Helper()
	w.api("PUT", account(tenant, id), body)
	return account(tenant, id)
}

func (w *world) use(account, meter string, quantity int, more ...string) {
	w.t.Helper()
	w.api("POST", account+"/usage", fmt.Sprintf(`{"meter":%q,"quantity":%d%s}`, meter, quantity, strings.Join(more, "")))
}

// bought has the account pay for a pack.
func (w *world) bought(tenant, id, body string) {
	w.t.Helper()
	p := w.api("POST", account(tenant, id)+"/purchases", body)["purchase"].(string)
	w.api("POST", "/v1/tenants/"+tenant+"/payments/sandbox/"+p+"/succeed", "")
}

// to moves the clock.
func (w *world) to(at time.Time) {
	w.t.Helper()
	w.api("POST", "/v1/admin/test-clock", fmt.Sprintf(`{"now":%q}`, at.Format(time.RFC3339Nano)))
}

// page is the address of an account's page.
func (w *world) page(tenant, id string) string { return w.base + "/t/" + tenant + "/a/" + id }

// clinic is an account of TecPet as in the middle of its life.
func (w *world) clinic(id string) string {
	w.t.Helper()
	a := w.open("tecpet", id, `{"plan":"ai","approval":{"pin":"482913"}}`)
	w.bought("tecpet", id, `{"pack":"pack-50","approval_code":"482913"}`)
	w.use(a, "ai_service", 298, `,"description":"WhatsApp"`)
	w.use(a, "sticker", 2, `,"description":"Figurinha do Rex"`)
	w.use(a, "ai_service", 5, `,"description":"WhatsApp, domingo"`)
	return a
}

// unlock gives the manager's code.
func unlock(tab *browser.Tab) {
	tab.Fill("#code", "482913")
	tab.Submit("form .button.primary")
	tab.See("#remaining")
}
