package node_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// life is what has been done to an account so far.
type life struct {
	*rand.Rand
	holds, usages []string
}

// next is something that may be asked of the account; what is refused is an answer, too.
func (l *life) next(key string) (path, body string) {
	switch l.IntN(7) {
	case 0:
		l.usages = append(l.usages, key)
		return "usage", fmt.Sprintf(`{"meter":%q,"quantity":%d}`, []string{"one", "full", "begun"}[l.IntN(3)], 1+l.IntN(60))
	case 1:
		return "holds", fmt.Sprintf(`{"meter":"one","quantity":%d,"ttl":"%dm"}`, 1+l.IntN(30), 15+l.IntN(46))
	case 2:
		l.usages = append(l.usages, key)
		return "holds/" + l.one(l.holds) + "/capture", fmt.Sprintf(`{"quantity":%d}`, 1+l.IntN(40))
	case 3:
		return "holds/" + l.one(l.holds) + "/release", ""
	case 4:
		return "usage/" + l.one(l.usages) + "/reverse", fmt.Sprintf(`{"quantity":%d,"reason":"r"}`, 1+l.IntN(10))
	case 5:
		return "grants", fmt.Sprintf(`{"pool":%q,"credits":"%d.5","kind":"goodwill","reason":"r"}`, []string{"bought", "allow"}[l.IntN(2)], l.IntN(20))
	default:
		return fmt.Sprintf("lots/l%d/revoke", 1+l.IntN(20)), `{"reason":"r"}`
	}
}

// one of those that were named last.
func (l *life) one(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return names[max(0, len(names)-1-l.IntN(3))]
}

// What was answered once can be asked again: whatever happens to an account, the balance at that time, as
// known at that time, stays what it was; the lines of its history add up; and every view can be rebuilt.
func TestABalanceIsTheSameInHindsight(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { liveAndLookBack(t, &life{Rand: rand.New(rand.NewPCG(seed, seed))}) })
	}
}

func liveAndLookBack(t *testing.T, r *life) {
	s := openLab(t)
	s.put(t, "accounts/a", `{"plan":"small"}`).is(t, 200)
	now := instant(t, "2026-01-31T12:00:00Z")
	type moment struct{ at, pools, terms string }
	var seen []moment
	for i := range 150 {
		switch r.IntN(20) {
		case 0:
			s.put(t, "accounts/a", fmt.Sprintf(`{"plan":%q,"effective":%q}`, []string{"small", "large"}[r.IntN(2)], []string{"now", "next_cycle"}[r.IntN(2)])).is(t, 200)
		case 1:
			at := now.Add(-time.Duration(r.IntN(20*24)) * time.Hour).Format(time.RFC3339Nano)
			s.post(t, "accounts/a/usage", fmt.Sprintf(`{"meter":"one","quantity":%d,"time":%q}`, 1+r.IntN(20), at), fmt.Sprint("k", i))
		default:
			path, body := r.next(fmt.Sprint("k", i))
			a := s.post(t, "accounts/a/"+path, body, fmt.Sprint("k", i))
			if a.status >= 500 {
				t.Fatalf("%v", a)
			}
			if hold := a.text("hold"); hold != "" {
				r.holds = append(r.holds, hold)
			}
		}
		b := s.balance(t, "a")
		s.get(t, "accounts/a/usage?cycle=current").is(t, 200).want(t, "credits", b.text("used"))
		seen = append(seen, moment{b.text("at"), b.text("pools"), termsOf(b)})
		now = now.Add(time.Duration(1+r.IntN([]int{200, 200, 200, 200, 200, 160 * 3600}[r.IntN(6)])) * time.Second)
		s.clock(t, now.Format(time.RFC3339Nano))
	}
	sums(t, s, "a")
	for _, m := range seen {
		b := s.balance(t, "a", "at="+m.at, "known_at="+m.at)
		if b.text("pools") != m.pools || termsOf(b) != m.terms {
			t.Fatalf("at %s it was\n%s %s\nand in hindsight\n%s %s", m.at, m.terms, m.pools, termsOf(b), b.text("pools"))
		}
		s.balance(t, "a", "at="+m.at)
	}
	s.post(t, "/v1/admin/verify", "").is(t, 200).want(t, "ok", "true")
}

// termsOf are the account's own terms, as one text.
func termsOf(b answer) string {
	text := b.text("cycle") + " debt " + b.text("debt") + " total " + b.text("total")
	for _, term := range terms {
		text += " " + term + " " + b.text(term)
	}
	return text
}
