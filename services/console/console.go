package console

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/statement"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/look"
	"creditstream/services/vitals"
)

//go:embed templates assets
var files embed.FS

// Config is what the console looks at. All fields but Statement, Dev, Logger and Now are needed.
type Config struct {
	// API is the handler of services/api: everything that changes something is asked of it.
	API         http.Handler
	Accounts    *accounts.Service
	Credentials *credentials.Store
	Views       *projections.Runner
	Vitals      *vitals.Vitals
	// Journal returns a tenant's open journal, nil when there is none.
	Journal func(tenant string, shard int) *journal.Journal
	// Statement is where accounts and events are counted; nil where that view is not kept.
	Statement func(journal.Name) (*statement.View, error)
	// Bus asks the NATS server how it does, Disk the file system.
	Bus  func(context.Context) (bus.State, error)
	Disk func() (vitals.Disk, error)
	// Look is the frame and the design.
	Look *look.Look
	// Dev lets whoever sits at this machine in as the operator, without a key.
	Dev    bool
	Logger *slog.Logger
	// Now is what sessions end by; nil is the machine's time. Keys end by the clock of Accounts.
	Now func() time.Time
}

// Console is the pages of one server.
type Console struct {
	cfg      Config
	log      *slog.Logger
	pages    *look.Pages
	handler  http.Handler
	sessions sessions
	attempts attempts
	census   census
	tasks    tasks
	forms    forms

	ctx    context.Context // of what goes on behind the pages
	stop   context.CancelFunc
	behind sync.WaitGroup
}

// New returns the pages. Close it.
func New(cfg Config) (*Console, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Console{cfg: cfg, log: cfg.Logger}
	c.ctx, c.stop = context.WithCancel(context.Background())
	for _, name := range []string{"console.css", "console.js"} {
		content, err := files.ReadFile("assets/" + name)
		if err != nil {
			return nil, fmt.Errorf("read asset %s: %w", name, err)
		}
		cfg.Look.AddAsset(name, content)
	}
	var err error
	if c.pages, err = cfg.Look.Pages(files, "templates", functions()); err != nil {
		return nil, err
	}
	c.handler = look.Secure(c.mux())
	return c, nil
}

// Handler serves /admin and everything below it.
func (c *Console) Handler() http.Handler { return c.handler }

// Close ends what goes on behind the pages: rebuilds and verifications that were started here stop.
func (c *Console) Close() {
	c.stop()
	c.behind.Wait()
}
