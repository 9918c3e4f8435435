package node_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"creditstream/services/explain"
)

// derived is what an explanation of a balance has to hold.
type derived struct {
	Balance struct {
		Pools []struct {
			Pool, Total, Used, Held, Expired, Revoked, Frozen, Remaining string
			Lots                                                         []struct{ Lot, Remaining string }
		}
	}
	Derivation explain.Derivation
}

// explained asks why the balance is what it is, and adds up: opening and steps are the closing terms, which are
// the balance's, in every term of every pool; what remains after the last step of a lot is what the balance says.
func explained(t *testing.T, s site, account string, query ...string) derived {
	t.Helper()
	a := s.get(t, "accounts/"+account+"/explain?"+strings.Join(query, "&")).is(t, 200)
	var d derived
	if err := json.Unmarshal(a.raw, &d); err != nil {
		t.Fatal(err)
	}
	sum := make(map[string]map[string]int64)
	addTerms(t, sum, d.Derivation.Opening, 1)
	left := make(map[string]string)
	for _, step := range d.Derivation.Steps {
		if step.Says == "" {
			t.Errorf("%s says nothing", step.Event)
		}
		addTerms(t, sum, step.Changes, 1)
		for _, l := range step.Lots {
			left[l.Lot] = l.Left
		}
	}
	addTerms(t, sum, d.Derivation.Closing, -1)
	for pool, terms := range sum {
		for term, off := range terms {
			if off != 0 {
				t.Errorf("%v\n  %s of pool %s is off by %d", a.request, term, pool, off)
			}
		}
	}
	closing := make(map[string]explain.Terms)
	for _, c := range d.Derivation.Closing {
		closing[c.Pool] = c
	}
	for _, p := range d.Balance.Pools {
		c, had := closing[p.Pool]
		if !had {
			continue
		}
		if c.Total != p.Total || c.Used != p.Used || c.Held != p.Held || c.Expired != p.Expired || c.Revoked != p.Revoked || units(t, c.Remaining) != units(t, p.Remaining)+units(t, p.Frozen) {
			t.Errorf("%v\n  closes with %+v, and the balance says %+v", a.request, c, p)
		}
		for _, l := range p.Lots {
			if l.Remaining != left[l.Lot] && left[l.Lot] != "" {
				t.Errorf("%v\n  lot %s has %s after the steps, and the balance says %s", a.request, l.Lot, left[l.Lot], l.Remaining)
			}
		}
	}
	return d
}

func addTerms(t *testing.T, sum map[string]map[string]int64, terms []explain.Terms, sign int64) {
	t.Helper()
	for _, p := range terms {
		if sum[p.Pool] == nil {
			sum[p.Pool] = make(map[string]int64)
		}
		for term, value := range map[string]string{"total": p.Total, "used": p.Used, "held": p.Held, "expired": p.Expired, "revoked": p.Revoked, "remaining": p.Remaining} {
			sum[p.Pool][term] += sign * units(t, value)
		}
	}
}

// units reads a decimal in millionths; "" is 0.
func units(t *testing.T, decimal string) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(decimal, "-"), ".")
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", decimal, err)
	}
	if strings.HasPrefix(decimal, "-") {
		return -n
	}
	return n
}

// Whatever happened to an account, its balance can be explained: now, in the past, page by page.
func TestEveryBalanceAddsUp(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := &life{Rand: rand.New(rand.NewPCG(seed, 7))}
			s := openLab(t)
			s.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
			now := instant(t, "2026-01-31T12:00:00Z")
			var moments []string
			for i := range 100 {
				if r.IntN(15) == 0 {
					s.put(t, "accounts/a", fmt.Sprintf(`{"plan":%q,"effective":"now"}`, []string{"small", "large"}[r.IntN(2)])).is(t, 200)
				}
				path, body := r.next(fmt.Sprint("k", i))
				if hold := s.post(t, "accounts/a/"+path, body, fmt.Sprint("k", i)).text("hold"); hold != "" {
					r.holds = append(r.holds, hold)
				}
				explained(t, s, "a")
				moments = append(moments, now.Format(time.RFC3339Nano))
				now = now.Add(time.Duration(1+r.IntN([]int{200, 200, 200, 160 * 3600}[r.IntN(4)])) * time.Second)
				s.clock(t, now.Format(time.RFC3339Nano))
			}
			for i, at := range moments {
				if i%5 == 0 {
					explained(t, s, "a", "at="+at)
					explained(t, s, "a", "at="+at, "known_at="+at)
				}
			}
			pages(t, s)
			for _, key := range r.usages {
				if a := s.get(t, "accounts/a/explain?key="+key); a.status == 200 {
					a.has(t, "", "entry.choice.arithmetic:string")
				}
			}
		})
	}
}

// pages walks back through the cycle in pages of three: each opens where the one before it closes.
func pages(t *testing.T, s site) {
	t.Helper()
	whole := explained(t, s, "a", "limit=1000").Derivation
	steps, opening, cursor := 0, []explain.Terms(nil), ""
	for range 1000 {
		d := explained(t, s, "a", "limit=3", "cursor="+cursor).Derivation
		if opening != nil && fmt.Sprint(d.Closing) != fmt.Sprint(opening) {
			t.Errorf("a page closes with %v and the next opens with %v", d.Closing, opening)
		}
		steps, opening, cursor = steps+len(d.Steps), d.Opening, d.Next
		if cursor == "" {
			break
		}
	}
	if steps != len(whole.Steps) {
		t.Errorf("%d steps on pages, %d in one", steps, len(whole.Steps))
	}
}

// Which lots pay, and why not the others; for an entry, a refusal and a denial on record.
func TestWhyTheseLotsPay(t *testing.T) {
	s := open(t, "2026-01-15T12:00:00Z").of("tecpet")
	s.put(t, "accounts/a", `{"plan":"ai"}`).is(t, 200)
	for i, end := range []string{`"2026-06-01T00:00:00Z"`, `"2026-03-01T00:00:00Z"`, `"2026-01-16T00:00:00Z"`} {
		s.post(t, "accounts/a/grants", `{"pool":"purchased","credits":"2","kind":"goodwill","reason":"r","expires":`+end+`}`, fmt.Sprint("g", i)).is(t, 201)
	}
	s.clock(t, "2026-01-16T12:00:00Z")
	s.spend(t, "a", "sticker", 3, "u").is(t, 200)
	e := s.get(t, "accounts/a/explain?key=u").is(t, 200)
	e.want(t, "entry.choice.arithmetic", "3 × 1 = 3", "entry.choice.lots.0.lot", "l3", "entry.choice.lots.0.pays", "2", "entry.choice.lots.0.why", "first in burn order",
		"entry.choice.lots.1.lot", "l2", "entry.choice.lots.1.pays", "1", "entry.choice.lots.1.why", "next in burn order: it ends later than lot l3", "entry.steps.0.remaining", "1")
	if text := string(e.raw); !strings.Contains(text, "restricted: pool ai_quota counts ai_service") || !strings.Contains(text, "expired: it ended at 2026-01-16T00:00:00Z") {
		t.Errorf("the quota and the lot that ended are not said to be passed over:\n%s", text)
	}
	// A late use: what was granted after it may not pay it, what has ended since may.
	s.post(t, "accounts/a/grants", `{"pool":"purchased","credits":"1","kind":"goodwill","reason":"r"}`, "g4").is(t, 201)
	s.post(t, "accounts/a/usage", `{"meter":"sticker","quantity":1,"time":"2026-01-15T13:00:00Z"}`, "late").is(t, 200)
	late := s.get(t, "accounts/a/explain?key=late").is(t, 200).want(t, "entry.choice.lots.0.lot", "l4", "entry.choice.lots.0.pays", "1")
	if !strings.Contains(string(late.raw), `"may":false,"why":"not yet: it starts at 2026-01-16T12:00:00Z"`) {
		t.Errorf("the lot that started later is not said to be passed over:\n%s", late.raw)
	}
	s.spend(t, "a", "sticker", 1, "rest").is(t, 200)
	s.spend(t, "a", "ai_service", 300, "q").is(t, 200)
	s.spend(t, "a", "ai_service", 1, "x").is(t, 200)
	no := s.get(t, "accounts/a/explain?meter=ai_service&quantity=2").is(t, 200)
	no.want(t, "check.allowed", "false", "check.code", "insufficient_credits", "check.short", "2")
	s.get(t, "accounts/a/explain?meter=ai_service&quantity=2&at=2026-01-15T12:00:00Z").is(t, 200).want(t, "check.allowed", "true", "check.choice.lots.0.pool", "ai_quota")
	s.get(t, "accounts/a/explain?key=none").refused(t, 404, "unknown_usage")
	s.get(t, "accounts/nobody/explain").refused(t, 404, "unknown_account")
	s.get(t, "accounts/a/explain?meter=nothing&quantity=1").refused(t, 404, "unknown_meter")
	s.get(t, "accounts/a/explain?at=2027-01-01T00:00:00Z").refused(t, 422, "invalid")

	lab := publishLab(t, s)
	lab.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
	lab.spend(t, "a", "begun", 101, "b").is(t, 200)
	lab.get(t, "accounts/a/explain?key=b").is(t, 200).want(t, "entry.choice.arithmetic", "101 / 50, each block begun counts: 3 × 1 = 3")
	lab.spend(t, "a", "one", 1000, "d").refused(t, 402, "insufficient_credits")
	line := lab.get(t, "accounts/a/history?type=denied").is(t, 200)
	lab.get(t, "accounts/a/explain?position="+url.QueryEscape(line.text("entries.0.position"))).is(t, 200).
		want(t, "entry.choice.lots.0.why", "may pay: first in burn order", "entry.steps.0.event", "UsageDenied")
}
