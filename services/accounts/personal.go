package accounts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// Texts seals what people write about an account, before it is decided on. The keys are somewhere else than
// the journal (services/personal).
type Texts interface {
	// Sealer returns what seals the account's texts. Without a key it makes one if create says so, and
	// returns nil otherwise.
	Sealer(ctx context.Context, tenant, account string, create bool) (Sealer, error)
	// Hash binds the content hash of a request with texts to a secret, so that it cannot be used to try out
	// what they were.
	Hash(tenant, account string, h credit.Hash) credit.Hash
}

// Sealer seals the texts of one account: the same text to the same sealed one.
type Sealer interface{ Seal(text string) string }

// sealed returns the request with its texts sealed, if it has any. opening says that the account may be opened
// by a request that comes before it: then, or when it is there, a first text makes the account's key.
func (s *Shard) sealed(ctx context.Context, r Request, opening bool) (Request, error) {
	if s.cfg.Texts == nil || !rules.HasTexts(r.Command) {
		return r, nil
	}
	sealer, err := s.cfg.Texts.Sealer(ctx, s.cfg.Tenant, r.Account, opening || rules.Opens(r.Command))
	if err == nil && sealer == nil {
		sealer, err = s.firstSealer(ctx, r.Account)
	}
	if err != nil {
		return r, fmt.Errorf("%w: seal the texts of account %s: %w", ErrUnavailable, r.Account, err)
	}
	if sealer == nil {
		r.Command = unopened{}
		return r, nil
	}
	r.Command = rules.Sealed(r.Command, sealer.Seal)
	if r.Key != "" {
		r.Hash = s.cfg.Texts.Hash(s.cfg.Tenant, r.Account, r.Hash)
	}
	return r, nil
}

// firstSealer makes the key of an account that has none, nil if there is no such account: whoever sends
// texts for accounts that do not exist makes no keys.
func (s *Shard) firstSealer(ctx context.Context, account string) (Sealer, error) {
	a, err := s.View().Load(account)
	if err != nil || !a.Exists() {
		return nil, err
	}
	return s.cfg.Texts.Sealer(ctx, s.cfg.Tenant, account, true)
}

// allSealed is sealed for requests that are carried out in order. The slice given is not changed.
func (s *Shard) allSealed(ctx context.Context, requests []Request) ([]Request, error) {
	if s.cfg.Texts == nil || !anyTexts(requests) {
		return requests, nil
	}
	requests = slices.Clone(requests)
	opened := make(map[string]bool)
	for i := range requests {
		r := &requests[i]
		opens := rules.Opens(r.Command)
		var err error
		if *r, err = s.sealed(ctx, *r, opened[r.Account]); err != nil {
			return nil, err
		}
		if opens {
			opened[r.Account] = true
		}
	}
	return requests, nil
}

func anyTexts(requests []Request) bool {
	for i := range requests {
		if rules.HasTexts(requests[i].Command) {
			return true
		}
	}
	return false
}

// unopened stands for a command with texts for an account that was not there when it came.
type unopened struct{}

// Decide refuses: the texts were not sealed and must not come into the journal.
func (unopened) Decide(a *credit.Account, _ *rules.Book, _ time.Time) ([]credit.Fact, error) {
	return nil, rules.UnknownAccount(a.ID())
}
