package load

import (
	"syscall"
	"time"
)

// sleep waits in the kernel: the timers of the Go runtime may be a millisecond late while everything else
// sleeps. A signal may end it early.
func sleep(d time.Duration) {
	wait := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&wait, nil) // woken early, a request is that much early
}
