//go:build !linux

package load

import "time"

// sleep is as exact as the timers of the Go runtime are here.
func sleep(d time.Duration) { time.Sleep(d) }
