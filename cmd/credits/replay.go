package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// replayCommand prints the journal.
func (a *app) replayCommand() *cobra.Command {
	var from, account, kind string
	var follow bool
	command := &cobra.Command{
		Use:   "replay",
		Short: "Print a tenant's journal, one CloudEvent a line, oldest first",
		Long: `Print a tenant's journal as newline-delimited CloudEvents, oldest first: every fact, in the order
in which it was recorded. With --data it reads the journal of a stopped server.`,
		Example: `  credits replay --tenant tecpet --account acct-1
  credits replay --tenant tecpet --follow --type UsageRecorded
  credits replay --tenant tecpet --data ./data > journal.ndjson`,
		GroupID: groupAudit,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			query := url.Values{}
			addIf(query, "from_position", from)
			addIf(query, "account", account)
			addIf(query, "type", kind)
			if follow {
				query.Set("follow", "true")
			}
			return a.withNode(cmd.Context(), func(c *client) error {
				found := false
				for line, err := range c.lines(cmd.Context(), request{
					method: http.MethodGet, path: tenantPath(a.tenant, "events"), query: query,
				}) {
					if cmd.Context().Err() != nil {
						return nil // the reader of a followed journal said that it is enough
					}
					if err != nil {
						return err
					}
					found = true
					if _, err := fmt.Fprintf(a.stdout, "%s\n", line); err != nil {
						return fmt.Errorf("write the journal: %w", err)
					}
				}
				if follow && cmd.Context().Err() == nil {
					return errors.New("the server ended the stream")
				}
				if !found {
					fmt.Fprintln(a.stderr, "Nothing of this is in the journal.")
				}
				return nil
			})
		},
	}
	flags := command.Flags()
	a.dataFlag(command)
	flags.StringVar(&from, "from-position", "", "from the entry at this `position` on, itself included; end: only what comes from now on")
	flags.StringVar(&account, "account", "", "only this `account`")
	flags.StringVar(&kind, "type", "", "only events of this `type`, such as UsageRecorded")
	flags.BoolVar(&follow, "follow", false, "go on with what is recorded from now on, until interrupted")
	command.MarkFlagsMutuallyExclusive("follow", "data")
	return command
}
