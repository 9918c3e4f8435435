package accounts_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// large writes an entry of about so many bytes, and counts how often it is decided.
type large struct {
	bytes int
	times *atomic.Int32
}

// Decide states a use of nothing.
func (l large) Decide(_ *credit.Account, _ *rules.Book, now time.Time) ([]credit.Fact, error) {
	l.times.Add(1)
	return []credit.Fact{{At: now, Event: &credit.UsageRecorded{Meter: "call", Quantity: 1, Catalog: 1, Attributes: json.RawMessage(`"` + strings.Repeat("x", l.bytes) + `"`)}}}, nil
}

// An entry that the open commit has no room for begins the next one: it is decided once, in its order, and no commit is
// more than the journal takes.
func TestAnEntryWithoutRoomBeginsTheNextCommit(t *testing.T) {
	n, tenant := open(t, t.TempDir())
	random := rand.New(rand.NewPCG(3, 5))
	const count = 600
	times := make([]atomic.Int32, count)
	requests := make([]accounts.Request, count)
	for i := range requests {
		size := 20
		switch {
		case i%10 == 0:
			size = 380 << 10
		case i%3 == 0:
			size = random.IntN(200 << 10)
		}
		account := fmt.Sprint("a", i%7)
		if i < 7 {
			requests[i] = accounts.Request{Account: account, Command: &rules.PutAccount{Plan: rules.Set("pro")}}
			times[i].Add(1)
			continue
		}
		requests[i] = accounts.Request{Account: account, Key: fmt.Sprint("k", i), Hash: credit.Hash{1}, Command: large{size, &times[i]}}
	}
	published := make(chan error, 1)
	go func() {
		_, _, err := tenant.Publish(t.Context(), []byte(catalog+strings.Repeat("# what a catalog may say as well\n", 7000)), "ana")
		published <- err
	}()
	for i, answer := range tenant.DoAll(t.Context(), requests) {
		if answer.Err != nil {
			t.Fatalf("request %d: %v", i, answer.Err)
		}
		if got := times[i].Load(); got != 1 {
			t.Errorf("request %d was decided %d times", i, got)
		}
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
	var keys []string
	greatest := 0
	for commit, err := range n.Journal("shop", 0).Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		greatest = max(greatest, len(commit.Body))
		entries, err := credit.DecodeCommit(commit.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Key != "" {
				keys = append(keys, e.Key)
			}
		}
	}
	if greatest > journal.MaxBody || greatest < journal.MaxBody*8/10 {
		t.Errorf("the largest commit has %d bytes", greatest)
	}
	for i, key := range keys {
		if want := fmt.Sprint("k", i+7); key != want {
			t.Fatalf("entry %d has the key %s, not %s", i, key, want)
		}
	}
	if len(keys) != count-7 {
		t.Errorf("%d entries have keys", len(keys))
	}
	if report, err := n.Verify(t.Context(), "", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v, %v", report, err)
	}
}
