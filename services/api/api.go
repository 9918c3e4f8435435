package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/intake"
	"creditstream/services/personal"
	"creditstream/services/purchases"
)

// Config is what the doors need. Zero numbers stand for their defaults.
type Config struct {
	Accounts    *accounts.Service
	Credentials *credentials.Store
	// Personal keeps the keys of what people write about accounts; nil where texts are not sealed.
	Personal *personal.Store
	Logger   *slog.Logger

	// Dev makes a request without a key the operator's, when it comes from this machine and not from
	// another site's page in a browser.
	Dev bool
	// AllowSandbox lets sandbox payments be settled by hand outside Dev, too.
	AllowSandbox bool
	// TestClock is the clock that POST /v1/admin/test-clock moves; nil when time is real.
	TestClock *accounts.TestClock
	// Purchases takes payments; Sandbox is its provider that moves no money, nil where it is not open.
	Purchases *purchases.Service
	Sandbox   *purchases.Sandbox
	// Intake keeps the list of refused usage; nil where none runs.
	Intake *intake.Intake
	// Advance lets happen what fell due by the test clock.
	Advance func(ctx context.Context) error
	// AddTenant makes a tenant; it returns when the tenant can be asked.
	AddTenant func(ctx context.Context, name string, shards int) error

	// Views keeps the views; Statement and Usage are those that questions are answered from.
	Views     *projections.Runner
	Statement func(journal.Name) (*statement.View, error)
	Usage     func(journal.Name) (*usage.View, error)
	// Journal returns a tenant's open journal.
	Journal func(tenant string, shard int) *journal.Journal
	// Verify folds journals anew and compares; the answer is a VerifyAnswer.
	Verify func(ctx context.Context, v Verify) (report any, err error)
	// SignedHeads are where a tenant's journals stand, signed.
	SignedHeads func(tenant string) []journal.SignedHead
	// Patrol is how far the continuous check of the books is; nil when it is off, as a function or its answer.
	Patrol func() *projections.PatrolStatus

	// Backup writes a backup as a tar file; the error is ErrBackingUp while another one is under way.
	Backup func(ctx context.Context, w io.Writer, journalOnly bool) error

	// Limits bound what one client may ask for.
	Limits Limits
	// AnswerWithin bounds how long a request waits for the journal; then it is unavailable and its
	// outcome unknown. Default 10 s.
	AnswerWithin time.Duration
}

// API is the doors of one server.
type API struct {
	cfg      Config
	log      *slog.Logger
	limits   limits
	visits   visits
	metrics  *metrics
	document []byte // OpenAPI
	handler  http.Handler
	often    often
}

// New returns the doors; nothing listens yet.
func New(cfg Config) *API {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Limits.setDefaults()
	if cfg.AnswerWithin == 0 {
		cfg.AnswerWithin = 10 * time.Second
	}
	a := &API{cfg: cfg, log: cfg.Logger, metrics: newMetrics()}
	a.visits.grace = cutGrace
	a.limits.set(cfg.Limits)
	a.handler = a.mux()
	return a
}

// Handler serves everything of API.md under its own paths.
func (a *API) Handler() http.Handler { return a.handler }

// Server returns a server for the handler whose timeouts a slow client cannot stretch. Streams lift the
// write timeout for themselves.
func Server(handler http.Handler) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	tellStopping(server)
	return server
}

// serve takes a request through the checks in the order of API.md: key, tenant, and then the handler's
// own, body first.
func (a *API) serve(rt *route) http.Handler {
	counted := a.metrics.of(rt.id)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ctx, cut, end := a.bound(r.Context(), rt)
		defer end()
		c := &call{API: a, ctx: ctx, w: w, r: r, route: rt}
		visit, entered := a.visits.enter(rt.id, cut)
		if !entered {
			counted.observe(c.write(problemReply(c, errStopping)), time.Since(started))
			return
		}
		defer a.visits.leave(visit)
		defer c.release()
		reply, err := c.carryOut()
		if err != nil {
			reply = problemReply(c, err)
		}
		status := c.write(reply)
		counted.observe(status, time.Since(started))
	})
}

// errStopping answers whoever comes when the doors are closed.
var errStopping = fmt.Errorf("%w: the server is stopping", accounts.ErrUnavailable)

// bound limits how long a request may take, unless it answers for as long as its client listens. cut ends it at
// once, and end is for when it has been answered.
func (a *API) bound(ctx context.Context, rt *route) (bounded context.Context, cut, end context.CancelFunc) {
	if own, is := ctx.(endingContext); is && !rt.stream {
		return ctx, own.EndAfter(a.cfg.AnswerWithin), func() {}
	}
	if rt.stream {
		ctx, cut = context.WithCancel(ctx)
	} else {
		ctx, cut = context.WithTimeout(ctx, a.cfg.AnswerWithin)
	}
	return ctx, cut, cut
}

// endingContext is the context of a request whose server sees to its end, so that no timer has to be set for it.
type endingContext interface {
	EndAfter(d time.Duration) (cut context.CancelFunc)
}

// Close lets no request in any more and returns when none is under way: then nothing that they use is used by
// them. What is there when ctx ends is cut short. The error is ErrBusy when something did not heed that.
func (a *API) Close(ctx context.Context) error { return a.visits.close(ctx) }

// carryOut runs the checks and the handler. A panic is a broken invariant: the outcome is unknown.
func (c *call) carryOut() (answer reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			if fault, ok := p.(error); ok && errors.Is(fault, http.ErrAbortHandler) {
				panic(p)
			}
			answer, err = reply{}, c.panicked(p)
		}
	}()
	if err := c.admitAddress(); err != nil {
		return reply{}, err
	}
	if err := c.authenticate(); err != nil {
		return reply{}, err
	}
	if err := c.authorize(); err != nil {
		return reply{}, err
	}
	if err := c.readKey(); err != nil {
		return reply{}, err
	}
	if err := c.findTenant(); err != nil {
		return reply{}, err
	}
	end, err := c.admitTenant()
	if err != nil {
		return reply{}, err
	}
	defer end()
	return c.route.handle(c)
}
