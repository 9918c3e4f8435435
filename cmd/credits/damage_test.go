package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"creditstream/services/node/damage"
)

// One block of a view's tables is damaged. Whoever asks, the running server or the stopped one's directory, is told which
// view it is and what to do; and that command is the cure.
func TestAnUnreadableViewIsNamedAndTheAdviceHelps(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	data := filepath.Join(t.TempDir(), "data")
	flags := []string{"--dev", "--catalogs", "../../deploy/catalogs", "--test-clock", "2026-01-31T12:00:00Z", "--patrol", "0"}
	stop := p.serve(data, flags...)
	var accounts strings.Builder
	for i := range 600 {
		fmt.Fprintf(&accounts, `{"account":"a%d","lots":[{"pool":"purchased","credits":"%d"}]}`+"\n", i, 100+i)
	}
	if _, err := p.client().send(t.Context(), request{
		method: http.MethodPost, path: "/v1/tenants/tecpet/accounts/batch", body: []byte(accounts.String()), id: "all",
	}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		p.must("usage", fmt.Sprint("a", 30*i), "sticker", "1", "--description", strings.Repeat("x", 100))
	}
	p.must("verify")
	if code := stop(); code != exitOK {
		t.Fatalf("the server stopped with %d", code)
	}
	tables, err := filepath.Glob(filepath.Join(damage.StoreDir(data, "statement"), "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	for _, table := range tables {
		if err := damage.Rewrite(table, damage.Flip(500)); err != nil {
			t.Fatal(err)
		}
	}
	const named, remedy = "tecpet/0 view statement: unreadable: ", "credits rebuild statement --tenant tecpet --shard 0"
	if r := p.run("verify", "--data", data); r.code != exitFailed || !strings.Contains(r.stdout, named) || !strings.Contains(r.stdout, remedy+" --data "+data+"\n") {
		t.Errorf("verify of the stopped server: %+v", r)
	}

	stop = p.serve(data, flags...)
	if r := p.run("verify"); r.code != exitFailed || !strings.Contains(r.stdout, named) || !strings.Contains(r.stdout, remedy+"\n") || strings.Count(r.stdout, "unreadable") != 1 {
		t.Errorf("verify: %+v", r)
	}
	if out := p.must("views"); strings.Count(out, "unreadable in part") != 1 || !strings.Contains(out, "statement of tecpet/0: ") || !strings.Contains(out, remedy+"\n") {
		t.Errorf("views:\n%s", out)
	}
	troubles := p.troubles()
	if len(troubles) != 2 || troubles[0].Tenant != "tecpet" || troubles[0].View != "statement" || !strings.HasPrefix(troubles[0].Advice, remedy) ||
		troubles[1].View != "statement" || !strings.Contains(troubles[1].Advice, "restart the server") {
		t.Errorf("troubles: %+v", troubles)
	}
	if out := p.must(strings.Fields(remedy)[1:]...); !strings.Contains(out, "switched") || !strings.Contains(out, "could not all be read") {
		t.Errorf("the rebuild:\n%s", out)
	}
	p.must("verify")
	if out := p.must("views"); strings.Contains(out, "unreadable") {
		t.Errorf("views after the rebuild:\n%s", out)
	}
	if troubles := p.troubles(); len(troubles) != 1 || troubles[0].Tenant != "" {
		t.Errorf("troubles after the rebuild: %+v", troubles)
	}
	if code := stop(); code != exitOK {
		t.Fatalf("the server stopped with %d", code)
	}
	if _, err := os.Stat(damage.StoreDir(data, "statement") + ".unreadable"); err != nil {
		t.Error("the store is not noted to be made anew: ", err)
	}

	stop = p.serve(data, flags...)
	p.must("verify")
	if troubles := p.troubles(); len(troubles) != 0 {
		t.Errorf("troubles after the restart: %+v", troubles)
	}
	stop()
}

func (p program) client() *client {
	c := p.app(nil, nil).client()
	c.base = p.env["CREDITS_SERVER"]
	return c
}

// trouble is something that a server says is wrong.
type trouble struct{ Tenant, View, Reason, Advice string }

func (p program) troubles() []trouble {
	p.t.Helper()
	var list struct{ Troubles []trouble }
	if _, err := p.client().send(p.t.Context(), request{method: http.MethodGet, path: apiPath("admin", "troubles")}, &list); err != nil {
		p.t.Fatal(err)
	}
	return list.Troubles
}
