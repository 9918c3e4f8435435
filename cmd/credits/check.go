package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

// checkCommand asks whether an account could pay for a usage. It writes nothing.
func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check ACCOUNT METER QUANTITY",
		Short:   "Ask whether a usage would be allowed, and what it would cost",
		Long:    "Ask whether a usage would be allowed, and what it would cost. Writes nothing.\nExit code 0 if it is allowed, 1 if not.",
		Example: "  credits check acct-1 sticker 2 --tenant tecpet",
		GroupID: groupSpend,
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			quantity, err := a.quantityOf(args[2])
			if err != nil {
				return err
			}
			var answer checkAnswer
			raw, err := a.client().send(cmd.Context(), request{
				method: http.MethodPost,
				path:   tenantPath(a.tenant, "accounts", args[0], "check"),
				body:   map[string]any{"meter": args[1], "quantity": quantity},
			}, &answer)
			if err != nil {
				return err
			}
			if err := a.show(raw, func(w io.Writer) { printCheck(w, args[1], answer) }); err != nil {
				return err
			}
			if !answer.Allowed {
				return errReported
			}
			return nil
		},
	}
}

func printCheck(w io.Writer, meter string, answer checkAnswer) {
	if answer.Allowed {
		fmt.Fprintf(w, "allowed: costs %s credits\n", grouped(answer.Cost))
	} else {
		fmt.Fprintf(w, "refused: %s, it would cost %s credits\n", answer.Code, grouped(answer.Cost))
	}
	if len(answer.Draws) > 0 {
		fmt.Fprintf(w, "paid by %s\n", paidBy(answer.Draws))
	}
	fmt.Fprintf(w, "%s credits left for %s: enough for %s\n", grouped(answer.Remaining), meter, count(answer.RemainingUnits))
}

// quantityOf reads a quantity of the command line and makes sure that there is a tenant.
func (a *app) quantityOf(arg string) (int64, error) {
	quantity, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || quantity < 1 {
		return 0, wrongUse("the quantity is a whole number from 1 on, not %q", arg)
	}
	return quantity, a.needTenant()
}
