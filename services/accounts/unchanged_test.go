package accounts_test

import (
	"errors"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// A command with a key that has nothing to change is remembered like any other: repeated, it is a
// repetition, whatever has happened since; another request under its key is told so (DESIGN.md §2).
func TestAKeyOfACommandThatChangesNothingIsRemembered(t *testing.T) {
	dir := t.TempDir()
	n, tenant := open(t, dir)
	opening(t, tenant, "a", 10_00)
	keyed := func(key string, command rules.Command) accounts.Request {
		return accounts.Request{Account: "a", Key: key, Hash: credit.Hash{1}, Actor: "ana", Command: command}
	}
	do := func(r accounts.Request) accounts.Answer {
		t.Helper()
		answer := tenant.Do(t.Context(), r)
		if answer.Err != nil {
			t.Fatalf("%+v: %v", r.Command, answer.Err)
		}
		return answer
	}
	do(keyed("close", rules.CloseAccount{}))
	nothing := []accounts.Request{keyed("close again", rules.CloseAccount{})}
	for _, r := range nothing {
		do(r)
	}
	do(keyed("reopen", rules.ReopenAccount{}))
	nothing = append(nothing, keyed("reopen again", rules.ReopenAccount{}), keyed("put", rules.PutAccount{}))
	do(nothing[1])
	do(nothing[2])
	before := n.Journal("shop", 0).Head()
	if answer := do(accounts.Request{Account: "a", Command: rules.ReopenAccount{}}); answer.Facts != nil || n.Journal("shop", 0).Head() != before {
		t.Errorf("without a key it wrote %+v", answer.Facts)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_, tenant = open(t, dir)
	for _, r := range nothing {
		answer := do(r)
		if !answer.Replayed || len(answer.Facts) != 1 || answer.Facts[0].Event.Kind() != "NothingChanged" {
			t.Errorf("%s: %+v", r.Key, answer)
		}
		r.Hash = credit.Hash{2}
		var conflict *accounts.Conflict
		if answer := tenant.Do(t.Context(), r); !errors.As(answer.Err, &conflict) {
			t.Errorf("%s for another request: %+v", r.Key, answer)
		}
	}
	if a, _, _, err := tenant.Account("a"); err != nil || a.Closed() {
		t.Errorf("the repetition of a close closed what was reopened: %v", err)
	}
}
