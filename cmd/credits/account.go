package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// accountCommand opens accounts and shows how they stand.
func (a *app) accountCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "account",
		Short:   "Open, change, show, list, close and reopen accounts",
		GroupID: groupSetUp,
	}
	command.AddCommand(a.accountSetCommand(), a.accountShowCommand(), a.accountListCommand(),
		a.accountEndCommand("close", "Close an account: its credits are frozen"),
		a.accountEndCommand("reopen", "Open a closed account again"))
	return command
}

// account is the account as the interface shows it.
type account struct {
	Account       string `json:"account"`
	Plan          string `json:"plan"`
	Status        string `json:"status"`
	Timezone      string `json:"timezone"`
	Cycle         cycle  `json:"cycle"`
	PaymentMethod struct {
		Label string `json:"label"` // masked
	} `json:"payment_method"`
}

func (a *app) accountSetCommand() *cobra.Command {
	var plan, timezone, anchor, pin, card, cardLabel, cardProvider, effective string
	var metadata []string
	var noPlan, totp bool
	command := &cobra.Command{
		Use:   "set ACCOUNT",
		Short: "Open an account, or change the settings that are named",
		Example: `  credits account set acct-1 --tenant tecpet --plan ai --pin 482913
  credits account set acct-1 --tenant wanclouds --plan pro --card tok_1 --card-label "Visa •••• 4242"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			body := map[string]any{}
			setIf(body, "plan", plan)
			setIf(body, "timezone", timezone)
			setIf(body, "anchor", anchor)
			setIf(body, "effective", effective)
			if card != "" {
				body["payment_method"] = map[string]string{"provider": cardProvider, "reference": card, "label": cardLabel}
			}
			if noPlan {
				body["plan"] = nil
			}
			if pin != "" {
				body["approval"] = map[string]string{"pin": pin}
			}
			if totp {
				body["approval"] = map[string]bool{"totp": true}
			}
			if len(metadata) > 0 {
				values, err := pairs(metadata)
				if err != nil {
					return err
				}
				body["metadata"] = values
			}
			return a.printAccount(cmd, request{method: http.MethodPut, path: tenantPath(a.tenant, "accounts", args[0]), body: body})
		},
	}
	flags := command.Flags()
	flags.StringVar(&plan, "plan", "", "the `plan` that it subscribes to")
	flags.BoolVar(&noPlan, "no-plan", false, "end its subscription")
	flags.StringVar(&timezone, "timezone", "", "its time `zone`, such as Europe/Madrid (default the tenant's)")
	flags.StringVar(&anchor, "anchor", "", "the `instant` from which its cycles are counted; set once (default now)")
	flags.StringVar(&pin, "pin", "", "the manager's 6-digit `code`")
	flags.BoolVar(&totp, "totp", false, "the manager's code comes from an authenticator; its address is shown once")
	flags.StringVar(&card, "card", "", "the provider's `reference` of a saved payment method; never a card's number")
	flags.StringVar(&cardLabel, "card-label", "", "what the buyer is shown of it, masked")
	flags.StringVar(&cardProvider, "card-provider", "sandbox", "the payment `provider` that knows the reference")
	flags.StringVar(&effective, "effective", "", "when a change of plan acts: now or next_cycle (default by the plans' ranks)")
	flags.StringArrayVar(&metadata, "metadata", nil, "`name=value` kept with the account; may be repeated")
	command.MarkFlagsMutuallyExclusive("plan", "no-plan")
	command.MarkFlagsMutuallyExclusive("pin", "totp")
	return command
}

func (a *app) accountShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ACCOUNT",
		Short:   "Show an account's plan, status, cycle and settings",
		Example: "  credits account show acct-1 --tenant tecpet",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			return a.printAccount(cmd, request{method: http.MethodGet, path: tenantPath(a.tenant, "accounts", args[0])})
		},
	}
}

func (a *app) accountEndCommand(verb, short string) *cobra.Command {
	var id, reason string
	command := &cobra.Command{
		Use:     verb + " ACCOUNT --reason WHY",
		Short:   short,
		Example: "  credits account " + verb + " acct-1 --tenant tecpet --reason \"asked by the owner\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			return a.printAccount(cmd, request{
				method: http.MethodPost,
				path:   tenantPath(a.tenant, "accounts", args[0], verb),
				body:   map[string]string{"reason": reason},
				id:     keyOr(id),
			})
		},
	}
	idempotencyFlag(command, &id)
	command.Flags().StringVar(&reason, "reason", "", "why, for the journal")
	mustHave(command, "reason")
	return command
}

// printAccount sends a request that is answered with an account.
func (a *app) printAccount(cmd *cobra.Command, r request) error {
	var answer struct {
		account
		Provisioning string `json:"provisioning_uri"` // of a TOTP secret, shown once
	}
	raw, err := a.client().send(cmd.Context(), r, &answer)
	if err != nil {
		return err
	}
	return a.show(raw, func(w io.Writer) {
		if answer.Timezone == "" { // closed or reopened: the answer says no more
			fmt.Fprintf(w, "%s: %s\n", answer.Account, answer.Status)
			return
		}
		fmt.Fprintf(w, "%s: %s, plan %s, %s\n", answer.Account, answer.Status, orNone(answer.Plan), answer.Timezone)
		if answer.Cycle.From != "" {
			fmt.Fprintf(w, "cycle %s to %s\n", moment(answer.Cycle.From), moment(answer.Cycle.To))
		}
		if answer.PaymentMethod.Label != "" {
			fmt.Fprintf(w, "pays with %s\n", answer.PaymentMethod.Label)
		}
		if answer.Provisioning != "" {
			fmt.Fprintf(w, "for the authenticator, shown only now: %s\n", answer.Provisioning)
		}
	})
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func (a *app) accountListCommand() *cobra.Command {
	var plan, status, search, cursor string
	var limit int
	command := &cobra.Command{
		Use:     "list",
		Short:   "List a tenant's accounts",
		Example: "  credits account list --tenant tecpet --plan ai",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			addIf(query, "plan", plan)
			addIf(query, "status", status)
			addIf(query, "q", search)
			addIf(query, "cursor", cursor)
			var list struct {
				Accounts []account `json:"accounts"`
				Next     string    `json:"next"`
			}
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodGet, path: tenantPath(a.tenant, "accounts"), query: query,
			}, &list)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				g := newGrid("Account", "Plan", "Status", "Time zone", "Cycle from", "to")
				for _, one := range list.Accounts {
					g.row(one.Account, orNone(one.Plan), one.Status, one.Timezone, moment(one.Cycle.From), moment(one.Cycle.To))
				}
				g.print(w)
				if list.Next != "" {
					fmt.Fprintf(w, "more: --cursor %s\n", list.Next)
				}
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&plan, "plan", "", "only those on this `plan`")
	flags.StringVar(&status, "status", "", "only those with this `status`: open or closed")
	flags.StringVar(&search, "search", "", "only those whose name contains this `text`")
	flags.StringVar(&cursor, "cursor", "", "go on where the page before ended")
	flags.IntVar(&limit, "limit", 100, "accounts at most, up to 1000")
	return command
}
