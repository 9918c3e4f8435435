package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"creditstream/services/backup"
	"creditstream/services/node"
)

// backupCommand puts away everything that a server keeps.
func (a *app) backupCommand() *cobra.Command {
	journalOnly := false
	command := &cobra.Command{
		Use:   "backup TO",
		Short: "Put away everything that a server keeps, while it runs",
		Long: `Put away everything that a server keeps: all journals, the credentials, what waits in the intake, and
the views. The server goes on meanwhile; --data works on the directory of a stopped one.

TO is a new directory, a new file whose name ends in .tar, or - for standard output. What is written
is checked on the way and read by its owner only. It holds the credentials of all tenants, which the
server's pepper protects: the file "pepper" of its data directory is no part of a backup. Keep a copy
of it somewhere else; without it every key and code has to be made again.

With --journal-only the views are left out: they are built anew after a restore, which takes longer.`,
		Example: `  credits backup /backups/monday
  credits backup /backups/monday.tar --journal-only
  credits backup - | age -r age1... > monday.tar.age
  credits backup /backups/monday --data /var/lib/creditstream`,
		GroupID: groupAudit,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := args[0]
			if to != "-" {
				if err := backup.Free(to); err != nil { // before a server is troubled
					return err
				}
			}
			return a.withNode(cmd.Context(), func(c *client) error { return a.backUp(cmd.Context(), c, to, journalOnly) })
		},
	}
	a.dataFlag(command)
	command.Flags().BoolVar(&journalOnly, "journal-only", false, "leave out the views")
	return command
}

func (a *app) backUp(ctx context.Context, c *client, to string, journalOnly bool) error {
	began := time.Now()
	query := url.Values{}
	if journalOnly {
		query.Set("journal_only", "true")
	}
	response, err := c.open(ctx, request{method: http.MethodPost, path: apiPath("admin", "backup"), query: query}, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return readProblem(response, text)
	}
	meter := a.newMeter("backing up")
	in := io.TeeReader(response.Body, meter)
	var m *backup.Manifest
	if to == "-" {
		m, err = backup.Copy(ctx, in, a.stdout)
	} else {
		m, err = backup.Receive(ctx, in, to)
	}
	meter.done()
	if err != nil {
		return err
	}
	out := a.stdout
	if to == "-" {
		out = a.stderr
	}
	if err := a.tellBackup(out, "backed up to "+to, m, time.Since(began)); err != nil {
		return err
	}
	if len(m.LeftOut) > 0 {
		return errReported
	}
	return nil
}

// tellBackup says what is in a backup.
func (a *app) tellBackup(out io.Writer, what string, m *backup.Manifest, took time.Duration) error {
	for _, l := range m.LeftOut {
		fmt.Fprintf(a.stderr, "credits: tenant %s is NOT in the backup, because the server does not serve it: %s\n", l.Tenant, l.Reason)
	}
	if a.output == "json" && out == a.stdout {
		return a.printValue(map[string]any{
			"created": m.Created, "program": m.Program, "bytes": m.Bytes(), "seconds": took.Seconds(), "journals": m.Journals, "views": m.Views, "left_out": m.LeftOut,
		})
	}
	g := newGrid("Journal", ">Commits", "Hash")
	for _, j := range m.Journals {
		g.row(j.Name().String(), count(int(j.Sequence)), j.Hash.String()[:16])
	}
	g.print(out)
	fmt.Fprintf(out, "%s: as of %s, %s MiB, %s MiB/s\n", what, m.Created.Format(time.RFC3339), count(int(m.Bytes()>>20)), count(int(float64(m.Bytes()>>20)/max(took.Seconds(), 0.001))))
	return nil
}

// restoreCommand makes a data directory of a backup.
func (a *app) restoreCommand() *cobra.Command {
	cfg := node.RestoreConfig{}
	command := &cobra.Command{
		Use:   "restore FROM --data DIR",
		Short: "Make a server's data directory from a backup",
		Long: `Make the data directory of a server from a backup, a directory or a tar file. All of the backup is
checked before anything is written; then every journal is read from its beginning, and every hash has
to be the one in the manifest. A server that starts on the directory goes on where the backup was made.

DIR is empty or not there. --pepper is a copy of the file "pepper" of the server that was backed up.`,
		Example: `  credits restore /backups/monday --data /var/lib/creditstream --pepper /safe/pepper
  credits restore monday.tar --data ./data --journal-only`,
		GroupID: groupAudit,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cfg.Data == "" {
				return wrongUse("restore where? name an empty directory with --data")
			}
			cfg.From = args[0]
			return a.restore(cmd.Context(), cfg)
		},
	}
	flags := command.Flags()
	flags.StringVar(&cfg.Data, "data", "", "`directory` to make, empty or not there")
	flags.StringVar(&cfg.Pepper, "pepper", "", "`file` with the pepper of the server that was backed up")
	flags.BoolVar(&cfg.JournalOnly, "journal-only", false, "leave the backup's views alone and let the server build them anew")
	return command
}

func (a *app) restore(ctx context.Context, cfg node.RestoreConfig) error {
	began := time.Now()
	var current *bar
	var unit string
	cfg.Progress = func(what string, done, total int64) {
		if what != unit {
			unit, current = what, a.newBar(int(max(total, 1)), what)
		}
		current.set(int(done))
		if done >= total {
			current.done()
		}
	}
	m, err := node.Restore(ctx, cfg)
	if err != nil {
		return err
	}
	if err := a.tellBackup(a.stdout, "restored to "+cfg.Data, m, time.Since(began)); err != nil {
		return err
	}
	if cfg.Pepper == "" {
		fmt.Fprintf(a.stderr, "Now copy the pepper of the server that was backed up to %s/pepper (mode 0600): without it the server does not start.\n", cfg.Data)
	}
	return nil
}

// meter counts bytes of which nobody knows how many there will be.
type meter struct {
	w     io.Writer
	live  *progressbar.ProgressBar // nil elsewhere than at a terminal
	count int64
}

// meterEvery is how many bytes a line is printed for where no bar can be drawn.
const meterEvery = 1 << 30

func (a *app) newMeter(what string) *meter {
	m := &meter{w: a.stderr}
	if isTerminal(a.stderr) {
		m.live = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return m
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (int, error) {
	before := m.count / meterEvery
	m.count += int64(len(p))
	if m.live != nil {
		_ = m.live.Add(len(p)) // a bar that cannot be drawn is no reason to stop the work
	} else if m.count/meterEvery > before {
		fmt.Fprintf(m.w, "%s MiB\n", count(int(m.count>>20)))
	}
	return len(p), nil
}

func (m *meter) done() {
	if m.live != nil {
		_ = m.live.Finish()
	}
}
