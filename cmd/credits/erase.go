package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

// eraseCommand destroys the key of what was written about an account.
func (a *app) eraseCommand() *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:   "erase ACCOUNT",
		Short: "Erase what was written about an account, for ever",
		Long: "Destroys the key that the account's descriptions, attributes, metadata and reasons are sealed with in the journal.\n" +
			"Nobody can read them again. Balances and the history's amounts stay, and the journal still verifies.\n" +
			"Backups of the keys that were made before still open them: let those expire.",
		Example: "  credits erase acct-1 --tenant tecpet --yes",
		GroupID: groupSetUp,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.needTenant(); err != nil {
				return err
			}
			if !yes {
				return wrongUse("this cannot be undone: add --yes to erase what was written about %s", args[0])
			}
			var answer struct {
				Account, Position string
			}
			raw, err := a.client().send(cmd.Context(), request{method: http.MethodDelete, path: tenantPath(a.tenant, "accounts", args[0], "personal")}, &answer)
			if err != nil {
				return err
			}
			return a.show(raw, func(w io.Writer) {
				fmt.Fprintf(w, "What was written about %s can no longer be read. Its balance is as before.\n", answer.Account)
			})
		},
	}
	command.Flags().BoolVar(&yes, "yes", false, "erase without asking again")
	return command
}
