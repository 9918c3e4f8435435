package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// process is a server of somebody else's under measurement.
type process struct {
	command *exec.Cmd
	log     *os.File
}

// account is the user that a server runs as: database servers refuse to run as root, so for root it is one
// that Debian has for this. nil is whoever runs this.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("a database server does not run as root, and there is neither a user postgres nor nobody")
}

// directory makes one that such a user may write.
func directory(parent, name string) (string, error) {
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	as, err := account()
	if err != nil || as == nil {
		return dir, err
	}
	if err := os.Chmod(parent, 0o711); err != nil {
		return "", err
	}
	return dir, os.Chown(dir, int(as.Uid), int(as.Gid))
}

// commandAs prepares a command to run as that user in dir.
func commandAs(ctx context.Context, dir, path string, args ...string) (*exec.Cmd, error) {
	as, err := account()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, path, args...)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) } // an orderly stop, for both servers
	command.WaitDelay = 10 * time.Second
	return command, nil
}

// start runs a server, with its log beside its directory.
func start(ctx context.Context, dir, path string, args ...string) (*process, error) {
	command, err := commandAs(ctx, dir, path, args...)
	if err != nil {
		return nil, err
	}
	p := &process{command: command}
	if p.log, err = os.Create(dir + ".log"); err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = p.log, p.log
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", path, err), p.log.Close())
	}
	return p, nil
}

// stop asks it to stop, and waits until it has.
func (p *process) stop() error {
	err := p.command.Process.Signal(syscall.SIGINT)
	var exit *exec.ExitError
	if waited := p.command.Wait(); !errors.As(waited, &exit) { // how it says that it was interrupted is its own affair
		err = errors.Join(err, waited)
	}
	return errors.Join(err, p.log.Close())
}

// wait asks until the server answers.
func wait(ctx context.Context, log string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			said, _ := os.ReadFile(log)
			return fmt.Errorf("the server does not answer: %w; its log ends with: %s", err, said[max(0, len(said)-500):])
		}
	}
}

// freePort finds a port of the loopback address that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
