package node_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A tenant whose accounts live in several journals shows nobody that they do.
func TestATenantOfSeveralShards(t *testing.T) {
	s := open(t, "2026-01-31T12:00:00Z").of("wide")
	s.post(t, "/v1/admin/tenants", `{"tenant":"wide","shards":3}`).is(t, 201)
	source := s.of("wanclouds").get(t, "catalog").is(t, 200).text("source")
	s.send(t, http.MethodPut, "catalog", source, http.Header{"Content-Type": {"application/yaml"}}).is(t, 200)
	const accounts = 20
	var events, names []string
	for i := range accounts {
		name := fmt.Sprintf("a%02d", i)
		s.put(t, "accounts/"+name, `{"plan":"free"}`).is(t, 200)
		events, names = append(events, charge("first", name, "assistant_token", i+1)), append(names, `"`+name+`"`)
	}
	batch := "[" + strings.Join(events, ",") + "]"
	a := s.post(t, "events", batch).is(t, 200)
	b := s.post(t, "balances", `{"accounts":[`+strings.Join(names, ",")+`]}`).is(t, 200)
	for i := range accounts {
		a.want(t, fmt.Sprintf("results.%d.cost", i), fmt.Sprint(i+1))
		b.want(t, fmt.Sprintf("balances.%d.used", i), fmt.Sprint(i+1))
		// Any position of the tenant's is one for every account of it.
		s.balance(t, fmt.Sprintf("a%02d", accounts-1-i), "min_position="+a.text(fmt.Sprintf("results.%d.position", i))).want(t, "used", fmt.Sprint(accounts-i))
	}
	if again := s.post(t, "events", batch).is(t, 200); strings.Count(string(again.raw), `"replayed":true`) != accounts {
		t.Errorf("%v\n  want all replayed", again)
	}

	var paged []string
	for cursor := ""; len(paged) <= accounts; {
		page := s.get(t, "accounts?limit=7&cursor="+cursor).is(t, 200)
		for i := range len(page.value("accounts").([]any)) {
			paged = append(paged, `"`+page.text(fmt.Sprintf("accounts.%d.account", i))+`"`)
		}
		if cursor = page.text("next"); cursor == "" {
			break
		}
	}
	if slices.Sort(paged); fmt.Sprint(paged) != fmt.Sprint(names) {
		t.Errorf("the list in pages is %v", paged)
	}
	// Whoever reads on from the position of any event misses none of those that came after it.
	journal := slices.Collect(strings.Lines(string(s.get(t, "events?type=UsageRecorded").is(t, 200).raw)))
	if len(journal) != accounts {
		t.Errorf("the journal has %d charges", len(journal))
	}
	for i, line := range journal {
		e := answer{raw: []byte(line)}
		e.decode()
		rest := string(s.get(t, "events?type=UsageRecorded&from_position="+e.text("position")).is(t, 200).raw)
		behind := s.send(t, http.MethodGet, "events?type=UsageRecorded", "", http.Header{"Last-Event-ID": {e.text("position")}}).is(t, 200)
		if got := strings.Count(string(behind.raw), "\n"); got != len(journal)-i-1 || strings.Count(rest, "\n") != got+1 {
			t.Errorf("behind %s are %d events, want %d", e.text("position"), got, len(journal)-i-1)
		}
		s.balance(t, "a00", "min_position="+e.text("position"))
		for _, later := range journal[i+1:] {
			l := answer{raw: []byte(later)}
			if l.decode(); !strings.Contains(rest, l.text("id")) {
				t.Errorf("from %s on, %s is missing", e.text("position"), later)
			}
		}
	}
	// A renewal, a new catalog and a rebuild reach all of them.
	s.clock(t, "2026-02-28T12:00:00Z")
	republish(t, s, "price: 1\n", "price: 2\n")
	for _, view := range []string{"accounts", "statement", "usage"} {
		s.post(t, "/v1/admin/views/"+view+"/rebuild", "").is(t, 200)
	}
	for i := range accounts {
		s.spend(t, fmt.Sprintf("a%02d", i), "assistant_token", 3, "second").is(t, 200).want(t, "cost", "6", "remaining", "999994")
		s.get(t, fmt.Sprintf("accounts/a%02d/usage?cycle=1", i)).is(t, 200).want(t, "credits", fmt.Sprint(i+1))
	}
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
}
