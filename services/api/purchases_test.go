package api_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/internal/trial"
	"creditstream/services/rules"
)

const sandboxPath = "/v1/tenants/tecpet/payments/sandbox/"

func TestPurchaseFromRequestToCredits(t *testing.T) {
	s, tenant := tec(t)
	asked := s.buy("k1", "482913").want(201, "")
	id := asked.text("purchase")
	for field, want := range map[string]string{
		"status": "awaiting_payment", "credits": "50", "approved": "pin", "provider": "sandbox",
		"pays_until": "2026-03-11T12:00:00Z", "checkout_url": s.url + "/pay/sandbox/tecpet/" + id,
	} {
		if got := asked.text(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if price := asked.body["price"].(fields); price["currency"] != "BRL" || price["amount"] != "49.00" {
		t.Errorf("the price is %v", price)
	}
	if left := s.Remaining(tenant, "clinic"); left != "0" {
		t.Errorf("%s credits before anything was paid", left)
	}
	paid := s.send("POST", sandboxPath+id+"/succeed", nil).want(200, "")
	if paid.text("status") != "completed" || paid.text("paid_at") != "2026-03-10T12:00:00Z" || paid.text("invoice_ref") == "" || paid.text("receipt_url") == "" || paid.text("lot") != "l1" {
		t.Errorf("after the payment: %s", paid.raw)
	}
	if left := s.Remaining(tenant, "clinic"); left != "50" {
		t.Errorf("%s credits when the settlement was answered, want 50", left)
	}
	if _, pays := paid.body["checkout_url"]; pays {
		t.Error("a paid purchase can still be paid")
	}
	again := s.buy("k1", "482913").want(201, "")
	if again.text("purchase") != id || again.body["replayed"] != true || again.text("status") != "awaiting_payment" || again.text("checkout_url") != asked.text("checkout_url") {
		t.Errorf("a repeated request is answered with %s, the original answer was %s", again.raw, asked.raw)
	}
	s.send("POST", clinic, fields{"pack": "pack-200", "approval_code": "482913"}, "Idempotency-Key", "k1").want(409, "idempotency_conflict")
	list := s.send("GET", clinic, nil).want(200, "")
	if n := len(list.body["purchases"].([]any)); n != 1 {
		t.Errorf("%d purchases are listed, want 1", n)
	}
	s.send("GET", clinic+"/none", nil).want(404, "unknown_purchase")
	s.send("POST", sandboxPath+"none/succeed", nil).want(404, "unknown_purchase")
}

// Of the checks only the last costs one of the account's tries, and a repeated request none.
func TestApprovalCode(t *testing.T) {
	s, tenant := tec(t)
	s.Do(tenant, "other", &rules.PutAccount{Plan: rules.Set("base"), Approval: rules.Set("pin")})
	if err := s.Credentials.SetPIN(t.Context(), "tecpet", "other", "111111", "test", s.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	first := s.buy("paid", "482913").want(201, "")
	s.send("POST", clinic, fields{"pack": "pack-50"}, "Idempotency-Key", "a").want(403, "approval_required")
	s.send("POST", clinic, fields{"pack": "none", "approval_code": "000000"}, "Idempotency-Key", "b").want(404, "unknown_pack")
	s.send("POST", clinic, fields{"pack": "pack-50", "approval_code": "482913"}).want(422, "invalid")
	s.buy("c", "111111").want(403, "approval_invalid") // the code of another account
	for i := range 4 {
		s.buy(fmt.Sprint("wrong", i), "000000").want(403, "approval_invalid")
	}
	s.buy("d", "482913").want(403, "approval_locked")
	s.send("POST", clinic, fields{"pack": "pack-50"}, "Idempotency-Key", "e").want(403, "approval_locked")
	if again := s.buy("paid", "000000").want(201, ""); again.text("purchase") != first.text("purchase") {
		t.Error("a repeated request was not recognised before its code was looked at")
	}
	if err := s.Clock.Set(trial.Noon.Add(16 * 60e9)); err != nil {
		t.Fatal(err)
	}
	s.buy("d", "482913").want(201, "")
	for _, e := range s.Entries("tecpet") {
		for _, f := range e.Facts {
			if strings.Contains(string(f.Raw), "482913") {
				t.Errorf("the code stands in the journal: %s", f.Raw)
			}
		}
	}
}

// Copies of one request that arrive together are one purchase, although a TOTP is accepted once.
func TestCopiesOfARequestTogether(t *testing.T) {
	s, tenant := tec(t)
	uri, err := s.Credentials.SetTOTP(t.Context(), "tecpet", "clinic", "TecPet", "test", s.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	code := totpAt(t, uri, s.Clock.Now())
	var wait sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wait.Go(func() { ids[i] = s.buy("together", code).text("purchase") })
	}
	wait.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("one request made purchases %v", ids)
		}
	}
	a, _, _, err := tenant.Account("clinic")
	if err != nil || len(a.Purchases()) != 1 {
		t.Fatalf("%d purchases: %v", len(a.Purchases()), err)
	}
	s.buy("another", code).want(403, "approval_invalid") // the code is used
	for range ids {
		wait.Go(func() { s.send("POST", sandboxPath+ids[0]+"/succeed", nil).want(200, "") })
	}
	wait.Wait()
	if left := s.Remaining(tenant, "clinic"); left != "50" {
		t.Errorf("eight confirmations at once gave %s credits, want 50", left)
	}
}

// totpAt is what an authenticator shows (RFC 6238, RFC 4226 §5.3).
func totpAt(t *testing.T, uri string, at time.Time) string {
	t.Helper()
	query := trial.Must(url.Parse(uri))(t).Query()
	secret := trial.Must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(query.Get("secret")))(t)
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[from:])&0x7fffffff)%1_000_000)
}

// A success counts whenever it comes; a failure that comes after it takes nothing back.
func TestLateSuccess(t *testing.T) {
	for _, before := range []string{"fail", "expire", "close"} {
		t.Run(before, func(t *testing.T) {
			s, tenant := tec(t)
			id := s.buy("k", "482913").text("purchase")
			want := "awaiting_payment"
			switch before {
			case "fail":
				s.send("POST", sandboxPath+id+"/fail", nil).want(200, "")
				want = "failed"
			case "expire":
				if err := s.Clock.Set(trial.Noon.AddDate(0, 0, 2)); err != nil {
					t.Fatal(err)
				}
				want = "expired"
			case "close":
				s.Do(tenant, "clinic", rules.CloseAccount{Reason: "test"})
			}
			if got := s.send("GET", clinic+"/"+id, nil).text("status"); got != want {
				t.Fatalf("before the payment the purchase is %q, want %q", got, want)
			}
			for _, outcome := range []string{"succeed", "fail", "succeed"} {
				if got := s.send("POST", sandboxPath+id+"/"+outcome, nil).want(200, "").text("status"); got != "completed" {
					t.Errorf("after %s the purchase is %q", outcome, got)
				}
			}
			a := trial.Must(tenant.Shards()[0].View().Load("clinic"))(t)
			if lots := a.Lots(); len(lots) != 1 || lots[0].Granted != 50_000_000 {
				t.Errorf("the payment gave %+v", lots)
			}
		})
	}
}

func TestSavedMethodIsCharged(t *testing.T) {
	s := newShop(t)
	tenant := s.Tenant("wanclouds", "wanclouds")
	base := "/v1/tenants/wanclouds/accounts/acme/purchases"
	s.Do(tenant, "acme", &rules.PutAccount{Plan: rules.Set("free")})
	topUp := func(key, amount string) reply {
		return s.send("POST", base, fields{"topup": fields{"currency": "USD", "amount": amount}}, "Idempotency-Key", key)
	}
	refused := topUp("k0", "25.00").want(403, "plan_not_eligible")
	if !strings.Contains(refused.text("contact"), "Upgrade") {
		t.Errorf("the refusal does not say how to get a plan that may buy: %s", refused.raw)
	}
	s.Do(tenant, "acme", &rules.PutAccount{Plan: rules.Set("pro")})
	topUp("k0", "25.00").want(402, "payment_method_required")
	method := func(reference string) {
		s.Do(tenant, "acme", &rules.PutAccount{PaymentMethod: rules.Set(credit.PaymentMethod{Provider: "sandbox", Reference: reference, Label: "Visa •••• 4242"})})
	}
	method("pm_good")
	for amount, field := range map[string]string{"4.99": "topup.amount", "10000.01": "topup.amount", "25.001": "topup.amount", "0": "topup.amount"} {
		if r := topUp("bad"+amount, amount).want(422, "invalid"); r.text("field") != field {
			t.Errorf("%s: the field is %q", amount, r.text("field"))
		}
	}
	s.send("POST", base, fields{"pack": "usd-100", "topup": fields{"currency": "USD", "amount": "25"}}, "Idempotency-Key", "k1").want(422, "invalid")
	asked := topUp("k0", "25.01").want(201, "")
	if asked.text("credits") != "2000800" {
		t.Errorf("25.01 USD buy %s", asked.text("credits"))
	}
	id := asked.text("purchase")
	confirmed := s.send("POST", base+"/"+id+"/confirm", fields{}, "Idempotency-Key", "c1").want(200, "")
	if st := confirmed.text("status"); st != "processing" && st != "completed" || confirmed.text("payment_method") != "Visa •••• 4242" {
		t.Errorf("confirmed: %s", confirmed.raw)
	}
	trial.Eventually(t, "the charge is paid", func() bool { return s.send("GET", base+"/"+id, nil).text("status") == "completed" })
	again := s.send("POST", base+"/"+id+"/confirm", fields{}, "Idempotency-Key", "c1").want(200, "")
	if again.text("status") != "processing" || again.body["replayed"] != true {
		t.Errorf("a repeated confirmation is answered with %s", again.raw)
	}
	heard := s.heard.Load()
	trial.Eventually(t, "the provider repeats itself", func() bool { return s.heard.Load() >= heard+2 || s.heard.Load() >= 3 })
	if left := s.Remaining(tenant, "acme"); left != "12000800" {
		t.Errorf("%s credits, want the allowance of 10000000 and 2000800", left)
	}
	method("pm_declined")
	id = topUp("k2", "5").text("purchase")
	s.send("POST", base+"/"+id+"/confirm", nil).want(200, "")
	trial.Eventually(t, "the charge is declined", func() bool { return s.send("GET", base+"/"+id, nil).text("status") == "failed" })
	heard = s.heard.Load()
	trial.Eventually(t, "news come out of order", func() bool { return s.heard.Load() >= heard+2 })
	if got := s.send("GET", base+"/"+id, nil).text("status"); got != "failed" {
		t.Errorf("after earlier news that came late the purchase is %q", got)
	}
}

func TestRefundAndChargeback(t *testing.T) {
	s, tenant := tec(t)
	id := s.buy("k", "482913").text("purchase")
	refund := clinic + "/" + id + "/refund"
	s.send("POST", refund, fields{"reason": "early"}, "Idempotency-Key", "r0").want(422, "invalid")
	s.send("POST", sandboxPath+id+"/succeed", nil).want(200, "")
	s.Do(tenant, "clinic", rules.Use{Meter: "sticker", Quantity: 20})
	s.send("POST", refund, fields{"reason": "unhappy"}).want(422, "invalid")
	for _, replayed := range []bool{false, true} {
		r := s.send("POST", refund, fields{"reason": "unhappy"}, "Idempotency-Key", "r1").want(200, "")
		if money := r.body["money"].(fields); r.text("revoked") != "30" || money["amount"] != "29.40" || r.body["replayed"] != replayed {
			t.Errorf("the refund is %s", r.raw)
		}
	}
	if got := s.send("GET", clinic+"/"+id, nil).text("status"); got != "refunded" {
		t.Errorf("the purchase is %q", got)
	}
	s.send("POST", sandboxPath+id+"/succeed", nil).want(200, "")
	if left := s.Remaining(tenant, "clinic"); left != "0" {
		t.Errorf("%s credits after a refund and a success delivered once more", left)
	}
	id = s.buy("k2", "482913").text("purchase")
	s.send("POST", sandboxPath+id+"/succeed", nil).want(200, "")
	if got := s.send("POST", sandboxPath+id+"/dispute", nil).want(200, "").text("status"); got != "disputed" {
		t.Errorf("after a chargeback the purchase is %q", got)
	}
	if left := s.Remaining(tenant, "clinic"); left != "0" {
		t.Errorf("%s credits after a chargeback", left)
	}
}

func TestPacks(t *testing.T) {
	s, _ := tec(t)
	s.Do(s.Tenant("adtech", "adtech"), "shop", &rules.PutAccount{Plan: rules.Set("pro")})
	packs := s.send("GET", "/v1/tenants/tecpet/packs?account=clinic", nil).want(200, "")
	list := packs.body["packs"].([]any)
	if len(list) != 3 || list[0].(fields)["pack"] != "pack-50" || packs.body["allowed"] != true || packs.text("approval") != "pin" {
		t.Errorf("the packs are %s", packs.raw)
	}
	none := s.send("GET", "/v1/tenants/adtech/packs?account=shop", nil).want(200, "")
	if none.body["allowed"] != false || none.text("code") != "plan_not_eligible" || none.text("contact") == "" || len(none.body["packs"].([]any)) != 0 {
		t.Errorf("where nothing is for sale: %s", none.raw)
	}
	s.send("GET", "/v1/tenants/tecpet/packs?account=nobody", nil).want(404, "unknown_account")
	s.send("GET", "/v1/tenants/tecpet/accounts/clinic/packs", nil).want(200, "")
}

// The buttons of the checkout page, which services/pages shows.
func TestCheckoutButtons(t *testing.T) {
	s, tenant := tec(t)
	id := s.buy("k", "482913").text("purchase")
	s.send("POST", "/pay/sandbox/tecpet/"+id+"/pay", nil, "Origin", "http://elsewhere.example").want(403, "forbidden")
	request := trial.Must(http.NewRequest("POST", s.url+"/pay/sandbox/tecpet/"+id+"/pay", nil))(t)
	response := trial.Must(http.DefaultTransport.RoundTrip(request))(t)
	defer response.Body.Close()
	if to := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || to != "/pay/sandbox/tecpet/"+id {
		t.Errorf("the button is answered with %d and leads to %q", response.StatusCode, to)
	}
	if left := s.Remaining(tenant, "clinic"); left != "50" {
		t.Errorf("%s credits, want 50", left)
	}
	s.send("POST", "/pay/sandbox/tecpet/none/pay", nil).want(404, "unknown_purchase")
	s.send("POST", "/pay/sandbox/none/"+id+"/pay", nil).want(404, "not_found")
	s.send("POST", "/pay/sandbox/tecpet/"+id+"/else", nil).want(404, "not_found")
}
