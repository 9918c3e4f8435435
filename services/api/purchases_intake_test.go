package api_test

import (
	"fmt"
	"testing"

	"creditstream/services/api"
	"creditstream/services/intake"
	"creditstream/services/internal/trial"
	"creditstream/services/rules"
)

func TestRefusedUsageOverHTTP(t *testing.T) {
	s := newShop(t)
	tenant := s.Tenant("shop", "tecpet")
	s.Tenant("other", "tecpet")
	const list = "/v1/tenants/shop/intake/refused"
	s.send("GET", list, nil).want(404, "not_found") // no intake runs yet
	s.intake = trial.Must(intake.Start(t.Context(), intake.Config{NATS: s.NATS, Accounts: s.Accounts, Decode: api.DecodeIntake}))(t)
	t.Cleanup(s.intake.Stop)
	s.serve(true)
	nc := s.client("shop")
	for i := range 3 {
		trial.Must(nc.Request(intake.Subject("shop"), []byte(use(fmt.Sprint("e", i), 1)), 5e9))(t)
	}
	trial.Eventually(t, "all are refused: there is no such account", func() bool {
		return len(s.send("GET", list, nil).want(200, "").body["refused"].([]any)) == 3
	})
	page := s.send("GET", list+"?limit=2", nil).want(200, "")
	refused := page.body["refused"].([]any)
	first := refused[0].(fields)
	if len(refused) != 2 || first["code"] != "unknown_account" || first["event"].(fields)["id"] != "e0" || page.text("next") == "" {
		t.Fatalf("a page of two: %s", page.raw)
	}
	rest := s.send("GET", list+"?limit=2&cursor="+page.text("next"), nil).want(200, "")
	if n := len(rest.body["refused"].([]any)); n != 1 || rest.text("next") != "" {
		t.Errorf("the last page: %s", rest.raw)
	}
	id := first["id"].(string)
	s.send("POST", list+"/"+id+"/resubmit", nil).want(404, "unknown_account")
	s.send("POST", "/v1/tenants/other/intake/refused/"+id+"/resubmit", nil).want(404, "not_found")
	s.send("DELETE", "/v1/tenants/other/intake/refused/"+id, nil).want(404, "not_found")
	s.Do(tenant, "a", &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 10_000_000}}})
	if r := s.send("POST", list+"/"+id+"/resubmit", nil).want(200, ""); r.text("status") != "recorded" {
		t.Errorf("submitted again: %s", r.raw)
	}
	s.send("POST", list+"/"+id+"/resubmit", nil).want(404, "not_found")
	s.send("POST", list+"/none/resubmit", nil).want(404, "not_found")
	s.send("DELETE", list+"/"+refused[1].(fields)["id"].(string), nil).want(200, "")
	if left := s.Remaining(tenant, "a"); left != "9" {
		t.Errorf("%s credits remain, want 9", left)
	}
	s.send("GET", list+"?cursor=x", nil).want(422, "invalid")
}
