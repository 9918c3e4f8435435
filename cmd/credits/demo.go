package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"creditstream/deploy"
	"creditstream/services/node"
)

// The demo's calendar. The trace is of 16 November 2023; what is sold for 12 months is bought so that
// it ends together with the cycle in which the trace falls. adtech's cycle begins at midnight in
// Madrid, an hour before midnight in UTC.
var (
	yearBefore    = time.Date(2022, time.December, 16, 18, 0, 0, 0, time.UTC)
	firstDay      = time.Date(2023, time.November, 16, 18, 0, 0, 0, time.UTC)
	adtechRenewal = time.Date(2023, time.December, 15, 23, 0, 0, 0, time.UTC)
	renewal       = time.Date(2023, time.December, 16, 18, 0, 0, 0, time.UTC)
)

// demo is one performance.
type demo struct {
	app    *app
	out    io.Writer
	client *client
	trace  []traced
	scenes []*scene
	cast   []programme
	stock  map[string][]snapshot // by tenant: balances after the trace and after the renewal
	began  time.Time             // by the machine's clock
}

// demoCommand tells what Creditstream does as a story that checks itself.
func (a *app) demoCommand() *cobra.Command {
	var file, data string
	command := &cobra.Command{
		Use:   "demo",
		Short: "Play a month of three credit programmes on a new server and check the books",
		Long: `Play a month of three credit programmes on a new server of its own: customers buy and are granted
credits, a real trace of requests to a language model is charged to them, a test clock moves over
a renewal and an expiry, and at the end the books are checked. What each programme's help page
promises is checked on the way; a broken promise is exit code 1.`,
		Example: "  credits demo\n  credits demo --trace AzureLLMInferenceTrace_conv.csv --data ./demo-data",
		GroupID: groupRun,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trace, err := readTrace(file)
			if err != nil {
				return err
			}
			if len(trace) == 0 {
				return errors.New("the trace is empty")
			}
			return a.demo(cmd.Context(), trace, data)
		},
	}
	flags := command.Flags()
	flags.StringVar(&file, "trace", "", "replay this CSV `file` (TIMESTAMP,ContextTokens,GeneratedTokens; times of 16 November 2023) instead of the excerpt")
	flags.StringVar(&data, "data", "", "keep the server's data in this new `directory` (default a temporary one)")
	return command
}

// demo runs a server, the story on it, and stops the server.
func (a *app) demo(ctx context.Context, trace []traced, data string) (err error) {
	if data == "" {
		if data, err = os.MkdirTemp("", "creditstream-demo-"); err != nil {
			return fmt.Errorf("make a directory for the demo: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	} else if entries, readErr := os.ReadDir(data); readErr == nil && len(entries) > 0 {
		return wrongUse("--data %s is not empty: the demo begins with a new directory", data)
	}
	d := &demo{app: a, out: a.stdout, trace: trace, began: time.Now()}
	if a.output == "json" {
		d.out = io.Discard
	}
	d.say("Creditstream demo: three credit programmes, one journal each.")
	n, err := node.Start(ctx, node.Config{Data: data, Listen: "127.0.0.1:0", Dev: true, TestClock: yearBefore})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	d.client = &client{base: n.HTTP(), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}, pause: pause}
	d.say("A new server with its journal on NATS JetStream runs at %s. Its clock says %s.", n.HTTP(), moment(yearBefore.Format(time.RFC3339)))
	return d.play(ctx)
}

// play is the story.
func (d *demo) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		d.publish, d.rehearse, d.openTrace, d.replay, d.turnOfTheMonth, d.report, d.closeBooks,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) head(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if d.app.coloured(d.out) {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(d.out, "\n%s\n", text)
}

// publish creates the tenants with their catalogs, and gives each an account executive.
func (d *demo) publish(ctx context.Context) error {
	sources, err := deploy.Catalogs()
	if err != nil {
		return err
	}
	d.cast = programmes()
	for _, p := range d.cast {
		if _, err := d.client.send(ctx, request{
			method: http.MethodPost, path: apiPath("admin", "tenants"), body: map[string]string{"tenant": p.tenant}, id: keyOr(""),
		}, nil); err != nil {
			return fmt.Errorf("create tenant %s: %w", p.tenant, err)
		}
		var published publication
		if _, err := d.client.send(ctx, request{
			method: http.MethodPut, path: tenantPath(p.tenant, "catalog"), body: sources[p.tenant], media: "application/yaml",
		}, &published); err != nil {
			return fmt.Errorf("publish the catalog of %s: %w", p.tenant, err)
		}
		d.say("%s: catalog version %d in force", p.tenant, published.Version)
		executive, err := d.executive(ctx, p.tenant)
		if err != nil {
			return err
		}
		d.scenes = append(d.scenes, &scene{
			ctx: ctx, out: d.out, marks: marksFor(d.app.coloured(d.out)), tenant: p.tenant,
			client: d.client, person: executive, acknowledged: make(map[string]bool),
		})
	}
	return nil
}

// executive is a client with the key of a person who may grant.
func (d *demo) executive(ctx context.Context, tenant string) (*client, error) {
	var created struct {
		Key string `json:"key"`
	}
	if _, err := d.client.send(ctx, request{
		method: http.MethodPost, path: apiPath("admin", "keys"), id: keyOr(""),
		body: map[string]any{"tenant": tenant, "actor": "account-executive", "person": true, "scopes": []string{"grant", "read"}},
	}, &created); err != nil {
		return nil, fmt.Errorf("create the account executive's key for %s: %w", tenant, err)
	}
	person := *d.client
	person.key = created.Key
	return &person, nil
}

// rehearse plays what the pages promise up to the day of the trace.
func (d *demo) rehearse(ctx context.Context) error {
	d.head("%s: a customer buys a pack for 12 months", yearBefore.Format("2 January 2006"))
	if err := d.each(func(p programme) func(*scene) { return p.yearBefore }, false); err != nil {
		return err
	}
	if err := moveClock(ctx, d.client, firstDay); err != nil {
		return err
	}
	d.head("%s: what the pages promise", firstDay.Format("2 January 2006"))
	return d.each(func(p programme) func(*scene) { return p.firstDay }, true)
}

// each plays one act of every programme that has it.
func (d *demo) each(act func(programme) func(*scene), titled bool, tenants ...string) error {
	for i, p := range d.cast {
		play := act(p)
		if play == nil || (len(tenants) > 0 && p.tenant != tenants[0]) {
			continue
		}
		if titled {
			d.say("%s, %s", p.tenant, p.title)
		}
		play(d.scenes[i])
		if err := d.scenes[i].err; err != nil {
			return fmt.Errorf("%s: %w", p.tenant, err)
		}
	}
	return nil
}

// atOnce is how many requests the demo has under way at a time.
const atOnce = 16

// inParallel does something with each item, a few at a time, and returns the first fault.
func inParallel[T any](items []T, do func(T) error) error {
	var (
		wait  sync.WaitGroup
		once  sync.Once
		fault error
	)
	queue := make(chan T)
	for range atOnce {
		wait.Go(func() {
			for item := range queue {
				if err := do(item); err != nil {
					once.Do(func() { fault = err })
				}
			}
		})
	}
	for _, item := range items {
		queue <- item
	}
	close(queue)
	wait.Wait()
	return fault
}

// turnOfTheMonth moves the clock over the renewals and over what ends with them.
func (d *demo) turnOfTheMonth(ctx context.Context) error {
	last := func(p programme) func(*scene) { return p.lastSecond }
	renewed := func(p programme) func(*scene) { return p.renewed }
	if err := d.takeStock(ctx, firstDay); err != nil {
		return err
	}
	d.head("%s: a renewal and an expiry", renewal.Format("2 January 2006"))
	for _, step := range []struct {
		at      time.Time
		act     func(programme) func(*scene)
		tenants []string
	}{
		{adtechRenewal.Add(-time.Second), last, []string{"adtech"}},
		{adtechRenewal, renewed, []string{"adtech"}},
		{renewal.Add(-time.Second), last, []string{"tecpet", "wanclouds"}},
		{renewal, renewed, []string{"tecpet", "wanclouds"}},
	} {
		if err := moveClock(ctx, d.client, step.at); err != nil {
			return err
		}
		d.say("the clock says %s", moment(step.at.Format(time.RFC3339)))
		for _, tenant := range step.tenants {
			if err := d.each(step.act, false, tenant); err != nil {
				return err
			}
		}
	}
	return d.takeStock(ctx, renewal)
}
