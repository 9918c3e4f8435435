package model_test

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"pgregory.net/rapid"

	"creditstream/services/accounts"
	"creditstream/services/internal/model"
)

func (s *story) hold() {
	account, meter, quantity := s.account(), s.meter("video", "image", "page", "ping"), s.quantity()
	ttl := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Minute, time.Hour}).Draw(s.T, "ttl")
	id := fmt.Sprint("pending", s.keys)
	want := s.model.Hold(account, id, meter, quantity, ttl)
	answer := s.post("accounts/"+account+"/holds", fmt.Sprintf(`{"meter":%q,"quantity":%d,"ttl":%q}`, meter, quantity, ttl), want.Code)
	if want.Code != "" {
		return
	}
	s.same(answer, "cost", want.Cost)
	s.same(answer, "remaining", want.Remaining)
	s.drawn(answer, want)
	s.model.Rename(account, id, answer["hold"].(string))
	s.holds = append(s.holds, of{account, answer["hold"].(string), meter})
}

func (s *story) someHold() of {
	if len(s.holds) == 0 {
		s.Skip("no hold")
	}
	// Mostly one of the latest: the others lapsed long ago.
	latest := s.holds[max(len(s.holds)-3, 0):]
	return rapid.SampledFrom(latest).Draw(s.T, "hold")
}

func (s *story) capture() {
	h, quantity, key := s.someHold(), s.quantity(), s.key()
	want := s.model.Capture(h.account, h.id, key, quantity)
	answer := s.postAs(key, "accounts/"+h.account+"/holds/"+h.id+"/capture", fmt.Sprintf(`{"quantity":%d}`, quantity), want.Code)
	if want.Code == "" {
		s.charged(answer, want)
		s.uses = append(s.uses, of{h.account, key, h.meter})
	}
}

func (s *story) release() {
	h := s.someHold()
	s.post("accounts/"+h.account+"/holds/"+h.id+"/release", "", s.model.Release(h.account, h.id).Code)
}

func (s *story) reverse() {
	if len(s.uses) == 0 {
		s.Skip("no use")
	}
	u := rapid.SampledFrom(s.uses).Draw(s.T, "use")
	if !s.model.Reversible(u.account, u.id) {
		s.Skip("not a use that the model reverses")
	}
	quantity, body := rapid.Int64Range(0, 20).Draw(s.T, "quantity"), `{"reason":"r"}`
	if quantity > 0 {
		body = fmt.Sprintf(`{"quantity":%d}`, quantity)
	}
	s.post("accounts/"+u.account+"/usage/"+u.id+"/reverse", body, s.model.Reverse(u.account, u.id, quantity).Code)
}

func (s *story) buy() {
	account := s.account()
	id := fmt.Sprint("pending", s.keys)
	want := s.model.Buy(account, id)
	answer := s.post("accounts/"+account+"/purchases", `{"pack":"small"}`, want.Code)
	if want.Code == "" {
		s.model.RenamePurchase(account, id, answer["purchase"].(string))
		s.bought = append(s.bought, of{account: account, id: answer["purchase"].(string)})
		s.told = s.told[:len(s.told)-1] // its answer tells how the purchase is doing
	}
}

func (s *story) somePurchase() of {
	if len(s.bought) == 0 {
		s.Skip("no purchase")
	}
	return rapid.SampledFrom(s.bought).Draw(s.T, "purchase")
}

// pay has the provider say that the money came, or that it did not; out of order and late, too.
func (s *story) pay() {
	p, word := s.somePurchase(), rapid.SampledFrom([]string{"succeed", "succeed", "fail"}).Draw(s.T, "word")
	before := s.model.Status(p.account, p.id)
	if word == "fail" && before != "awaiting_payment" {
		s.Skip("the sandbox settles a payment once")
	}
	if word == "succeed" {
		s.model.Paid(p.account, p.id)
	} else {
		s.model.Unpaid(p.account, p.id)
	}
	status, answer := s.send(http.MethodPost, "payments/sandbox/"+p.id+"/"+word, "", "")
	if want := s.model.Status(p.account, p.id); status != 200 || answer["status"] != want {
		s.Fatalf("%s of a purchase that was %s: %d %v, the model says %s", word, before, status, answer, want)
	}
}

func (s *story) refund() {
	p := s.somePurchase()
	s.post("accounts/"+p.account+"/purchases/"+p.id+"/refund", `{"reason":"r"}`, s.model.Refund(p.account, p.id).Code)
	if _, answer := s.send(http.MethodGet, "accounts/"+p.account+"/purchases/"+p.id, "", ""); answer["status"] != s.model.Status(p.account, p.id) {
		s.Fatalf("a purchase is %v, the model says %s", answer, s.model.Status(p.account, p.id))
	}
}

// clock lets time pass: half of the time without a sweep, so that whoever comes next has to settle.
func (s *story) clock() {
	now := s.model.Now
	end := s.model.Accounts[s.account()].To
	steps := map[string]time.Time{
		"a second": now.Add(time.Second), "an hour": now.Add(time.Hour), "a day": now.Add(26 * time.Hour), "two weeks": now.Add(14 * 24 * time.Hour),
		"two months": now.Add(62 * 24 * time.Hour), "just before the boundary": end.Add(-1), "the boundary": end, "most of an hour before it": end.Add(-10 * time.Minute),
	}
	then := steps[rapid.SampledFrom([]string{
		"a second", "a second", "an hour", "an hour", "an hour", "a day", "a day", "a day", "two weeks", "two months",
		"just before the boundary", "the boundary", "most of an hour before it",
	}).Draw(s.T, "pass")]
	if then.Before(now) {
		then = now
	}
	s.model.Now = then
	if rapid.Bool().Draw(s.T, "swept") {
		s.sweep()
		return
	}
	s.must(s.node.Accounts().Clock().(*accounts.TestClock).Set(then))
}

// sweep books everything that fell due.
func (s *story) sweep() {
	if status, answer := s.send(http.MethodPost, "/v1/admin/test-clock", "", fmt.Sprintf(`{"now":%q}`, stamp(s.model.Now))); status != 200 {
		s.Fatalf("the clock: %d %v", status, answer)
	}
}

func (s *story) publish() {
	if status, answer := s.send(http.MethodPut, "catalog", "", yaml(s.catalog)); status >= 300 {
		s.Fatalf("publish: %d %v\n%s", status, answer, yaml(s.catalog))
	}
}

// newCatalog changes prices and allowances, from now on.
func (s *story) newCatalog() {
	next := *s.catalog
	next.Meters, next.Plans = maps.Clone(next.Meters), maps.Clone(next.Plans)
	video := next.Meters["video"]
	video.Price = rapid.Int64Range(1, 3).Draw(s.T, "price") * model.Unit
	next.Meters["video"] = video
	basic := next.Plans["basic"]
	basic.Allowances = maps.Clone(basic.Allowances)
	basic.Allowances["monthly"] = rapid.Int64Range(20, 60).Draw(s.T, "allowance") * model.Unit
	next.Plans["basic"] = basic
	next.Debt = rapid.Int64Range(5, 40).Draw(s.T, "debt") * model.Unit
	s.catalog = &next
	s.publish()
	s.model.Publish(s.catalog)
}

func (s *story) repeatSome() {
	if len(s.told) == 0 {
		s.Skip("nothing was asked yet")
	}
	s.repeat(rapid.SampledFrom(s.told).Draw(s.T, "asked before"))
}

// conflict asks for something else under a key that was used.
func (s *story) conflict() {
	if len(s.told) == 0 {
		s.Skip("nothing was asked yet")
	}
	r := rapid.SampledFrom(s.told).Draw(s.T, "asked before")
	if status, answer := s.send(http.MethodPost, r.path, r.key, `{"reason":"another","quantity":1000,"meter":"video"}`); status < 400 || status >= 500 {
		s.Fatalf("another request under the key of %s: %d %v", r.path, status, answer)
	}
}

func (s *story) restart() {
	s.must(s.node.Close())
	s.start()
}

func (s *story) rebuild() {
	view := rapid.SampledFrom([]string{"accounts", "statement", "usage"}).Draw(s.T, "view")
	if status, answer := s.send(http.MethodPost, "/v1/admin/views/"+view+"/rebuild", "", ""); status != 200 {
		s.Fatalf("rebuild %s: %d %v", view, status, answer)
	}
}
