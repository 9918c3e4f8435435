package node

import (
	"fmt"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// The first text about an account may come as soon as its opening was answered, though no view shows it yet.
func TestTheFirstTextMayFollowTheOpeningAtOnce(t *testing.T) {
	t.Parallel()
	_, tenant := openShop(t, Config{Data: t.TempDir(), TestClock: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)})
	for i := range 100 {
		account := fmt.Sprint("a", i)
		for _, c := range []rules.Command{
			&rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "bought", Credits: 10_00}}},
			&rules.Use{Meter: "call", Quantity: 1, Description: "a text"},
		} {
			r := accounts.Request{Account: account, Key: fmt.Sprintf("%T", c), Hash: credit.Hash{1}, Command: c}
			if answer := tenant.Do(t.Context(), r); answer.Err != nil {
				t.Fatalf("account %s, %T: %v", account, c, answer.Err)
			}
		}
	}
}
