package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// tenantCommand creates tenants.
func (a *app) tenantCommand() *cobra.Command {
	var shards int
	create := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create a tenant; it has no catalog yet",
		Example: "  credits tenant create acme && credits catalog publish acme.yaml --tenant acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodPost,
				path:   apiPath("admin", "tenants"),
				body:   map[string]any{"tenant": args[0], "shards": shards},
				id:     keyOr(""),
			}, nil)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) { fmt.Fprintf(w, "tenant %s is there\n", args[0]) })
		},
	}
	create.Flags().IntVar(&shards, "shards", 1, "journals that its accounts are spread over; cannot change later")
	command := &cobra.Command{Use: "tenant", Short: "Create a tenant", GroupID: groupSetUp}
	command.AddCommand(create)
	return command
}

// keyCommand looks after API keys.
func (a *app) keyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "key",
		Short:   "Create, list and revoke API keys",
		GroupID: groupSetUp,
	}
	command.AddCommand(a.keyCreateCommand(), a.keyListCommand(), a.keyRevokeCommand())
	return command
}

func (a *app) keyCreateCommand() *cobra.Command {
	var actor, name, expires string
	var scopes []string
	var person bool
	command := &cobra.Command{
		Use:   "create --actor WHO --scope SCOPE,...",
		Short: "Create a key of the tenant, or of the operator; its secret is shown once",
		Long: `Create a key of the tenant named with --tenant or, without one, of the operator. The secret is
shown this once and kept nowhere. Scopes: usage, read, purchase, grant, catalog, admin.`,
		Example: `  credits key create --tenant tecpet --actor whatsapp-bot --scope usage,read
  credits key create --tenant adtech --actor ana@example.com --person --scope grant,read`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]any{"actor": actor, "scopes": scopes, "person": person}
			setIf(body, "tenant", a.tenant)
			setIf(body, "name", name)
			setIf(body, "expires", expires)
			var answer struct {
				ID  string `json:"id"`
				Key string `json:"key"`
			}
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodPost, path: apiPath("admin", "keys"), body: body,
			}, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				fmt.Fprintf(w, "%s\n", answer.Key)
				fmt.Fprintf(a.stderr, "key %s for %s; it will not be shown again\n", answer.ID, actor)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&actor, "actor", "", "who uses it: the `person` or service that the journal will name")
	flags.StringSliceVar(&scopes, "scope", nil, "what it may do; may be repeated")
	flags.BoolVar(&person, "person", false, "the actor is a person: grants and revocations need one")
	flags.StringVar(&name, "name", "", "what it is for")
	flags.StringVar(&expires, "expires", "", "refused from this `instant` on, RFC 3339 (default never)")
	mustHave(command, "actor", "scope")
	return command
}

func (a *app) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List keys, never their secrets",
		Example: "  credits key list --tenant tecpet",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := map[string][]string{}
			if a.tenant != "" {
				query["tenant"] = []string{a.tenant}
			}
			var list struct {
				Keys []struct {
					ID      string   `json:"id"`
					Tenant  string   `json:"tenant"`
					Actor   string   `json:"actor"`
					Scopes  []string `json:"scopes"`
					Created string   `json:"created"`
					Revoked string   `json:"revoked"`
				} `json:"keys"`
			}
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodGet, path: apiPath("admin", "keys"), query: query,
			}, &list)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				g := newGrid("Key", "Tenant", "Actor", "Scopes", "Created", "Revoked")
				for _, k := range list.Keys {
					g.row(k.ID, k.Tenant, k.Actor, strings.Join(k.Scopes, ","), moment(k.Created), moment(k.Revoked))
				}
				g.print(w)
			})
		},
	}
}

func (a *app) keyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke KEY-ID",
		Short:   "Revoke a key at once",
		Example: "  credits key revoke k_01jd2m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.client().send(cmd.Context(), request{
				method: http.MethodDelete, path: apiPath("admin", "keys", args[0]),
			}, nil); err != nil {
				return err
			}
			if a.output == "json" {
				return a.printValue(map[string]string{"id": args[0], "status": "revoked"})
			}
			_, err := fmt.Fprintf(a.stdout, "key %s is revoked\n", args[0])
			return err
		},
	}
}

// clockCommand reads the clock, confirms it, and moves that of a test.
func (a *app) clockCommand() *cobra.Command {
	var confirm bool
	command := &cobra.Command{
		Use:   "clock [INSTANT]",
		Short: "Show the server's clock, confirm it, or move a test clock",
		Long: `Show the time that decisions go by, and whether it is trusted. A wall clock that jumped more than an
hour ahead, or is behind the journal, stops writes until it is right again or, with --confirm, an
operator says that it is right.

INSTANT moves the clock of a server that was started with --test-clock. It only moves forward, and
what fell due on the way (renewals, expiries) has happened when the command returns.`,
		Example: "  credits clock\n  credits clock --confirm\n  credits clock 2026-12-01T00:00:00Z",
		GroupID: groupSetUp,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := request{method: http.MethodGet, path: apiPath("admin", "clock")}
			switch {
			case confirm && len(args) == 1:
				return wrongUse("confirm the clock, or move it: not both")
			case confirm:
				r.method, r.path = http.MethodPost, apiPath("admin", "clock", "confirm")
			case len(args) == 1:
				r.method, r.path, r.body = http.MethodPost, apiPath("admin", "test-clock"), map[string]string{"now": args[0]}
			}
			var answer struct {
				Now      string   `json:"now"`
				Problems []string `json:"problems"`
			}
			raw, err := a.client().send(cmd.Context(), r, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				fmt.Fprintf(w, "it is %s\n", moment(answer.Now))
				for _, problem := range answer.Problems {
					fmt.Fprintf(w, "  %s\n", problem)
				}
			})
		},
	}
	command.Flags().BoolVar(&confirm, "confirm", false, "say that the wall clock is right, though it jumped or is behind the journal")
	return command
}
