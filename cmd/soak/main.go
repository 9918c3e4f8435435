package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

func main() {
	if text := os.Getenv(victimEnv); text != "" {
		if err := victim(text); err != nil {
			fmt.Fprintln(os.Stderr, "soak victim:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// soak is the whole program for one command line.
func soak(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("campaign", "", "only these `campaigns`, with commas between; NAME=N has rounds of its own")
	rounds := flags.Int("rounds", 100, "faults that each campaign tries, about")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "what the random choices follow from")
	dir := flags.String("dir", "", "`directory` for scratch, on a good disk; default a new one")
	output := flags.String("output", "table", "table or json")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "soak does to a server what a data centre does, and closes the books after each time.\n\nCampaigns:")
		for _, c := range campaigns() {
			fmt.Fprintf(stderr, "  %-14s %s\n", c.Name(), c.About())
		}
		fmt.Fprintln(stderr, "\nFlags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *output != "table" && *output != "json" {
		return fmt.Errorf("--output %q: it is table or json", *output)
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "creditstream-soak-"); err != nil {
			return err
		}
		defer func() { _ = os.Remove(*dir) }() // stays where a campaign left something to look at
	}
	var results []result
	for _, c := range chosen {
		r, err := run(ctx, c.campaign, session{rounds: cmp.Or(c.rounds, *rounds), seed: *seed, dir: *dir, say: func(format string, args ...any) {
			fmt.Fprintf(stderr, format+"\n", args...)
		}})
		if err != nil {
			r.problem("%v", err)
		}
		results = append(results, r)
		if ctx.Err() != nil {
			break
		}
	}
	if err := report(stdout, *output, results); err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(r result) bool { return !r.sound() }) {
		return fmt.Errorf("something was found; the data is in %s", *dir)
	}
	return ctx.Err()
}

// choice is a campaign, and its rounds when they are its own.
type choice struct {
	campaign
	rounds int
}

// choose finds campaigns by name; "" is all.
func choose(names string) ([]choice, error) {
	all := campaigns()
	var chosen []choice
	if names == "" {
		for _, c := range all {
			chosen = append(chosen, choice{c, 0})
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		name, count, own := strings.Cut(name, "=")
		rounds, err := strconv.Atoi(count)
		if own && (err != nil || rounds < 1) {
			return nil, fmt.Errorf("--campaign %s=%s: a number of rounds is expected", name, count)
		}
		i := slices.IndexFunc(all, func(c campaign) bool { return c.Name() == name })
		if i < 0 {
			return nil, fmt.Errorf("--campaign %s: there is none of that name; soak --help lists them", name)
		}
		chosen = append(chosen, choice{all[i], rounds})
	}
	return chosen, nil
}

// report prints what was found.
func report(w io.Writer, output string, results []result) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(results)
	}
	t := table.NewWriter()
	t.AppendHeader(table.Row{"campaign", "faults tried", "acknowledged", "lost", "changed", "doubled", "overdrawn", "undetected", "noticed", ""})
	for _, r := range results {
		t.AppendRow(table.Row{r.Campaign, r.Faults, r.Acknowledged, r.Lost, r.Changed, r.Doubled, r.Overdrawn, r.Undetected, r.Noticed, r.verdict()})
	}
	fmt.Fprintln(w, t.Render())
	var faults []error
	for _, r := range results {
		for _, p := range r.Problems {
			_, err := fmt.Fprintf(w, "%s (--seed %d): %s\n", r.Campaign, r.Seed, p)
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// verdict is one word or reason for the table.
func (r *result) verdict() string {
	switch {
	case r.Left != "":
		return "left out: " + r.Left
	case r.LossExpected && r.sound():
		return "ok: the losses of a server that does not sync were seen"
	case r.NoticingExpected && r.sound():
		return fmt.Sprintf("ok: the other %d were harmless; the control without checks was reported", r.Harmless)
	case r.sound():
		return "ok"
	case r.LossExpected:
		return "FAILED: this server does not sync, and nothing was seen to be lost"
	}
	return "FOUND SOMETHING"
}
