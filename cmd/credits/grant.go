package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

// grantCommand gives credits by a person's decision.
func (a *app) grantCommand() *cobra.Command {
	var id, pool, reason, kind, expires, price, invoice string
	command := &cobra.Command{
		Use:   "grant ACCOUNT CREDITS --pool POOL --reason WHY",
		Short: "Give an account credits, as a person who answers for it",
		Long: `Give an account credits. A grant needs a key that belongs to a person and has the scope "grant";
who gave it and why stands in the journal.`,
		Example: `  credits grant acct-1 500 --tenant adtech --pool extra --kind goodwill --reason "outage of 3 March"
  credits grant acct-1 500 --tenant adtech --pool extra --kind sold --price "EUR 90.00" --invoice 2026-117 --reason "order 4711"`,
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			body := map[string]any{"credits": args[1], "pool": pool, "reason": reason}
			setIf(body, "kind", kind)
			setIf(body, "expires", expires)
			setIf(body, "invoice_ref", invoice)
			if price != "" {
				paid, err := purchaseBody("", price, "")
				if err != nil {
					return err
				}
				body["price"] = paid["topup"]
			}
			var answer grantAnswer
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodPost,
				path:   tenantPath(a.tenant, "accounts", args[0], "grants"),
				body:   body,
				id:     keyOr(id),
			}, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				fmt.Fprintf(w, "granted %s credits into %s: lot %s\n", grouped(args[1]), pool, answer.Lot)
			})
		},
	}
	flags := command.Flags()
	idempotencyFlag(command, &id)
	flags.StringVar(&pool, "pool", "", "the `pool` that it goes into")
	flags.StringVar(&reason, "reason", "", "why, for the journal")
	flags.StringVar(&kind, "kind", "", "sold, goodwill or promotion")
	flags.StringVar(&expires, "expires", "", "usable before this `instant`, RFC 3339 (default as the catalog says)")
	flags.StringVar(&price, "price", "", "what was paid, such as \"EUR 90.00\"")
	flags.StringVar(&invoice, "invoice", "", "the invoice's `reference`")
	mustHave(command, "pool", "reason")
	return command
}

// mustHave marks flags without which a command cannot run.
func mustHave(command *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := command.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is not defined: a fault of this file
		}
	}
}
