// Command credits is all of Creditstream in one binary: the server, the demo,
// and a command for each thing that one asks of a running server.
//
// One file is one subcommand; start reading at [run], which is the whole
// program for one command line, and then at serve.go, where a node is started,
// or demo.go, which tells the three programmes as a story. client.go is the
// only way that the other commands reach a server, so that they can do no more
// than any other program with the same key.
//
// It may import everything of this module; nothing imports it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // a machine without a zone database still knows when a day begins
)

// The exit codes, for scripts.
const (
	exitOK     = 0
	exitFailed = 1 // refused, or failed on the way
	exitUsage  = 2 // the command line itself is wrong; nothing was tried
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; from then on a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run carries out one command line and returns its exit code. Everything that a command says goes
// to the writers of a, and nothing is left running when it returns.
func run(ctx context.Context, a *app, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	case !a.started || errors.As(err, new(usageError)):
		fmt.Fprintf(a.stderr, "credits: %v\n", err)
		if command != root {
			fmt.Fprintf(a.stderr, "Usage: %s\n", command.UseLine())
		}
		fmt.Fprintln(a.stderr, "Run the command with --help for its arguments and an example.")
		return exitUsage
	}
	a.report(err)
	return exitFailed
}
