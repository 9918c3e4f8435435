package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
)

// A server in a process of its own shares neither the garbage collector nor the scheduler with its clients:
// the shape in which a peer is measured, and the only one in which its memory and what it reads are its own.
// Its standard input is a pipe from its parent: it stops when that ends, so a parent that dies leaves none.

func (s settings) text() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("settings are not JSON: %v", err)) // strings, numbers and booleans always are
	}
	return string(text)
}

// ready is what a server prints once it serves.
type ready struct {
	HTTP string `json:"http"`
	NATS string `json:"nats"`
}

// Serve is a server for a parent: it starts one with settings as StartChild gives them, prints its addresses
// as one line of JSON, and stops when its input ends.
func Serve(ctx context.Context, text string, in io.Reader, out io.Writer) (err error) {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("the settings of the server to load: %w", err)
	}
	stop, err := s.profile()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	n, err := s.start(ctx)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ready{HTTP: n.HTTP(), NATS: n.NATS()}); err != nil {
		return errors.Join(err, n.Close())
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, n.Close())
}

// profile profiles this process until stop is called, if a profile is asked for.
func (s settings) profile() (stop func() error, err error) {
	if s.Profile == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(s.Profile)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// Child is a server in a process of its own.
type Child struct {
	HTTP, NATS string // the addresses of its doors
	command    *exec.Cmd
	input      io.Closer
}

// StartChild runs a command line with one more argument, and returns when the server serves.
func StartChild(ctx context.Context, serve []string, text string) (*Child, error) {
	c := &Child{command: exec.CommandContext(ctx, serve[0], append(serve[1:len(serve):len(serve)], text)...)}
	c.command.Stderr = os.Stderr
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.input, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	var r ready
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server did not start: %w", err), c.Kill())
	}
	c.HTTP, c.NATS = r.HTTP, r.NATS
	return c, nil
}

// Pid is its process.
func (c *Child) Pid() int { return c.command.Process.Pid }

// Stop lets it finish what is under way.
func (c *Child) Stop() error {
	if err := c.input.Close(); err != nil {
		return err
	}
	if err := c.command.Wait(); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return nil
}

// Kill ends it at once, as a crash of the process would.
func (c *Child) Kill() error {
	if err := c.command.Process.Kill(); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := c.command.Wait(); !errors.As(err, &exit) {
		return err
	}
	return nil
}
