package purchases

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// SandboxName is the name of the provider that moves no money.
const SandboxName = "sandbox"

// SandboxConfig says how the sandbox runs.
type SandboxConfig struct {
	// URL is where the server is reached, "http://127.0.0.1:8080": the sandbox sends its notifications
	// there and its checkout page is under it.
	URL string
	// SettleAfter is how long a charge of a saved method takes unless it is settled by hand before.
	// Default 3 s.
	SettleAfter time.Duration
	// Clock is the time that payments are dated by: that of the server, which may be a test clock.
	Clock func() time.Time
	// Now dates signatures; default time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Sandbox is a payment provider that moves no money: a second party, with a secret of its own, that
// speaks to the server as a real one does, by signed notifications over HTTP, and as badly: it says
// everything more than once and out of order.
//
// A saved method whose reference contains "declined" is declined, one with "action" needs the buyer;
// every other pays. What the sandbox remembers is only what it still has to say; after a restart it is
// asked again (Provider.Status).
type Sandbox struct {
	cfg    SandboxConfig
	log    *slog.Logger
	secret []byte
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{}

	mu      sync.Mutex
	charges map[orderKey]Order // asked for and not settled
	letters []letter           // to be sent, in no order
}

type orderKey struct{ tenant, purchase string }

// letter is a notification to be sent at a time. A charge is one whose outcome is open until then.
type letter struct {
	at       time.Time
	order    Order
	state    State
	charge   bool
	attempts int
}

// StartSandbox starts the second party. Close ends it.
func StartSandbox(cfg SandboxConfig) *Sandbox {
	cfg.SettleAfter = cmp.Or(cfg.SettleAfter, 3*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Clock == nil {
		cfg.Clock = cfg.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sandbox{
		cfg: cfg, log: cfg.Logger, secret: make([]byte, 32), client: &http.Client{Timeout: 15 * time.Second},
		cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1), charges: make(map[orderKey]Order),
	}
	rand.Read(s.secret)
	go s.run(ctx)
	return s
}

// Close ends the second party; what it still had to say it says when it is asked after the next start.
func (s *Sandbox) Close() {
	s.cancel()
	<-s.done
	s.client.CloseIdleConnections()
}

// Name is "sandbox".
func (s *Sandbox) Name() string { return SandboxName }

// Checkout is the page with the two buttons.
func (s *Sandbox) Checkout(_ context.Context, o Order) (string, error) { return s.page(o), nil }

func (s *Sandbox) page(o Order) string {
	return s.cfg.URL + "/pay/sandbox/" + url.PathEscape(o.Tenant) + "/" + url.PathEscape(o.Purchase)
}

// Charge takes the order in; it is settled later.
func (s *Sandbox) Charge(_ context.Context, o Order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := orderKey{o.Tenant, o.Purchase}
	if _, known := s.charges[key]; known {
		return nil
	}
	s.charges[key] = o
	s.post(letter{at: s.cfg.Now().Add(s.cfg.SettleAfter), order: o, charge: true})
	return nil
}

// Status knows what is not settled yet.
func (s *Sandbox) Status(_ context.Context, o Order) (Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Notice{Tenant: o.Tenant, Purchase: o.Purchase}
	if _, known := s.charges[orderKey{o.Tenant, o.Purchase}]; known {
		n.State = Processing
	}
	return n, nil
}

// Refund has no money to move.
func (s *Sandbox) Refund(_ context.Context, o Order, money credit.Money) error {
	s.log.Info("sandbox: refunded", "tenant", o.Tenant, "purchase", o.Purchase, "money", money)
	return nil
}

// Rejected is the server's answer to a notification that it did not accept.
type Rejected struct {
	Status int
	Code   rules.Code
	Detail string
}

// Error is the code and the detail.
func (r *Rejected) Error() string {
	return fmt.Sprintf("notification answered with %d: %s: %s", r.Status, r.Code, r.Detail)
}

// Settle decides an order by hand, as Succeeded, Declined, Disputed or another state, and returns when the
// server has taken the notification in. It is said again afterwards, with what was said before it.
func (s *Sandbox) Settle(ctx context.Context, o Order, state State) error {
	s.mu.Lock()
	delete(s.charges, orderKey{o.Tenant, o.Purchase})
	s.mu.Unlock()
	if err := s.deliver(ctx, o, state); err != nil {
		return fmt.Errorf("settle purchase %s: %w", o.Purchase, err)
	}
	s.repeat(o, state)
	return nil
}

// repeat sends, after the outcome, what came before it, and the outcome once more.
func (s *Sandbox) repeat(o Order, state State) {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.post(letter{at: now.Add(20 * time.Millisecond), order: o, state: Processing})
	s.post(letter{at: now.Add(60 * time.Millisecond), order: o, state: state})
}

// post is called with the lock held.
func (s *Sandbox) post(l letter) {
	s.letters = append(s.letters, l)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the second party's goroutine: it sends what is due.
func (s *Sandbox) run(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		due, wait := s.due()
		for _, l := range due {
			s.send(ctx, l)
		}
		if len(due) > 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// due takes out the letters whose time has come and says how long until the next one.
func (s *Sandbox) due() (due []letter, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, rest := s.cfg.Now(), s.letters[:0]
	wait = time.Minute
	for _, l := range s.letters {
		if l.at.After(now) {
			rest = append(rest, l)
			wait = min(wait, l.at.Sub(now))
		} else {
			due = append(due, l)
		}
	}
	s.letters = rest
	return due, wait
}

// retries is how often a notification is sent that nobody takes; the pauses double from 100 ms on.
const retries = 12

func (s *Sandbox) send(ctx context.Context, l letter) {
	if l.charge {
		s.mu.Lock()
		_, open := s.charges[orderKey{l.order.Tenant, l.order.Purchase}]
		s.mu.Unlock()
		if !open {
			return
		}
		l.state = outcome(l.order.Method)
	}
	err := s.deliver(ctx, l.order, l.state)
	var rejected *Rejected
	final := errors.As(err, &rejected) && rejected.Status >= 400 && rejected.Status < 500
	if err != nil && !final && ctx.Err() == nil && l.attempts < retries {
		l.at = s.cfg.Now().Add(100 * time.Millisecond << l.attempts)
		l.attempts++
		s.mu.Lock()
		s.post(l)
		s.mu.Unlock()
		return
	}
	if err != nil {
		s.log.Warn("sandbox: a notification was not taken", "purchase", l.order.Purchase, "state", l.state, "error", err)
	}
	if l.charge {
		s.mu.Lock()
		delete(s.charges, orderKey{l.order.Tenant, l.order.Purchase})
		s.mu.Unlock()
		s.repeat(l.order, l.state)
	}
}

// outcome is what a charge of a saved method comes to.
func outcome(m credit.PaymentMethod) State {
	switch {
	case strings.Contains(m.Reference, "declined"):
		return Declined
	case strings.Contains(m.Reference, "action"):
		return RequiresAction
	}
	return Succeeded
}

func (s *Sandbox) deliver(ctx context.Context, o Order, state State) error {
	body, err := json.Marshal(s.notification(o, state))
	if err != nil {
		return fmt.Errorf("encode a notification: %w", err)
	}
	to := s.cfg.URL + "/v1/tenants/" + url.PathEscape(o.Tenant) + "/payments/" + SandboxName
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("notify %s: %w", to, err)
	}
	request.Header.Set("Content-Type", "application/json")
	Sign(request.Header, s.secret, "msg_"+o.Purchase+"_"+string(state), body, s.cfg.Now())
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("notify the server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 == 2 {
		return nil
	}
	rejected := &Rejected{Status: response.StatusCode}
	var problem struct {
		Code   rules.Code `json:"code"`
		Detail string     `json:"detail"`
	}
	if err := json.NewDecoder(response.Body).Decode(&problem); err == nil {
		rejected.Code, rejected.Detail = problem.Code, problem.Detail
	}
	return rejected
}
