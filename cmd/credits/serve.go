package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"creditstream/cmd/internal/machine"
	"creditstream/services/node"
)

// serveCommand runs a server until it is told to stop.
func (a *app) serveCommand() *cobra.Command {
	s := serving{app: a}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run a server: journal, views and doors in one process",
		Long: `Run a server: the journal (an embedded NATS server), the views and the doors in one process, with
everything it keeps under --data. When it is ready it prints its addresses as one line of JSON on
standard output; its log goes to standard error. SIGTERM and Ctrl-C let it finish what is under way.

With --nats the journal is on a JetStream server that runs elsewhere; deploy/nats.conf shows how to
configure it. --data then keeps the views, the anchors and the pepper, and is still needed.

Each file of --catalogs is published for the tenant that it is named after, when the tenant has no
catalog yet or the file changed since it was last published from there.`,
		Example: `  credits serve --dev
  credits serve --dev --data ./data --test-clock 2026-01-31T12:00:00Z
  credits serve --data /var/lib/creditstream --listen 0.0.0.0:8080 --catalogs /etc/creditstream/catalogs
  CREDITS_NATS_URL=nats://services:PASSWORD@nats:4222 CREDITS_NATS_WRITER_URL=nats://writer:PASSWORD@nats:4222 \
    credits serve --nats-replicas 3`,
		GroupID: groupRun,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	s.flags(command)
	return command
}

// serving is a server as the flags ask for it.
type serving struct {
	app       *app
	cfg       node.Config
	testClock string
	verbose   bool
	reserve   int64 // in MiB
	cache     int64 // in MiB
}

func (s *serving) run(cmd *cobra.Command) error {
	if s.cfg.External.URL != "" && cmd.Flags().Changed("nats-listen") {
		return wrongUse("--nats uses a NATS server that runs elsewhere, --nats-listen opens one here: choose one")
	}
	if err := acceptable(&s.cfg, s.testClock); err != nil {
		return err
	}
	if s.reserve < 0 {
		return wrongUse("--reserve %d: it is a number of MiB; 0 keeps no reserve", s.reserve)
	}
	if s.cfg.Reserve = s.reserve << 20; s.reserve == 0 {
		s.cfg.Reserve = -1
	}
	if s.cache < leastCache || s.cache > mostCache {
		return wrongUse("--cache %d: it is a number of MiB, from %d to %d", s.cache, leastCache, mostCache)
	}
	s.cfg.CacheBytes = s.cache << 20
	s.cfg.Logger = s.app.logger(s.verbose)
	machine.Use(cmd.Context(), s.app.env)
	return s.app.serve(cmd.Context(), s.cfg)
}

// leastCache and mostCache bound --cache, in MiB: 1 TiB is more than machines have.
const (
	leastCache = 8
	mostCache  = 1 << 20
)

func (s *serving) flags(command *cobra.Command) {
	cfg, env, flags := &s.cfg, s.app.env, command.Flags()
	flags.StringVar(&cfg.Data, "data", "data", "`directory` of everything that the server keeps")
	flags.StringVar(&cfg.Listen, "listen", defaultListen, "`address` of the HTTP interface; port 0 picks a free one")
	flags.StringVar(&cfg.NATSListen, "nats-listen", "127.0.0.1:4222", "`address` of the NATS interface; port 0 picks a free one, \"\" opens none")
	flags.StringVar(&cfg.External.URL, "nats", env("CREDITS_NATS_URL"), "`URL` of a JetStream server to use instead of one in this process, with user and password (env CREDITS_NATS_URL)")
	flags.StringVar(&cfg.External.WriterURL, "nats-writer", env("CREDITS_NATS_WRITER_URL"), "the same `URL` with the only user that may write to journals (env CREDITS_NATS_WRITER_URL; default --nats)")
	flags.StringVar(&cfg.External.Creds, "nats-creds", "", "`file` of credentials to log in with at --nats, instead of a password")
	flags.StringVar(&cfg.External.WriterCreds, "nats-writer-creds", "", "`file` of credentials of the only user that may write to journals")
	flags.IntVar(&cfg.External.Replicas, "nats-replicas", 1, "replicas of the streams that are made at --nats")
	for _, secret := range []string{"nats", "nats-writer"} {
		flags.Lookup(secret).DefValue = "" // a help text must not show a password
	}
	flags.StringVar(&cfg.Catalogs, "catalogs", "", "`directory` of catalog files to publish, such as deploy/catalogs")
	flags.IntVar(&cfg.Limits.PerKey, "rate-per-key", 5000, "requests per second of one API key, in the long run; -1 for no limit")
	flags.IntVar(&cfg.Limits.PerTenant, "rate-per-tenant", 50000, "the same for all keys of a tenant together")
	flags.IntVar(&cfg.Limits.PerAddress, "rate-per-address", 10000, "the same for each address but this machine's; a proxy elsewhere needs -1")
	flags.IntVar(&cfg.Shards, "shards", 1, "journals of a tenant that is created here")
	flags.Int64Var(&s.cache, "cache", 32, "`MiB` of memory for records of the views that were read lately")
	flags.IntVar(&cfg.CachedAccounts, "accounts-in-memory", 50_000, "how many accounts each shard keeps in memory to decide on; others are read when they are asked for")
	flags.Int64Var(&s.reserve, "reserve", 256, "refuse new work, and go on with reads, while fewer `MiB` are free on the disk of --data; 0 for no reserve")
	flags.BoolVar(&cfg.Dev, "dev", false, "take requests without a key as the operator; on loopback addresses only")
	flags.BoolVar(&cfg.AllowSandbox, "allow-sandbox", false, "let an administrator settle sandbox payments by hand also without --dev")
	flags.BoolVar(&cfg.AcceptLostAnchors, "accept-lost-anchors", false, "serve journals whose anchor file is lost: you know that nothing is missing at their ends")
	flags.StringVar(&cfg.Heads, "heads", "", "`file`, in a place that this machine can only append to, for signed heads of the journals")
	flags.DurationVar(&cfg.HeadsEvery, "heads-every", time.Minute, "how often heads are appended to --heads")
	flags.StringVar(&cfg.HeadKey, "head-key", "", "`file` of the ed25519 key that heads are signed with (default: one in the data directory, made at the first start)")
	flags.Float64Var(&cfg.PatrolShare, "patrol", 0.02, "share of a processor for checking the books all the time; 0 switches it off")
	flags.StringVar(&s.testClock, "test-clock", "", "start at this `instant`, RFC 3339, with a clock that only \"credits clock\" moves")
	flags.BoolVarP(&s.verbose, "verbose", "v", false, "log more")
}

// acceptable finishes the configuration, or says what is wrong with the flags.
func acceptable(cfg *node.Config, testClock string) error {
	if testClock != "" {
		at, err := time.Parse(time.RFC3339Nano, testClock)
		if err != nil {
			return wrongUse("--test-clock %q is not a time such as 2026-01-31T12:00:00Z", testClock)
		}
		cfg.TestClock = at
	}
	if cfg.PatrolShare < 0 || cfg.PatrolShare > 1 {
		return wrongUse("--patrol %v: a share of a processor is between 0 and 1", cfg.PatrolShare)
	}
	if cfg.HeadsEvery < time.Second {
		return wrongUse("--heads-every %v: at least a second", cfg.HeadsEvery)
	}
	if cfg.CachedAccounts < 1 {
		return wrongUse("--accounts-in-memory %d: at least one", cfg.CachedAccounts)
	}
	if cfg.Shards < 1 {
		return wrongUse("--shards %d: a tenant has at least one", cfg.Shards)
	}
	if err := acceptableExternal(cfg.External); err != nil {
		return err
	}
	for flag, address := range map[string]string{"listen": cfg.Listen, "nats-listen": cfg.NATSListen} {
		if address == "" && flag == "nats-listen" {
			continue
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return wrongUse("--%s %q is not an address such as %s", flag, address, defaultListen)
		}
		if cfg.Dev && !isLoopback(host) {
			return wrongUse("--dev takes requests without a key, so it listens on loopback addresses only: --%s %s is not one", flag, address)
		}
	}
	if cfg.Catalogs != "" {
		if info, err := os.Stat(cfg.Catalogs); err != nil || !info.IsDir() {
			return wrongUse("--catalogs %s is not a directory", cfg.Catalogs)
		}
	}
	return nil
}

func acceptableExternal(e node.External) error {
	if e.URL == "" && (e.WriterURL != "" || e.Creds != "" || e.WriterCreds != "" || e.Replicas > 1) {
		return wrongUse("--nats-writer, --nats-creds, --nats-writer-creds and --nats-replicas are about the server of --nats: name it")
	}
	if e.Replicas < 1 || e.Replicas > 5 {
		return wrongUse("--nats-replicas %d: a stream has 1 to 5", e.Replicas)
	}
	for _, file := range []string{e.Creds, e.WriterCreds} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return wrongUse("credentials of NATS: %v", err)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (a *app) serve(ctx context.Context, cfg node.Config) error {
	n, err := node.Start(ctx, cfg)
	if err != nil && strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) { // of NATS there is only the text
		return fmt.Errorf("%w\nAnother program listens there: stop it, or choose another address with --listen and --nats-listen (port 0 takes a free one)", err)
	}
	if err != nil {
		return err
	}
	ready, err := json.Marshal(map[string]string{"http": n.HTTP(), "nats": n.NATS()})
	if err == nil {
		_, err = fmt.Fprintf(a.stdout, "%s\n", ready)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("say that the server is ready: %w", err), n.Close())
	}
	if isTerminal(a.stderr) {
		greet(a.stderr, n.HTTP(), n.NATS(), cfg.Data)
	} else {
		cfg.Logger.Info("ready", "http", n.HTTP(), "nats", n.NATS(), "docs", n.HTTP()+"/docs", "data", cfg.Data)
	}
	<-ctx.Done()
	cfg.Logger.Info("stopping: finishing what is under way")
	if err := n.Close(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// greet tells whoever started a server at a terminal where everything is.
func greet(w io.Writer, http, nats, data string) {
	fmt.Fprintf(w, `
Creditstream is ready. Ctrl-C ends it.

  API       %[1]s         its description: %[1]s/docs
  Console   %[1]s/admin
  Pages     %[1]s/t/TENANT/a/ACCOUNT
  NATS      %[2]s
  Data      %[3]s

`, http, nats, data)
}

// logger logs to standard error, as text for people at a terminal and as JSON for a collector.
func (a *app) logger(verbose bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		options.Level = slog.LevelDebug
	}
	if isTerminal(a.stderr) {
		return slog.New(slog.NewTextHandler(a.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(a.stderr, options))
}
