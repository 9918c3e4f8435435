package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/node"
)

const tenantName = "bench"

// catalog is the programme that is put under load: one meter, one pool.
const catalog = `
name: Bench
timezone: UTC
currency: USD
pools:
  credits: {priority: 1, expires: never}
meters:
  unit: {price: "1", needs_plan: false}
`

// fortune is what each account has at the start: more than any run can spend.
const fortune = credit.Amount(1e15)

// target is the server under load.
type target struct {
	cfg    Config
	node   *node.Node
	tenant *accounts.Tenant
	http   *http.Client
	names  []string // of the working set
}

func startTarget(ctx context.Context, cfg Config, dir string) (*target, error) {
	c := node.Config{
		Data: filepath.Join(dir, "data"), Views: append([]string{}, cfg.Views...), InFlight: cfg.InFlight,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if cfg.Profile == "rebuild" {
		c.Views = nil
	}
	if needsDoors(cfg.Profile) {
		c.Listen, c.NATSListen, c.Dev = "127.0.0.1:0", "127.0.0.1:0", true
	}
	n, err := node.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	t := &target{cfg: cfg, node: n, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: cfg.Clients, MaxConnsPerHost: cfg.Clients}}}
	if err := t.prepare(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return t, nil
}

func (t *target) prepare(ctx context.Context) (err error) {
	if err := t.node.AddTenant(ctx, tenantName, 1); err != nil {
		return err
	}
	if t.tenant, err = t.node.Accounts().Tenant(tenantName); err != nil {
		return err
	}
	_, _, err = t.tenant.Publish(ctx, []byte(catalog), "bench")
	return err
}

func (t *target) close() error {
	t.http.CloseIdleConnections()
	return t.node.Close()
}

// head is how many commits the journal has.
func (t *target) head() uint64 { return t.tenant.Shards()[0].Head() }

// check folds the journal again and compares it with what the clients were told.
func (t *target) check(ctx context.Context, told *marks, result *Result) error {
	var found marks
	told.each(func(int, uint64) { result.Acknowledged++ })
	folded := make(map[string]*credit.Account, len(t.names))
	for _, name := range t.names {
		folded[name] = credit.NewAccount(name)
	}
	decoder := new(credit.Decoder)
	for commit, err := range t.node.Journal(tenantName, 0).Read(ctx, 1) {
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		entries, err := decoder.Decode(commit.Body)
		if err != nil {
			return fmt.Errorf("commit %d: %w", commit.Sequence, err)
		}
		for i := range entries {
			t.fold(folded, &entries[i], &found, result)
		}
	}
	told.each(func(client int, count uint64) {
		if !found.has(client, count) {
			result.Lost++
		}
	})
	for id, account := range folded {
		for _, p := range account.Pools() {
			if !p.Terms.Close() {
				result.Overdrawn++
			}
		}
		live, _, _, err := t.tenant.Account(id)
		if err != nil {
			return err
		}
		if live.Pool("credits").Terms != account.Pool("credits").Terms {
			return fmt.Errorf("the view says %+v of account %s and the journal %+v", live.Pool("credits").Terms, id, account.Pool("credits").Terms)
		}
	}
	return nil
}

func (t *target) fold(folded map[string]*credit.Account, e *credit.Entry, found *marks, result *Result) {
	account := folded[e.Account] // nil outside of the working set, where nothing is charged
	for i := range e.Facts {
		if account != nil {
			account.Evolve(e.Facts[i].Event, e.Facts[i].At)
		}
		if _, ok := e.Facts[i].Event.(*credit.UsageRecorded); !ok {
			continue
		}
		result.InJournal++
		if client, count, ok := readKey(e.Key); !ok || !found.add(client, count) {
			result.Doubled++
		}
	}
}

// processorTime is what this process has used so far, on all processors.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
