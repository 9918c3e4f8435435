package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"creditstream/cmd/internal/load"
)

// benchCommand puts a server of its own under load and checks the books afterwards.
func (a *app) benchCommand() *cobra.Command {
	cfg := load.Config{}
	var seconds int
	var profile string
	command := &cobra.Command{
		Use:     "bench",
		GroupID: groupAudit,
		Short:   "Measure a server under load, and check its books after it",
		Long: `Starts a server on a new data directory, opens accounts, charges them in a closed loop and then
folds the journal again: lost, doubled and overdrawn must be 0.

Absolute figures depend on the disk, so they are also given in units of its own fsync (append
1 KiB, fsync), measured between the slices of the same run.

Profiles: ` + strings.Join(load.Profiles(), ", ") + `.`,
		Example: `  credits bench --profile spend
  credits bench --profile spend --clients 1
  credits bench --profile spend --accounts 1000000 --lots 3 --working-set 10000
  credits bench --profile bulk --clients 8 --batch 1000 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Duration = time.Duration(seconds) * time.Second
			if a.output != "json" {
				cfg.Progress = func(doing string) { fmt.Fprintln(a.stderr, doing) }
			}
			if profile != "" {
				file, err := os.Create(profile)
				if err != nil {
					return err
				}
				defer file.Close()
				cfg.Profiled = file
			}
			result, err := load.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if a.output == "json" {
				err = a.printValue(result)
			} else {
				printBench(a.stdout, result)
			}
			if err == nil && result.Lost+result.Doubled+result.Overdrawn > 0 {
				return fmt.Errorf("the books do not close: %d lost, %d doubled, %d overdrawn", result.Lost, result.Doubled, result.Overdrawn)
			}
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&cfg.Profile, "profile", "spend", "what the clients do: "+strings.Join(load.Profiles(), ", "))
	flags.IntVar(&seconds, "seconds", 10, "how long is measured")
	flags.IntVar(&cfg.Clients, "clients", 0, "clients in a closed loop (default 256, bulk 8)")
	flags.IntVar(&cfg.Batch, "batch", 0, "charges per request (default 1, bulk 1000)")
	flags.IntVar(&cfg.Accounts, "accounts", 0, "accounts that are opened (default 10000, hot 1)")
	flags.IntVar(&cfg.Lots, "lots", 1, "lots of each account at the start")
	flags.IntVar(&cfg.WorkingSet, "working-set", 0, "how many of the accounts are charged (default all)")
	flags.StringVar(&cfg.Dir, "dir", ".", "`directory` whose disk is measured; the data is removed afterwards")
	flags.StringSliceVar(&cfg.Views, "views", nil, "views to fold while the load runs, beside accounts")
	flags.StringVar(&profile, "cpuprofile", "", "write a CPU profile of what was measured to `file`, for go tool pprof")
	flags.IntVar(&cfg.InFlight, "in-flight", 0, "commits under way at once (default: the server's)")
	return command
}

func printBench(w io.Writer, r load.Result) {
	line := func(name, format string, values ...any) {
		fmt.Fprintf(w, "%-22s "+format+"\n", append([]any{name}, values...)...)
	}
	line("profile", "%s, %d clients, batch %d, %d accounts", r.Profile, r.Clients, r.Batch, r.Accounts)
	line("events/s", "%.0f", r.EventsPerSecond)
	line("latency", "p50 %s  p99 %s  max %s", micros(r.P50), micros(r.P99), micros(r.Max))
	line("this disk's fsync", "p50 %s", micros(r.FsyncP50))
	line("in units of it", "%.1f events per fsync time, p50 %.1f fsyncs", r.EventsPerFsync, r.P50Fsyncs)
	line("events per commit", "%.1f", r.EventsPerCommit)
	line("processor", "%.1f µs per event, clients included", r.CPU)
	for _, view := range slices.Sorted(maps.Keys(r.Rebuilds)) {
		line("rebuild of "+view, "%.0f charges per second", r.Rebuilds[view])
	}
	line("accounts", "%d with %d lots each, opened at %.0f per second; %d of them charged", r.Accounts, r.Lots, r.Opened, r.WorkingSet)
	line("memory", "%.0f MiB resident, at most %.0f", r.RSS, r.PeakRSS)
	line("the books", "acknowledged %d, in the journal %d, lost %d, doubled %d, overdrawn %d", r.Acknowledged, r.InJournal, r.Lost, r.Doubled, r.Overdrawn)
}

func micros(us float64) string {
	return time.Duration(us * 1000).Round(time.Microsecond).String()
}
