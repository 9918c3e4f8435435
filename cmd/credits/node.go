package main

import (
	"context"

	"github.com/spf13/cobra"
)

// withNode does something with the running server or, with --data, with a stopped one's directory.
func (a *app) withNode(_ context.Context, do func(*client) error) error {
	return do(a.client())
}

// dataFlag adds --data to a command that can do without a running server.
func (a *app) dataFlag(command *cobra.Command) {
	command.Flags().StringVar(&a.data, "data", "", "read the data `directory` of a stopped server instead of asking a running one")
}
