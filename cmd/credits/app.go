package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// defaultListen is where a server listens and where the other commands look for one.
const defaultListen = "127.0.0.1:8080"

// errReported is a failure about which everything was said already.
var errReported = errors.New("already reported")

// usageError is a wrong command line: exit code 2.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func wrongUse(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// app is what the subcommands share: the three streams, the environment and the flags that every
// command has.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string

	server string // base URL of the running server
	key    string // API key; empty is fine with a server that runs with --dev
	tenant string
	output string // table or json
	data   string // of a stopped server, for the commands that can do without a running one

	started bool // the command line was accepted; errors from here on are not wrong use
}

// root builds the command tree. It is built anew for each run, so that two runs share nothing.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "credits",
		Short: "Sell, grant, spend and audit credits",
		Long: `Creditstream keeps the credits of many businesses as a journal of facts.

New here? "credits demo" shows everything in a minute. "credits serve --dev" starts a server
on this machine; the other commands talk to it.

Exit codes: 0 done, 1 refused or failed, 2 wrong use.`,
		Example: `  credits demo
  credits serve --dev --data ./data
  credits balance acct-1 --tenant tecpet`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("credits {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if number := belowZero.FindString(err.Error()); number != "" {
			return wrongUse("%s is taken for a flag: quantities and amounts are above zero", number)
		}
		return usageError{err.Error()}
	})
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupSpend, Title: "An account's credits:"},
		&cobra.Group{ID: groupSetUp, Title: "Set up:"},
		&cobra.Group{ID: groupAudit, Title: "Look after the books:"},
	)
	root.SetHelpCommandGroupID(groupRun)
	root.SetCompletionCommandGroupID(groupRun)
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", envOr(a.env, "CREDITS_SERVER", "http://"+defaultListen), "`URL` of the running server (env CREDITS_SERVER)")
	flags.StringVar(&a.key, "key", a.env("CREDITS_KEY"), "API `key` (env CREDITS_KEY); none is needed for a server with --dev")
	flags.StringVar(&a.tenant, "tenant", a.env("CREDITS_TENANT"), "whose credits: the `name` of a tenant (env CREDITS_TENANT)")
	flags.StringVarP(&a.output, "output", "o", "table", "table, or json: one object a line, as the server answered")
	flags.Lookup("key").DefValue = "" // a help text must not show a secret
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.output != "table" && a.output != "json" {
			return wrongUse("--output %s: choose table or json", a.output)
		}
		return nil
	}
	for _, command := range a.commands() {
		a.adopt(command)
		root.AddCommand(command)
	}
	return root
}

// belowZero finds the number in what is said about one that is no flag.
var belowZero = regexp.MustCompile(`-[0-9.]+$`)

// version is that of the module, or the commit that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of an unknown version"
	}
	found := info.Main.Version + ", " + info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			found += ", commit " + s.Value
		}
	}
	return found
}

// The groups of the help text.
const (
	groupRun   = "run"
	groupSpend = "spend"
	groupSetUp = "setup"
	groupAudit = "audit"
)

// commands lists the subcommands in the order of the help text.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.serveCommand(),
		a.checkCommand(), a.usageCommand(), a.balanceCommand(), a.historyCommand(),
		a.reportCommand(), a.explainCommand(), a.eraseCommand(), a.buyCommand(), a.grantCommand(),
		a.accountCommand(), a.tenantCommand(), a.catalogCommand(), a.keyCommand(), a.clockCommand(),
		a.replayCommand(), a.topCommand(), a.benchCommand(), a.viewsCommand(), a.rebuildCommand(), a.verifyCommand(),
		a.backupCommand(), a.restoreCommand(),
	}
}

// adopt gives a command and those below it what all of them have in common. Whatever fails before
// a command's own function runs is wrong use; and a parent refuses to run without one of its own
// subcommands instead of printing help and calling that a success.
func (a *app) adopt(command *cobra.Command) {
	for _, child := range command.Commands() {
		a.adopt(child)
	}
	if command.HasSubCommands() && command.RunE == nil {
		command.Args = cobra.ArbitraryArgs
		command.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return wrongUse("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return wrongUse("%q needs one of its subcommands", cmd.CommandPath())
		}
	}
	own := command.RunE
	command.RunE = func(cmd *cobra.Command, args []string) error {
		a.started = true
		return own(cmd, args)
	}
}

// needTenant refuses a command line that names no tenant.
func (a *app) needTenant() error {
	if a.tenant == "" {
		return wrongUse("whose account? name the tenant with --tenant or in CREDITS_TENANT")
	}
	return nil
}

// client is a client of the server that the flags name.
func (a *app) client() *client {
	return &client{base: a.server, key: a.key, http: &http.Client{}, pause: pause}
}

// pause waits, or returns the context's error when that comes first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func envOr(env func(string) string, name, otherwise string) string {
	if value := env(name); value != "" {
		return value
	}
	return otherwise
}
