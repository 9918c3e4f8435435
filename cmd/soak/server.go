package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startWithin is how long a server may take to be ready on what a fault left.
const startWithin = 2 * time.Minute

// server is a running victim.
type server struct {
	url   string
	nats  string // of the intake
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	ended chan struct{} // closed when the process is gone
}

// launch starts a server and does not wait for it: ready says when it serves.
func launch(cfg victimConfig, log string) (s *server, ready <-chan string, err error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer out.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self) //nolint:noctx // the campaign kills it when it wants to
	cmd.Env = append(os.Environ(), victimEnv+"="+string(text))
	cmd.Stderr = out
	cmd.SysProcAttr = dieWithUs()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the server: %w", err)
	}
	s = &server{cmd: cmd, stdin: stdin, log: log, ended: make(chan struct{})}
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			select {
			case address <- lines.Text():
			default:
			}
		}
		_ = cmd.Wait() // that it was killed is no news
		close(s.ended)
	}()
	return s, address, nil
}

// errNotServed says that the server ended before it was ready.
var errNotServed = errors.New("the server did not start on what was left")

// start starts a server and waits until it serves.
func start(ctx context.Context, cfg victimConfig, log string) (*server, error) {
	s, ready, err := launch(cfg, log)
	if err != nil {
		return nil, err
	}
	select {
	case line := <-ready:
		return s.at(line), nil
	case <-s.ended:
		select {
		case line := <-ready: // what it had to say was all
			return s.at(line), nil
		default:
		}
		return nil, fmt.Errorf("%w: %s", errNotServed, s.lastWords())
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startWithin):
		err = fmt.Errorf("%w within %s: %s", errNotServed, startWithin, s.lastWords())
	}
	s.kill()
	return nil, err
}

// at notes the addresses of a server; what verifies prints a report instead.
func (s *server) at(line string) *server {
	if s.url = line; strings.HasPrefix(line, "http") {
		s.url, s.nats, _ = strings.Cut(line, " ")
	}
	return s
}

// kill ends the process at once and returns when it is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop lets the server finish what is under way.
func (s *server) stop() error {
	_ = s.stdin.Close()
	select {
	case <-s.ended:
	case <-time.After(startWithin):
		s.kill()
		return errors.New("the server did not stop when it was told to")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server stopped with exit code %d: %s", code, s.lastWords())
	}
	return nil
}

// killed reports whether it ended by SIGKILL, not by itself.
func (s *server) killed() bool {
	status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// lastWords are the last lines of its log.
func (s *server) lastWords() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "\n  ")
}

func logPath(dir string) string { return filepath.Join(dir, "server.log") }
