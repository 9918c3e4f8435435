package load

import (
	"context"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// inProcess calls the service that stands behind the doors.
type inProcess struct {
	tenant   *accounts.Tenant
	requests []accounts.Request
}

func (p *inProcess) Charge(ctx context.Context, batch []Charge) error {
	if len(batch) == 1 {
		return p.tenant.Do(ctx, requestOf(batch[0])).Err
	}
	p.requests = p.requests[:0]
	for _, c := range batch {
		p.requests = append(p.requests, requestOf(c))
	}
	for _, answer := range p.tenant.DoAll(ctx, p.requests) {
		if answer.Err != nil {
			return answer.Err
		}
	}
	return nil
}

func requestOf(c Charge) accounts.Request {
	return accounts.Request{Account: c.Account, Key: c.Key, Hash: credit.Hash{1}, Command: &rules.Use{Meter: meter, Quantity: 1}}
}

func (p *inProcess) check(_ context.Context, account string) error {
	a, now, _, err := p.tenant.Account(account)
	if err != nil {
		return err
	}
	if quote := rules.Check(a, p.tenant.Books(), meter, 1, now); !quote.Allowed {
		return quote.Refusal
	}
	return nil
}

func (p *inProcess) Close() {}
