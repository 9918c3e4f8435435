package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"creditstream/cmd/internal/load"
	"creditstream/cmd/internal/machine"
)

// benching is what the flags of bench say beside the configuration of a run.
type benching struct {
	load.Config
	seconds, warmUp float64
	repeat          int
	halfMax, apart  bool
	profile, plot   string
}

// benchCommand puts a server of its own under load and checks the books afterwards.
func (a *app) benchCommand() *cobra.Command {
	b := new(benching)
	command := &cobra.Command{
		Use:     "bench",
		GroupID: groupAudit,
		Short:   "Measure a server under load, and check its books after it",
		Long: `Starts a server on a new data directory, opens accounts, charges them and then folds the journal
again: lost, doubled and overdrawn must be 0.

Clients run in a closed loop (each waits for its answer before it asks again) or, with --rate, in an
open one: requests are due at fixed instants, and their latency counts from then, whoever is late.

Absolute figures depend on the disk, so they are also given in units of its own fsync (append
1 KiB, fsync), measured between the slices of the same run. docs/PERFORMANCE.md says more.

Profiles: ` + strings.Join(load.Profiles(), ", ") + `.`,
		Example: `  credits bench --profile spend
  credits bench --profile spend --clients 1 --repeat 5
  credits bench --profile spend --half-max --plot spend.svg
  credits bench --profile check --door http --rate 10000
  credits bench --profile nats --batch 1000 --clients 8 --apart
  credits bench --profile spend --accounts 1000000 --lots 3 --working-set 10000
  credits bench --profile bulk --clients 8 --batch 1000 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"clients", "batch", "accounts", "working-set", "connections", "shards"} { // 0 stands for a default
				if given := cmd.Flags().Lookup(name); given.Changed && given.Value.String() == "0" {
					return wrongUse("--%s must be at least 1", name)
				}
			}
			machine.Use(cmd.Context(), a.env)
			return a.bench(cmd.Context(), b)
		},
	}
	flags := command.Flags()
	flags.StringVar(&b.Profile, "profile", "spend", "what the clients do: "+strings.Join(load.Profiles(), ", "))
	flags.StringVar(&b.Door, "door", "", "how they reach the server: process, nats or http (default: the profile's)")
	flags.Float64Var(&b.seconds, "seconds", 10, "how long is measured")
	flags.Float64Var(&b.warmUp, "warm-up", 1.5, "seconds of load before that")
	flags.IntVar(&b.Clients, "clients", 0, "requests under way at once (default 256, bulk 8, matrix 1)")
	flags.IntVar(&b.Batch, "batch", 0, "charges per request (default 1, bulk 1000)")
	flags.IntVar(&b.Rate, "rate", 0, "charges or checks a second that are due, in an open loop (default: a closed loop)")
	flags.BoolVar(&b.halfMax, "half-max", false, "find the greatest rate first, then measure latencies at half of it")
	flags.IntVar(&b.repeat, "repeat", 1, "run so many times, each on a new data directory, and show median and spread")
	flags.IntVar(&b.Accounts, "accounts", 0, "accounts that are opened (default 10000, hot 1, matrix 100)")
	flags.IntVar(&b.Shards, "shards", 1, "journals that the accounts are shared among")
	flags.IntVar(&b.Lots, "lots", 1, "lots of each account at the start")
	flags.IntVar(&b.WorkingSet, "working-set", 0, "how many of the accounts are charged (default all)")
	flags.Float64Var(&b.Zipf, "zipf", 0, "charge some accounts more than others, with this exponent above 1 (default: all alike, mixed 1.1)")
	flags.IntVar(&b.Connections, "connections", 0, "connections that the clients share at the NATS door (default one for 64 clients, four at most)")
	flags.BoolVar(&b.apart, "apart", false, "run the server in a process of its own, behind the door nats or http")
	flags.StringVar(&b.Dir, "dir", ".", "`directory` whose disk is measured; the data is removed afterwards")
	flags.StringSliceVar(&b.Views, "views", nil, "views to fold while the load runs, beside accounts")
	flags.StringVar(&b.plot, "plot", "", "draw latency percentiles and the rate over time into an SVG `file`")
	flags.StringVar(&b.profile, "cpuprofile", "", "write a CPU profile of what was measured to `file`, for go tool pprof; with --apart it is the clients', and the server's goes to file.server")
	flags.IntVar(&b.InFlight, "in-flight", 0, "commits under way at once, beside one that is full (default: the server's)")
	command.AddCommand(a.benchServerCommand())
	return command
}

// benchServerCommand is the server of --apart. It is for this program itself, so help does not list it.
func (a *app) benchServerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "server SETTINGS", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			machine.Use(cmd.Context(), a.env)
			return load.Serve(cmd.Context(), args[0], a.stdin, a.stdout)
		},
	}
}

func (a *app) bench(ctx context.Context, b *benching) error {
	if err := b.finish(); err != nil {
		return err
	}
	if a.output != "json" {
		b.Progress = func(doing string) { fmt.Fprintln(a.stderr, doing) }
	}
	if b.profile != "" {
		file, err := os.Create(b.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		b.Profiled = file
		if b.apart {
			b.ProfiledServer = b.profile + ".server"
		}
	}
	run := load.Repeat
	if b.halfMax {
		run = load.HalfMax
	}
	result, err := run(ctx, b.Config, b.repeat)
	if err != nil {
		return err
	}
	if a.output == "json" {
		err = a.printValue(result)
	} else {
		printBench(a.stdout, result)
	}
	if b.plot != "" {
		err = errors.Join(err, load.Plot(b.plot, result))
	}
	if err == nil && result.Lost+result.Doubled+result.Overdrawn > 0 {
		return fmt.Errorf("the books do not close: %d lost, %d doubled, %d overdrawn", result.Lost, result.Doubled, result.Overdrawn)
	}
	return err
}

// finish completes the configuration from the flags, or says what is wrong with them.
func (b *benching) finish() error {
	if b.seconds <= 0 || b.warmUp < 0 || b.repeat < 1 {
		return wrongUse("--seconds must be above 0, --warm-up not below it, and --repeat at least 1")
	}
	if b.halfMax && b.Rate > 0 {
		return wrongUse("--half-max finds the rate itself: leave --rate away")
	}
	if b.profile != "" && (b.repeat > 1 || b.halfMax) {
		return wrongUse("--cpuprofile is of a single run: leave --repeat and --half-max away")
	}
	b.Duration = time.Duration(b.seconds * float64(time.Second))
	b.WarmUp = time.Duration(b.warmUp * float64(time.Second))
	if b.warmUp == 0 {
		b.WarmUp = -1 // none, not the default
	}
	if b.apart {
		own, err := os.Executable()
		if err != nil {
			return err
		}
		b.Serve = []string{own, "bench", "server"}
	}
	if b.plot != "" {
		if err := load.CheckPlot(b.plot); err != nil {
			return wrongUse("--plot: %v", err)
		}
	}
	asked := b.Config
	if b.halfMax {
		asked.Rate = 1
	}
	if err := asked.Check(); err != nil {
		return wrongUse("%v", err)
	}
	return nil
}
