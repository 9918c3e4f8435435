package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"creditstream/cmd/internal/faultfs"
	"creditstream/events/bus"
	"creditstream/events/journal"
)

// A stream whose sync failed takes nothing any more: the server's own report of its health says which, whatever
// it logs.
func TestAFrozenStreamIsSeenInTheServersHealth(t *testing.T) {
	if reason := faultfs.Unsupported(); reason != "" {
		t.Skip("left out: " + reason)
	}
	disk := faultfs.NewDisk(faultfs.Ordered)
	onDisk(t, disk, func(s *bus.Server, j *journal.Journal) {
		appended(t, j)
		if err := s.Frozen(); err != nil {
			t.Fatalf("nothing is wrong yet: %v", err)
		}
		disk.SetFault(func(op faultfs.Op, path string) syscall.Errno {
			if op == faultfs.OpSync && strings.Contains(path, "JOURNAL_") {
				return syscall.EIO
			}
			return 0
		})
		defer disk.SetFault(nil)
		if err := j.Append([]byte("[]"), func(journal.Head, error) {}); err != nil {
			t.Fatal(err)
		}
		var err error
		for late := time.Now().Add(time.Minute); err == nil && time.Now().Before(late); err = s.Frozen() {
			time.Sleep(10 * time.Millisecond) // there is no ack to wait for: that is the point
		}
		if !errors.Is(err, bus.ErrDisk) || !strings.Contains(err.Error(), "JOURNAL_acme_0") || s.Fault() == nil {
			t.Errorf("frozen: %v, fault: %v", err, s.Fault())
		}
	})
}
