package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// usageCommand records that an account used something.
func (a *app) usageCommand() *cobra.Command {
	var id, at, description string
	var attributes []string
	command := &cobra.Command{
		Use:     "usage ACCOUNT METER QUANTITY",
		Short:   "Record a usage and charge the account for it",
		Long:    "Record a usage and charge the account for it: all of it or, if the credits do not reach, nothing.",
		Example: "  credits usage acct-1 sticker 1 --tenant tecpet --description \"Sticker for Rex\"",
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			quantity, err := a.quantityOf(args[2])
			if err != nil {
				return err
			}
			body := map[string]any{"meter": args[1], "quantity": quantity}
			setIf(body, "time", at)
			setIf(body, "description", description)
			if len(attributes) > 0 {
				if body["attributes"], err = pairs(attributes); err != nil {
					return err
				}
			}
			var answer usageAnswer
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodPost,
				path:   tenantPath(a.tenant, "accounts", args[0], "usage"),
				body:   body,
				id:     keyOr(id),
			}, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				fmt.Fprintf(w, "%s: cost %s credits, %s remaining\n", recorded(answer.Replayed), grouped(answer.Cost), grouped(answer.Remaining))
				if len(answer.Draws) > 0 {
					fmt.Fprintf(w, "paid by %s\n", paidBy(answer.Draws))
				}
			})
		},
	}
	flags := command.Flags()
	idempotencyFlag(command, &id)
	flags.StringVar(&at, "time", "", "when it happened, RFC 3339 (default now)")
	flags.StringVar(&description, "description", "", "a line for the history")
	flags.StringArrayVar(&attributes, "attribute", nil, "`name=value` kept with the usage; may be repeated")
	return command
}

// idempotencyFlag adds the flag for the key under which a change takes effect at most once.
func idempotencyFlag(command *cobra.Command, id *string) {
	command.Flags().StringVar(id, "idempotency-key", "", "do this at most once under this `key`, however often the command is run (default a new one)")
}

// keyOr is the key given, or a new one. New ones are ordered by time (UUIDv7), which keeps the
// server's index of keys cheap.
func keyOr(id string) string {
	if id != "" {
		return id
	}
	return uuid.Must(uuid.NewV7()).String()
}

func recorded(replayed bool) string {
	if replayed {
		return "recorded before (nothing was charged again)"
	}
	return "recorded"
}

// setIf sets a field of a body unless the value is empty: an absent field keeps its default.
func setIf(body map[string]any, field, value string) {
	if value != "" {
		body[field] = value
	}
}

// pairs reads name=value arguments.
func pairs(args []string) (map[string]string, error) {
	values := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		if !found || name == "" {
			return nil, wrongUse("%q is not of the form name=value", arg)
		}
		values[name] = value
	}
	return values, nil
}
