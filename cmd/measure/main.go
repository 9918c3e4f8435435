// Command measure compares Creditstream with its peers, and shows how its cost grows: what is needed to
// judge the project and not to run it, and so is not part of the binary credits. docs/PERFORMANCE.md says what
// is measured and how. It may import everything of this module.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"creditstream/cmd/internal/load"
	"creditstream/cmd/internal/machine"
	"creditstream/cmd/internal/peers"
	"creditstream/cmd/internal/scale"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	command := &cobra.Command{Use: "measure", Short: "Compare Creditstream with its peers, and show how its cost grows", SilenceErrors: true, SilenceUsage: true}
	command.PersistentPreRun = func(cmd *cobra.Command, _ []string) { machine.Use(cmd.Context(), os.Getenv) }
	var output string
	command.PersistentFlags().StringVarP(&output, "output", "o", "table", "table or json")
	command.AddCommand(peersCommand(&output), scaleCommand(&output), serverCommand())
	return command
}

// serverCommand is the server under load. It is for this program itself, so help does not list it.
func serverCommand() *cobra.Command {
	return &cobra.Command{
		Use: "server SETTINGS", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return load.Serve(cmd.Context(), args[0], os.Stdin, os.Stdout)
		},
	}
}

// serve is the command line of serverCommand.
func serve() ([]string, error) {
	own, err := os.Executable()
	return []string{own, "server"}, err
}

func peersCommand(output *string) *cobra.Command {
	cfg := peers.Config{Progress: progress}
	var seconds float64
	command := &cobra.Command{
		Use:   "peers",
		Short: "Measure PostgreSQL, Redis and Creditstream in turn, over loopback TCP, on the same disk",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Serve, err = serve(); err != nil {
				return err
			}
			cfg.Duration = time.Duration(seconds * float64(time.Second))
			report, err := peers.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if *output == "json" {
				return json.NewEncoder(os.Stdout).Encode(report)
			}
			report.Print(os.Stdout)
			return nil
		},
	}
	flags := command.Flags()
	flags.Float64Var(&seconds, "seconds", 5, "how long each measurement takes")
	flags.IntVar(&cfg.Rounds, "rounds", 3, "how often each is measured, all in turn")
	flags.IntVar(&cfg.Accounts, "accounts", 10_000, "accounts that are opened")
	flags.IntVar(&cfg.Lots, "lots", 1, "lots of each account")
	flags.StringSliceVar(&cfg.Views, "views", nil, "views that Creditstream folds meanwhile, beside accounts")
	flags.StringSliceVar(&cfg.Only, "only", nil, "measure only these, by their names in the table")
	flags.BoolVar(&cfg.Quick, "quick", false, "do not try which concurrency suits a peer best")
	flags.StringVar(&cfg.Dir, "dir", ".", "`directory` whose disk is measured; what is made there is removed")
	return command
}

func scaleCommand(output *string) *cobra.Command {
	cfg := scale.Config{Progress: progress}
	command := &cobra.Command{
		Use:   "scale",
		Short: "Show how cost grows with events, accounts, tenants and lots",
		Long: `Fills servers more and more and shows what they cost at each size: rates, bytes, memory, and what a start
takes and reads, in good order and after a crash. The slope of a figure is the exponent by which it grows.

Each size says what time and room on the disk it takes, and a size that the disk has no room for is refused before
anything is begun. The defaults take some minutes; for the whole: --events 100000000 --accounts 10000000 --lots 10000,
which take an hour or two and 84 GB.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Serve, err = serve(); err != nil {
				return err
			}
			curves, err := scale.Run(cmd.Context(), cfg)
			if *output == "json" && len(curves) > 0 {
				return errors.Join(err, json.NewEncoder(os.Stdout).Encode(curves))
			}
			scale.Print(os.Stdout, curves) // what was measured before a failure took hours, perhaps
			return err
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&cfg.Curves, "curves", nil, "draw only these: "+strings.Join(scale.Names(), ", "))
	flags.IntVar(&cfg.Events, "events", 1_000_000, "most events in the journal")
	flags.IntVar(&cfg.Accounts, "accounts", 1_000_000, "most accounts")
	flags.IntVar(&cfg.Tenants, "tenants", 1000, "most tenants")
	flags.IntVar(&cfg.Lots, "lots", 1000, "most lots of one account")
	flags.StringVar(&cfg.Plots, "plots", "", "`directory` for a picture of each curve, as SVG")
	flags.StringVar(&cfg.Dir, "dir", ".", "`directory` whose disk is used; what is made there is removed")
	return command
}

func progress(doing string) { fmt.Fprintln(os.Stderr, doing) }
