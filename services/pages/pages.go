package pages

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/projections/usage"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/look"
	"creditstream/services/purchases"
)

//go:embed templates texts assets
var files embed.FS

// Config is what pages need: the services and views that the HTTP door uses.
type Config struct {
	Look        *look.Look
	Accounts    *accounts.Service
	Credentials *credentials.Store
	Purchases   *purchases.Service
	Views       *projections.Runner
	Statement   func(journal.Name) (*statement.View, error)
	Usage       func(journal.Name) (*usage.View, error)
	Journal     func(tenant string, shard int) *journal.Journal
	// Open returns what was written about an account as it was written, "" when it was erased or cannot be read.
	Open   func(ctx context.Context, tenant, account, text string) string
	Logger *slog.Logger
	// Dev opens pages without a token, to requests from this machine.
	Dev bool
	// AnswerWithin bounds how long a page waits for the journal. Default 10 s.
	AnswerWithin time.Duration
}

// Pages serves the pages of one server.
type Pages struct {
	cfg   Config
	log   *slog.Logger
	pages *look.Pages
	texts map[string]look.Texts
	live  *hub
	// seal signs that a code was given. It lasts as long as the process: after a restart the code is asked
	// for again.
	seal    [32]byte
	handler http.Handler
}

// New returns the pages; Close ends what they follow.
func New(cfg Config) (*Pages, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.AnswerWithin == 0 {
		cfg.AnswerWithin = 10 * time.Second
	}
	p := &Pages{cfg: cfg, log: cfg.Logger, live: newHub(cfg.Journal, cfg.Logger)}
	rand.Read(p.seal[:])
	style, err := files.ReadFile("assets/account.css")
	if err != nil {
		return nil, fmt.Errorf("read the page's style: %w", err)
	}
	cfg.Look.AddAsset("account.css", style)
	if p.texts, err = look.ReadTexts(files, "texts"); err != nil {
		return nil, err
	}
	if p.pages, err = cfg.Look.Pages(files, "templates", nil); err != nil {
		return nil, err
	}
	p.handler = p.mux()
	return p, nil
}

// Close ends the live connections.
func (p *Pages) Close() { p.live.close() }

// Paths are patterns of everything that Handler serves.
func Paths() []string { return []string{accountsPrefix, "GET " + checkoutPrefix, embedPrefix} }

// Handler serves the pages under their own paths.
func (p *Pages) Handler() http.Handler { return p.handler }

const (
	accountsPrefix = "/t/"
	checkoutPrefix = "/pay/sandbox/"
	embedPrefix    = "/embed/"
	accountPath    = "/t/{tenant}/a/{account}"
)

// mux is the table of addresses.
func (p *Pages) mux() http.Handler {
	mux := http.NewServeMux()
	for pattern, show := range map[string]func(*visit) error{
		"GET " + accountPath:                                    showOverview,
		"GET " + accountPath + "/card":                          showCard,
		"GET " + accountPath + "/history":                       showLines,
		"GET " + accountPath + "/history/new":                   showNewLines,
		"GET " + accountPath + "/usage":                         showConsumption,
		"GET " + accountPath + "/buy":                           showBuying,
		"GET " + accountPath + "/quote":                         showQuote,
		"POST " + accountPath + "/buy":                          buy,
		"GET " + accountPath + "/purchases/{purchase}":          showPurchase,
		"POST " + accountPath + "/purchases/{purchase}/confirm": confirm,
		"GET " + accountPath + "/live":                          follow,
		"POST " + accountPath + "/lock":                         lock,
	} {
		mux.Handle(pattern, look.Secure(p.guarded(show)))
	}
	mux.Handle("POST "+accountPath+"/code", look.Secure(p.visited(giveCode)))
	mux.Handle("GET /pay/sandbox/{tenant}/{purchase}", look.Secure(http.HandlerFunc(p.showCheckout)))
	p.embedRoutes(mux)
	mux.Handle("/", look.Secure(http.HandlerFunc(p.nothingHere)))
	return mux
}

// basePath is where an account's page is.
func basePath(tenant, account string) string {
	return accountsPrefix + url.PathEscape(tenant) + "/a/" + url.PathEscape(account)
}

// plainFrame is the frame of a page that belongs to no account.
func (p *Pages) plainFrame(r *http.Request, brand, language, title string) look.Frame {
	l := p.cfg.Look.Locale(look.Choose(r, language), time.UTC, p.texts)
	return look.Frame{L: l, Title: l.T(title), Brand: brand, Slim: true, Styles: []string{"account.css"}}
}

// message is a page that says one thing.
type message struct {
	look.Frame
	Icon, Heading, Text string
}

func (p *Pages) say(w http.ResponseWriter, r *http.Request, status int, m message) {
	if err := p.pages.Write(w, status, "message", m); err != nil {
		p.log.Error("write a page", "path", r.URL.Path, "error", err)
	}
}

func (p *Pages) nothingHere(w http.ResponseWriter, r *http.Request) {
	f := p.plainFrame(r, "Creditstream", "", "nothing.title")
	p.say(w, r, http.StatusNotFound, message{f, "search", f.L.T("nothing.title"), f.L.T("nothing.text")})
}

// fault answers what no page expects.
func (p *Pages) fault(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	p.log.Warn("a page could not be shown", "path", r.URL.Path, "reason", err)
	w.Header().Set("Retry-After", "1")
	w.Header().Set("HX-Reswap", "none") // a part of a page stays as it is
	f := p.plainFrame(r, "Creditstream", "", "fault.title")
	p.say(w, r, http.StatusServiceUnavailable, message{f, "alert", f.L.T("fault.title"), f.L.T("fault.text")})
}
