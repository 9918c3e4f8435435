package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// importBatch is how many accounts are opened by one request, and importers how many such requests are
// under way: one is built while another one is on its way to the disk.
const (
	importBatch = 2000
	importers   = 2
)

// nameAccounts chooses the working set, spread evenly over all accounts, so that it shares its blocks on disk
// with accounts that nobody touches.
func (t *target) nameAccounts() {
	t.names = make([]string, t.cfg.WorkingSet)
	for i := range t.names {
		t.names[i] = AccountName(i * t.cfg.Accounts / t.cfg.WorkingSet)
	}
}

// openAccounts opens all accounts with their lots.
func (t *target) openAccounts(ctx context.Context) error {
	t.nameAccounts()
	if t.node == nil {
		return t.postAccounts(ctx, 0, t.cfg.Accounts, t.cfg.Lots)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	firsts := make(chan int)
	faults := make([]error, importers)
	var wait sync.WaitGroup
	for i := range faults {
		wait.Go(func() {
			if faults[i] = t.importFrom(ctx, firsts); faults[i] != nil {
				cancel()
			}
		})
	}
	for first := 0; first < t.cfg.Accounts && ctx.Err() == nil; first += importBatch {
		select {
		case firsts <- first:
		case <-ctx.Done():
		}
	}
	close(firsts)
	wait.Wait()
	return errors.Join(faults...)
}

// importFrom opens importBatch accounts from each number that it gets.
func (t *target) importFrom(ctx context.Context, firsts <-chan int) error {
	lots := make([]rules.OpeningLot, t.cfg.Lots)
	for i := range lots {
		lots[i] = rules.OpeningLot{Pool: "credits", Credits: fortune / credit.Amount(t.cfg.Lots)}
	}
	requests := make([]accounts.Request, 0, importBatch)
	for first := range firsts {
		requests = requests[:0]
		for i := first; i < min(first+importBatch, t.cfg.Accounts); i++ {
			requests = append(requests, accounts.Request{Account: AccountName(i), Command: &rules.ImportAccount{Lots: lots}})
		}
		for _, answer := range t.tenant.DoAll(ctx, requests) {
			if answer.Err != nil {
				return fmt.Errorf("open account: %w", answer.Err)
			}
		}
	}
	return nil
}

// postAccounts opens the accounts from one number up to, and without, another over HTTP: for a server in a
// process of its own.
func (t *target) postAccounts(ctx context.Context, from, to, lots int) error {
	door := newOverHTTP(t.http)
	defer door.Close()
	share := (fortune / credit.Amount(lots)).Format(scale)
	opening := strings.TrimSuffix(strings.Repeat(`{"pool":"credits","credits":"`+share+`"},`, lots), ",")
	for first := from; first < to; first += importBatch {
		last := min(first+importBatch, to)
		door.body = door.body[:0]
		for i := first; i < last; i++ {
			door.body = fmt.Appendf(door.body, "{\"account\":%q,\"lots\":[%s]}\n", AccountName(i), opening)
		}
		answer, err := door.ask(ctx, "/accounts/batch", "application/x-ndjson", "\r\nIdempotency-Key: open-"+strconv.Itoa(first))
		if err != nil {
			return err
		}
		if want := fmt.Sprintf(`"opened":%d`, last-first); !strings.Contains(string(answer), want) {
			return fmt.Errorf("open accounts: %s is expected, the answer is %.300s", want, answer)
		}
	}
	return nil
}

// AccountName is the name of an account of a run, from 0.
func AccountName(i int) string { return "account-" + strconv.Itoa(i) }
