package accounts_test

import (
	"fmt"
	"sync"
	"testing"

	"creditstream/events/credit"
)

// Whoever was answered reads what he was answered, though the answer does not wait for the view.
func TestReadsShowWhatWasAnswered(t *testing.T) {
	_, tenant := open(t, t.TempDir())
	var wait sync.WaitGroup
	for client := range 8 {
		account := fmt.Sprint("a", client)
		opening(t, tenant, account, 200_00)
		wait.Go(func() {
			for i := range 150 {
				key := fmt.Sprintf("%s-%04d", account, i)
				answer := tenant.Do(t.Context(), use(account, key, 1))
				if answer.Err != nil {
					t.Error(answer.Err)
					return
				}
				if left, want := remaining(t, tenant, account), credit.Amount(200_00-100*(i+1)); left != want {
					t.Errorf("%s: %d remain after charge %d was answered, not %d", account, left, i, want)
					return
				}
				if at := tenant.Shard(account).Head(); at < answer.Position.Sequence {
					t.Errorf("the head is %d after %d was answered", at, answer.Position.Sequence)
				}
				if _, _, ok, err := tenant.Shard(account).Used(t.Context(), account, key); !ok || err != nil {
					t.Errorf("the charge just answered is not found: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
}
