package console

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"creditstream/services/credentials"
)

// A session ends an hour after it was last used, and twelve hours after it began however busy it is.
func TestSessionsEnd(t *testing.T) {
	began := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	who := credentials.Principal{Actor: "ana"}
	var s sessions
	find := func(token string, after time.Duration) bool {
		found, ok := s.find(token, began.Add(after))
		return ok && found.Actor == "ana"
	}
	idle, busy := s.begin(who, began), s.begin(who, began)
	if !find(idle, time.Hour) {
		t.Error("a session ended within its hour")
	}
	if find(idle, 2*time.Hour+time.Second) || find(idle, time.Hour) {
		t.Error("a session that nobody used for an hour goes on")
	}
	for after := time.Duration(0); after <= longSession; after += 30 * time.Minute {
		if !find(busy, after) {
			t.Fatalf("a session that is used ended after %v", after)
		}
	}
	if find(busy, longSession+time.Second) {
		t.Error("a session goes on for ever as long as it is used")
	}
	if _, ok := s.find("guessed", began); ok {
		t.Error("any token is a session")
	}
}

// There are only so many sessions: the one that was used least lately makes room.
func TestSessionsAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	var s sessions
	first := s.begin(credentials.Principal{Actor: "first"}, now)
	second := s.begin(credentials.Principal{Actor: "second"}, now.Add(time.Millisecond))
	s.find(first, now.Add(time.Second))
	for i := range maxSessions {
		s.begin(credentials.Principal{Actor: fmt.Sprint(i)}, now.Add(time.Minute))
		if i == maxSessions-2 {
			if _, ok := s.find(first, now.Add(time.Minute)); !ok {
				t.Error("a session made room that was used later than another")
			}
			if _, ok := s.find(second, now.Add(time.Minute)); ok {
				t.Error("the session that was used least lately did not make room")
			}
		}
	}
	if len(s.open) > maxSessions {
		t.Errorf("%d sessions are open, at most %d may be", len(s.open), maxSessions)
	}
}

// Attempts are counted by address; those that cannot be remembered one by one share a bound, so that many addresses
// are no way around it.
func TestAttemptsAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	var a attempts
	from := func(address string) bool {
		return a.of(&http.Request{RemoteAddr: address}, now).AllowN(now, 1)
	}
	for i := range attemptsAtOnce + 1 {
		if got := from(fmt.Sprintf("10.0.0.1:%d", 1000+i)); got != (i < attemptsAtOnce) {
			t.Errorf("attempt %d of an address: %v", i+1, got)
		}
	}
	if !from("10.0.0.2:1") {
		t.Error("another address is bounded by the first")
	}
	allowed := 0
	for i := range maxAddresses + 100 {
		if from(fmt.Sprintf("10.1.%d.%d:1", i/256, i%256)) {
			allowed++
		}
	}
	if len(a.from) > maxAddresses || allowed > maxAddresses+attemptsAtOnce {
		t.Errorf("%d addresses are remembered, %d attempts were allowed", len(a.from), allowed)
	}
	now = now.Add(attemptEvery)
	if !from("10.0.0.1:2000") {
		t.Error("an address gets no further attempt")
	}
}
