package purchases

import (
	"context"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
)

// resumePage is how many accounts are read before the search rests; restAfter says for how long, so that
// it never takes more than about a fifth of one processor.
const (
	resumePage = 500
	restFactor = 4
)

// Resume asks the providers, in the background, about every purchase of the tenants open now that was
// being processed when the server stopped: their notifications may have come while nobody listened.
func (s *Service) Resume() {
	s.done.Go(func() {
		for _, t := range s.cfg.Accounts.Tenants() {
			if err := s.resume(s.ctx, t); err != nil && s.ctx.Err() == nil {
				s.log.Error("purchases under way could not all be asked about", "tenant", t.Name(), "error", err)
			}
		}
	})
}

func (s *Service) resume(ctx context.Context, t *accounts.Tenant) error {
	for _, shard := range t.Shards() {
		for after := ""; ; {
			started := time.Now()
			page, next, err := shard.View().Accounts(after, resumePage, isPaying)
			if err != nil {
				return err
			}
			for _, a := range page {
				s.askAbout(ctx, t, a)
			}
			if next == "" {
				break
			}
			after = next
			select {
			case <-time.After(restFactor * time.Since(started)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func isPaying(a *credit.Account) bool {
	for _, p := range a.Purchases() {
		if p.Status == credit.Processing {
			return true
		}
	}
	return false
}

// askAbout asks about one account's purchases. A charge that the provider never heard of is asked for
// again: its buyer has confirmed it.
func (s *Service) askAbout(ctx context.Context, t *accounts.Tenant, a *credit.Account) {
	for _, p := range a.Purchases() {
		provider := s.provider(p.Provider)
		if p.Status != credit.Processing || provider == nil {
			continue
		}
		order := orderOf(t, a, p)
		n, err := provider.Status(ctx, order)
		switch {
		case err != nil:
		case n.State == Unheard && p.Method != "":
			err = provider.Charge(ctx, order)
		case n.State != Unheard && n.State != Processing:
			err = s.settle(ctx, t, order, p, p.Provider, n)
		}
		if err != nil {
			s.log.Warn("a purchase under way could not be asked about", "tenant", t.Name(), "purchase", p.ID, "error", err)
		}
	}
}
