package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked means that another process uses the directory. JetStream itself
// takes no lock: two servers on one directory would both start, both
// acknowledge, and one's messages would vanish.
var ErrLocked = errors.New("directory is in use by another process")

// LockDir takes the lock of a directory, creating the directory (0700) and the
// file "lock" in it when they are not there. The operating system drops the
// lock with the process, so what a crash leaves behind never has to be removed.
//
// The error is ErrLocked when someone else holds it. release gives it back; a
// second call of it does nothing.
func LockDir(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w (process %q): stop that process, or choose another directory",
				dir, ErrLocked, holder)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	// The number is for the message above only; the lock is what counts.
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0)
	}
	return func() error {
		if err := file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("unlock %s: %w", dir, err)
		}
		return nil
	}, nil
}
