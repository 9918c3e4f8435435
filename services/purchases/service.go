package purchases

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// Codes verifies the codes that guard buying. It is what *credentials.Store does.
type Codes interface {
	Verify(ctx context.Context, tenant, account, code string, now time.Time) error
	Has(tenant, account string) credentials.Kind
}

// Config is what purchases need.
type Config struct {
	Accounts *accounts.Service
	Codes    Codes
	// Providers take the money. The first is the one of accounts whose saved method names no other.
	// Without any nothing can be bought.
	Providers []Provider
	// Now dates signatures: the real time, also where a test clock rules everything else. Default
	// time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// ErrNoProvider says that no payment provider is set up that could take the money.
var ErrNoProvider = fmt.Errorf("%w: no payment provider is set up", accounts.ErrUnavailable)

// turns is how many accounts can have a code checked at once without waiting for one another.
const turns = 256

// Service carries purchases from request to credit. It is safe for concurrent use.
type Service struct {
	cfg  Config
	log  *slog.Logger
	seed maphash.Seed
	turn [turns]sync.Mutex

	mu         sync.Mutex
	mismatched map[string]struct{} // payments of a wrong amount that are in the journal

	stop context.CancelFunc
	ctx  context.Context
	done sync.WaitGroup
}

// New returns a service that has asked nobody anything yet; see Resume.
func New(cfg Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, log: cfg.Logger, seed: maphash.MakeSeed(), mismatched: make(map[string]struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Close ends what Resume started.
func (s *Service) Close() {
	s.stop()
	s.done.Wait()
}

// Wanted is a purchase that somebody asks for: a pack, or a top-up for an amount of money.
type Wanted struct {
	Tenant   *accounts.Tenant
	Account  string
	Key      string
	Hash     credit.Hash
	Actor    string
	Pack     string
	TopUp    credit.Money
	Code     string // the approval code as typed; it goes nowhere but to its verification
	Metadata credit.Metadata
}

// Requested is the answer to a purchase that was asked for.
type Requested struct {
	*credit.PurchaseRequested
	At          time.Time
	CheckoutURL string
	Answer      accounts.Answer
}

// Request starts a purchase. The loop is asked first without a code: a repeated request and one that
// would be refused anyhow are answered there, so that only a purchase for which nothing but the code is
// missing costs one of the account's tries.
func (s *Service) Request(ctx context.Context, w Wanted) (*Requested, error) {
	provider, err := s.providerOf(w)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("name a purchase: %w", err)
	}
	command := rules.RequestPurchase{
		Purchase: id.String(), Pack: w.Pack, TopUp: w.TopUp, Provider: provider.Name(), Metadata: w.Metadata,
	}
	answer := w.do(ctx, command)
	if codeOf(answer.Err) == rules.CodeApprovalRequired {
		answer = s.approve(ctx, w, command)
	}
	if answer.Err != nil {
		return nil, answer.Err
	}
	return s.requested(ctx, w, answer)
}

func (w *Wanted) do(ctx context.Context, command rules.RequestPurchase) accounts.Answer {
	return w.Tenant.Do(ctx, accounts.Request{Account: w.Account, Key: w.Key, Hash: w.Hash, Actor: w.Actor, Command: command})
}

// approve verifies the code and asks again. One account's codes are looked at one after another: of two
// copies of a request that arrive together the second finds the first's answer, though its code is used.
func (s *Service) approve(ctx context.Context, w Wanted, command rules.RequestPurchase) accounts.Answer {
	tenant := w.Tenant.Name()
	turn := &s.turn[maphash.String(s.seed, tenant+"/"+w.Account)%turns]
	turn.Lock()
	defer turn.Unlock()
	if err := s.cfg.Codes.Verify(ctx, tenant, w.Account, w.Code, w.Tenant.Now()); err != nil {
		if again := w.do(ctx, command); codeOf(again.Err) != rules.CodeApprovalRequired {
			return again
		}
		return accounts.Answer{Err: err}
	}
	command.Approved = string(s.cfg.Codes.Has(tenant, w.Account))
	return w.do(ctx, command)
}

func (s *Service) requested(ctx context.Context, w Wanted, answer accounts.Answer) (*Requested, error) {
	for i := range answer.Facts {
		fact, ok := answer.Facts[i].Event.(*credit.PurchaseRequested)
		if !ok {
			continue
		}
		r := &Requested{PurchaseRequested: fact, At: answer.Facts[i].At, Answer: answer}
		provider := s.provider(fact.Provider)
		if provider == nil {
			return r, nil
		}
		var err error
		order := Order{Tenant: w.Tenant.Name(), Account: w.Account, Purchase: fact.Purchase, Price: fact.Price}
		if r.CheckoutURL, err = provider.Checkout(ctx, order); err != nil {
			return nil, fmt.Errorf("%w: open the checkout of purchase %s: %w", accounts.ErrUnavailable, fact.Purchase, err)
		}
		return r, nil
	}
	return nil, fmt.Errorf("%w: the entry holds no PurchaseRequested", accounts.ErrUnavailable)
}

// Confirm is the buyer's word that the saved method may be charged (W8), and the charge. request carries
// account, key and actor.
func (s *Service) Confirm(ctx context.Context, t *accounts.Tenant, request accounts.Request, purchase string) (accounts.Answer, error) {
	request.Command = rules.ApprovePurchase{Purchase: purchase}
	answer := t.Do(ctx, request)
	if answer.Err != nil {
		return answer, answer.Err
	}
	a, _, _, err := t.Account(request.Account)
	if err != nil {
		return answer, err
	}
	p := a.Purchase(purchase)
	if p == nil || p.Status != credit.Processing || p.Method == "" {
		return answer, nil // paid, or over, since
	}
	provider := s.provider(p.Provider)
	if provider == nil {
		return answer, ErrNoProvider
	}
	if err := provider.Charge(ctx, orderOf(t, a, p)); err != nil {
		return answer, fmt.Errorf("%w: charge purchase %s: %w", accounts.ErrUnavailable, purchase, err)
	}
	return answer, nil
}

// Refund takes back what is left of a purchase and has the provider give the money for it back. A
// repetition with the same key tells the provider again, in case it was not reached.
func (s *Service) Refund(ctx context.Context, t *accounts.Tenant, request accounts.Request, purchase, reason string) (accounts.Answer, error) {
	request.Command = rules.RefundPurchase{Purchase: purchase, Reason: reason}
	answer := t.Do(ctx, request)
	if answer.Err != nil {
		return answer, answer.Err
	}
	for i := range answer.Facts {
		refunded, ok := answer.Facts[i].Event.(*credit.PurchaseRefunded)
		if !ok || refunded.Money.Minor == 0 {
			continue
		}
		a, _, _, err := t.Account(request.Account)
		if err != nil {
			return answer, err
		}
		p := a.Purchase(purchase)
		provider := s.provider(p.Provider)
		if provider == nil {
			return answer, ErrNoProvider
		}
		if err := provider.Refund(ctx, orderOf(t, a, p), refunded.Money); err != nil {
			return answer, fmt.Errorf("%w: refund purchase %s: %w", accounts.ErrUnavailable, purchase, err)
		}
	}
	return answer, nil
}

// CheckoutURL is where a purchase that awaits its payment is paid; "" when it does not, any more.
func (s *Service) CheckoutURL(ctx context.Context, t *accounts.Tenant, a *credit.Account, p *credit.Purchase) (string, error) {
	provider := s.provider(p.Provider)
	if !p.Pays() || provider == nil {
		return "", nil
	}
	return provider.Checkout(ctx, orderOf(t, a, p))
}

// Order finds a purchase of the tenant, whichever account it is for. The error is the refusal
// unknown_purchase when there is none.
func (s *Service) Order(t *accounts.Tenant, purchase string) (Order, *credit.Purchase, error) {
	for _, shard := range t.Shards() {
		account, found, err := shard.View().PurchaseAccount(purchase)
		if err != nil {
			return Order{}, nil, fmt.Errorf("find purchase %.64q: %w", purchase, err)
		}
		if !found {
			continue
		}
		a, _, _, err := t.Account(account)
		if err != nil {
			return Order{}, nil, err
		}
		if p := a.Purchase(purchase); p != nil {
			return orderOf(t, a, p), p, nil
		}
	}
	return Order{}, nil, &rules.Refusal{Code: rules.CodeUnknownPurchase, Detail: fmt.Sprintf("there is no purchase %.64q", purchase)}
}

func orderOf(t *accounts.Tenant, a *credit.Account, p *credit.Purchase) Order {
	return Order{Tenant: t.Name(), Account: a.ID(), Purchase: p.ID, Price: p.Price, Method: a.PaymentMethod()}
}

// provider returns the one of that name, or nil.
func (s *Service) provider(name string) Provider {
	for _, p := range s.cfg.Providers {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// providerOf is who collects the money: the provider of the saved method, or else the first.
func (s *Service) providerOf(w Wanted) (Provider, error) {
	if len(s.cfg.Providers) == 0 {
		return nil, ErrNoProvider
	}
	a, _, _, err := w.Tenant.Account(w.Account)
	if err != nil {
		return nil, err
	}
	if p := s.provider(a.PaymentMethod().Provider); p != nil {
		return p, nil
	}
	return s.cfg.Providers[0], nil
}

func codeOf(err error) rules.Code {
	var refusal *rules.Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}
