package model_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/internal/model"
	"creditstream/services/node"
	"creditstream/services/rules"
)

// A handful of stories by default. For long: go test ./services/internal/model -rapid.checks=1000 -rapid.steps=200 -timeout 0
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "8", "rapid.steps": "80"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// Whatever is asked, in whatever order, with restarts, rebuilds and new catalogs in between: balances by
// pool and lot, refusals, answers, histories and repeated answers are what the model says.
func TestTheNodeDoesWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "story")
		if err != nil {
			rt.Fatal(err)
		}
		s := &story{T: rt, catalog: programme(), cfg: node.Config{Data: dir, Listen: "127.0.0.1:0", Dev: true}}
		s.model = model.New(beginning, s.catalog)
		s.start()
		defer func() {
			if err := s.node.Close(); err != nil {
				rt.Errorf("close: %v", err)
			}
		}()
		s.must(s.node.AddTenant(s.Context(), "story", 1))
		s.publish()
		for _, account := range []string{"a", "b"} {
			plan := rapid.SampledFrom([]string{"", "free", "basic"}).Draw(rt, "plan")
			s.put(account, plan)
			s.model.Open(account, plan)
		}
		s.compare()
		rt.Repeat(s.actions())
		s.compareHistory()
		for _, r := range s.told {
			s.repeat(r)
		}
		s.compare()
		report, err := s.node.Verify(s.Context(), "", nil)
		if err != nil || !report.OK {
			rt.Fatalf("verify: %+v, %v", report, err)
		}
	})
}

// actions are what may happen next, the more often the more names it has.
func (s *story) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){"": func(*rapid.T) { s.compare() }}
	for _, action := range []struct {
		name  string
		often int
		do    func(*story)
	}{
		{"plan", 1, (*story).move},
		{"close", 1, (*story).closeOrReopen},
		{"grant", 5, (*story).grant},
		{"revoke", 1, (*story).revoke},
		{"use", 6, (*story).use},
		{"late", 3, (*story).late},
		{"intake", 2, (*story).intake},
		{"bulk", 1, (*story).bulk},
		{"check", 1, (*story).check},
		{"hold", 3, (*story).hold},
		{"capture", 3, (*story).capture},
		{"release", 1, (*story).release},
		{"reverse", 4, (*story).reverse},
		{"buy", 1, (*story).buy},
		{"pay", 1, (*story).pay},
		{"refund", 1, (*story).refund},
		{"clock", 4, (*story).clock},
		{"catalog", 1, (*story).newCatalog},
		{"repeat", 1, (*story).repeatSome},
		{"conflict", 1, (*story).conflict},
		{"history", 1, (*story).compareHistory},
		{"restart", 1, (*story).restart},
		{"rebuild", 1, (*story).rebuild},
	} {
		for i := range action.often {
			all[fmt.Sprint(action.name, " ", i)] = s.act(action.do)
		}
	}
	return all
}

// act makes an action of a method: its draws belong to the step.
func (s *story) act(f func(*story)) func(*rapid.T) {
	return func(t *rapid.T) {
		s.T = t
		f(s)
	}
}

func (s *story) put(account, plan string) {
	body := `{"plan":null}`
	if plan != "" {
		body = fmt.Sprintf(`{"plan":%q}`, plan)
	}
	if status, answer := s.send(http.MethodPut, "accounts/"+account, "", body); status != 200 {
		s.Fatalf("PUT %s %s: %d %v", account, body, status, answer)
	}
}

func (s *story) move() {
	account, plan := s.account(), rapid.SampledFrom([]string{"", "free", "empty", "basic", "grand"}).Draw(s.T, "plan")
	if want := s.model.Move(account, plan); want.Code == "" {
		s.put(account, plan)
		return
	}
	if status, answer := s.send(http.MethodPut, "accounts/"+account, "", fmt.Sprintf(`{"plan":%q}`, plan)); plan != "" && answer["code"] != "account_closed" {
		s.Fatalf("a closed account moved: %d %v", status, answer)
	}
}

func (s *story) closeOrReopen() {
	account, closed := s.account(), rapid.IntRange(0, 3).Draw(s.T, "closed") == 0
	s.model.SetClosed(account, closed)
	s.post("accounts/"+account+map[bool]string{true: "/close", false: "/reopen"}[closed], `{"reason":"r"}`, "")
}

func (s *story) grant() {
	account := s.account()
	pool := rapid.SampledFrom([]string{"quota", "monthly", "saved", "left", "right", "bought", "always"}).Draw(s.T, "pool")
	amount := rapid.Int64Range(1, 30).Draw(s.T, "credits") * model.Unit
	kind := rapid.SampledFrom([]string{"sold", "goodwill"}).Draw(s.T, "kind")
	end, expires := time.Time{}, ""
	if rapid.Bool().Draw(s.T, "expires") {
		end = s.model.Now.Add(rapid.SampledFrom([]time.Duration{time.Minute, 26 * time.Hour, 20 * 24 * time.Hour}).Draw(s.T, "lives"))
		expires = fmt.Sprintf(`,"expires":%q`, stamp(end))
	}
	lot, want := s.model.Grant(account, pool, amount, kind == "sold", end)
	answer := s.post("accounts/"+account+"/grants", fmt.Sprintf(`{"pool":%q,"credits":%q,"kind":%q,"reason":"r"%s}`, pool, decimal(amount), kind, expires), want.Code)
	if want.Code == "" {
		s.lots = append(s.lots, grantedLot{account, answer["lot"].(string), lot})
	}
}

func (s *story) revoke() {
	if len(s.lots) == 0 {
		s.Skip("no lot")
	}
	l := rapid.SampledFrom(s.lots).Draw(s.T, "lot")
	s.post("accounts/"+l.account+"/lots/"+l.id+"/revoke", `{"reason":"r"}`, s.model.Revoke(l.account, l.lot).Code)
}

func (s *story) use() { s.useAt(time.Time{}) }

func (s *story) late() {
	s.useAt(s.model.Now.Add(-rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 30 * time.Hour, 12 * 24 * time.Hour, 34 * 24 * time.Hour, 36 * 24 * time.Hour}).Draw(s.T, "ago")))
}

func (s *story) useAt(at time.Time) {
	account, meter, quantity, key := s.account(), s.meter(), s.quantity(), s.key()
	when, said := s.model.Now, ""
	if !at.IsZero() {
		when, said = at, fmt.Sprintf(`,"time":%q`, stamp(at))
	}
	want := s.model.Use(account, key, meter, quantity, when, false)
	answer := s.postAs(key, "accounts/"+account+"/usage", fmt.Sprintf(`{"meter":%q,"quantity":%d%s}`, meter, quantity, said), want.Code)
	if want.Code == "" {
		s.charged(answer, want)
		s.uses = append(s.uses, of{account, key, meter})
	}
}

// intake is usage that already happened. It comes past HTTP, as the intake brings it.
func (s *story) intake() {
	account, meter, quantity, key := s.account(), s.meter(), s.quantity(), s.key()
	want := s.model.Use(account, key, meter, quantity, s.model.Now, true)
	for _, replayed := range []bool{false, true} { // delivered twice
		answer := s.tenant().Do(s.Context(), accounts.Request{
			Account: account, Key: key, Hash: credit.Hash{1}, Command: rules.Use{Meter: meter, Quantity: quantity, Intake: true},
		})
		var refusal *rules.Refusal
		if errors.As(answer.Err, &refusal) && string(refusal.Code) == want.Code {
			return
		}
		if answer.Err != nil || want.Code != "" || answer.Replayed != replayed {
			s.Fatalf("intake of %d %s: %+v; the model says %q", quantity, meter, answer, want.Code)
		}
		u := answer.Facts[0].Event.(*credit.UsageRecorded)
		if int64(u.Cost) != want.Cost || int64(u.Debt) != want.Debt || int64(u.Unpaid) != want.Unpaid || int64(u.Remaining) != want.Remaining {
			s.Fatalf("intake of %d %s: %+v, the model says %+v", quantity, meter, u, want)
		}
	}
	s.uses = append(s.uses, of{account, key, meter})
}

// bulk is a batch of events, one of them twice.
func (s *story) bulk() {
	type event struct {
		of
		quantity int64
		want     model.Answer
	}
	var events []event
	body := "["
	for range rapid.IntRange(1, 5).Draw(s.T, "events") {
		e := event{of: of{s.account(), s.key(), s.meter()}, quantity: s.quantity()}
		e.want = s.model.Use(e.account, e.id, e.meter, e.quantity, s.model.Now, false)
		events = append(events, e)
	}
	twice := append(events, events[0])
	for i, e := range twice {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/s","type":"creditstream.usage","subject":%q,"data":{"meter":%q,"quantity":%d}}`, e.id, e.account, e.meter, e.quantity)
	}
	status, answer := s.send(http.MethodPost, "events", "", body+"]")
	results, _ := answer["results"].([]any)
	if status != 200 || len(results) != len(twice) {
		s.Fatalf("events: %d %v", status, answer)
	}
	for i, e := range events {
		result := results[i].(map[string]any)
		if code, _ := result["code"].(string); code != e.want.Code {
			s.Fatalf("event %d of %s: %v, the model says %+v", i, body, result, e.want)
		}
		if e.want.Code == "" {
			s.charged(result, e.want)
			s.uses = append(s.uses, e.of)
		}
	}
	if again := results[len(events)].(map[string]any); events[0].want.Code == "" && again["replayed"] != true {
		s.Fatalf("an event that came twice in a batch: %v", again)
	} else if events[0].want.Code != "" && again["status"] == "recorded" {
		// Refused at first, and paid by what an event between them freed: nothing frees credits here.
		s.Fatalf("an event was refused and then recorded: %s: %v", body, answer)
	}
}

func (s *story) check() {
	account, meter, quantity := s.account(), s.meter(), s.quantity()
	want := s.model.Check(account, meter, quantity)
	_, answer := s.send(http.MethodPost, "accounts/"+account+"/check", "", fmt.Sprintf(`{"meter":%q,"quantity":%d}`, meter, quantity))
	code, _ := answer["code"].(string)
	if code != want.Code || answer["allowed"] != (code == "") {
		s.Fatalf("check %d %s: %v, the model says %+v", quantity, meter, answer, want)
	}
	s.same(answer, "remaining", want.Remaining)
	if code == "" {
		s.same(answer, "cost", want.Cost)
		s.drawn(answer, want)
	}
}
