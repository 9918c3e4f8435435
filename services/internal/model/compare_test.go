package model_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"creditstream/services/internal/model"
)

// compare holds everything that can be asked about the accounts against the model.
func (s *story) compare() {
	for _, account := range []string{"a", "b"} {
		s.compareAccount(account)
		s.compareBalance(account)
	}
}

func (s *story) compareAccount(account string) {
	status, got := s.send(http.MethodGet, "accounts/"+account, "", "")
	s.model.Terms(account) // settles it
	want := s.model.Accounts[account]
	plan, _ := got["plan"].(string)
	open := map[bool]string{true: "closed", false: "open"}[want.Closed]
	if status != 200 || plan != want.Plan || got["status"] != open {
		s.Fatalf("account %s is %v, the model says plan %q, %s", account, got, want.Plan, open)
	}
	pending, scheduled := got["pending"].(map[string]any)
	if scheduled != (want.Pending != nil) {
		s.Fatalf("account %s is %v, the model says pending %v", account, got, want.Pending)
	}
	if next, _ := pending["plan"].(string); scheduled && next != *want.Pending {
		s.Fatalf("account %s will be on plan %q, the model says %q", account, next, *want.Pending)
	}
	cycle, _ := got["cycle"].(map[string]any)
	if cycle["from"] != stamp(want.From) || cycle["to"] != stamp(want.To) {
		s.Fatalf("account %s is in cycle %v, the model says %s to %s", account, cycle, want.From, want.To)
	}
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

func (s *story) compareBalance(account string) {
	_, got := s.send(http.MethodGet, "accounts/"+account+"/balance", "", "")
	want := s.model.Terms(account)
	pools, _ := got["pools"].([]any)
	var sum model.Terms
	for _, p := range pools {
		pool := p.(map[string]any)
		name := pool["pool"].(string)
		terms := want[name]
		delete(want, name)
		s.compareTerms(account+" "+name, pool, terms)
		s.compareLots(account, name, pool)
		if s.catalog.Pools[name].Unit == "" {
			sum.Total += terms.Total
			sum.Used += terms.Used
			sum.Held += terms.Held
			sum.Expired += terms.Expired
			sum.Revoked += terms.Revoked
			sum.Frozen += terms.Frozen
			sum.Remaining += terms.Remaining
		}
	}
	for name, terms := range want {
		if terms != (model.Terms{}) {
			s.Fatalf("the balance of %s has no pool %s, the model says %+v", account, name, terms)
		}
	}
	s.compareTerms(account, got, sum)
	s.same(got, "debt", s.model.Debt(account))
}

func (s *story) compareTerms(what string, got map[string]any, want model.Terms) {
	for name, n := range map[string]int64{
		"total": want.Total, "used": want.Used, "held": want.Held, "expired": want.Expired, "revoked": want.Revoked,
		"frozen": want.Frozen, "remaining": want.Remaining,
	} {
		if got[name] != decimal(n) {
			s.Fatalf("%s of %s is %v, the model says %+v; all: %v", name, what, got[name], want, got)
		}
	}
}

func (s *story) compareLots(account, name string, pool map[string]any) {
	var got, want []string
	lots, _ := pool["lots"].([]any)
	for _, l := range lots {
		lot := l.(map[string]any)
		got = append(got, fmt.Sprint(lot["remaining"], " ", lot["starts"], " ", lot["expires"]))
	}
	for _, l := range s.model.Lots(account, name) {
		end := "<nil>"
		if !l.End.IsZero() {
			end = stamp(l.End)
		}
		want = append(want, fmt.Sprint(decimal(l.Left), " ", stamp(l.Start), " ", end))
	}
	if !slices.Equal(got, want) {
		s.Fatalf("the lots of %s in %s are %q, the model says %q", account, name, got, want)
	}
}

// compareHistory holds what the history and the consumption add up to against the balance. What fell due is
// booked first: the history lists what was booked.
func (s *story) compareHistory() {
	s.sweep()
	for _, account := range []string{"a", "b"} {
		left, used := int64(0), int64(0)
		for name, t := range s.model.Terms(account) {
			if s.catalog.Pools[name].Unit == "" {
				left += t.Remaining + t.Frozen
				used += t.Used
			}
		}
		sum := int64(0)
		for cursor := ""; ; {
			_, page := s.send(http.MethodGet, "accounts/"+account+"/history?limit=1000&cursor="+cursor, "", "")
			entries, _ := page["entries"].([]any)
			for _, e := range entries {
				sum += hundredths(s, e.(map[string]any)["credits"])
			}
			if cursor, _ = page["next"].(string); cursor == "" {
				break
			}
		}
		if sum != left {
			s.Fatalf("the history of %s adds up to %s, %s are there", account, decimal(sum), decimal(left))
		}
		_, consumed := s.send(http.MethodGet, "accounts/"+account+"/usage?cycle=current", "", "")
		s.same(consumed, "credits", used)
	}
}

func hundredths(s *story, v any) int64 {
	text, _ := v.(string)
	var whole, part int64
	sign := int64(1)
	if len(text) > 0 && text[0] == '-' {
		sign, text = -1, text[1:]
	}
	for i, c := range text {
		if c == '.' {
			for _, c := range (text[i+1:] + "00")[:2] {
				part = part*10 + int64(c-'0')
			}
			break
		}
		if c < '0' || c > '9' {
			s.Fatalf("%v is no decimal", v)
		}
		whole = whole*10 + int64(c-'0')
	}
	return sign * (whole*model.Unit + part)
}

// repeat asks again for something that was carried out: the answer is the original one. With another body
// it is a conflict.
func (s *story) repeat(r told) {
	status, answer := s.send(http.MethodPost, r.path, r.key, r.body)
	want := maps.Clone(r.answer)
	if _, says := want["replayed"]; says {
		want["replayed"] = true
	}
	if status != r.status || fmt.Sprint(answer) != fmt.Sprint(want) {
		s.Fatalf("%s %s (%s), repeated: %d %v; at first %d %v", r.path, r.body, r.key, status, answer, r.status, r.answer)
	}
	status, answer = s.send(http.MethodPost, "accounts/a/usage", r.key+"x", `{"meter":"video","quantity":0}`)
	if status != 422 || answer["code"] != "invalid" {
		s.Fatalf("nonsense under a new key: %d %v", status, answer)
	}
}
