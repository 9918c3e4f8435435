package scale

import (
	"fmt"
	"syscall"
	"time"
)

// need is what one size of a curve takes, as measured on two processors: the time twice as long as there on a quiet
// machine, the room a fifth more, or for events, of which it is known well, a fiftieth.
type need struct {
	bytes int64
	time  time.Duration
}

// What an event, an account, a tenant and a lot take. A verification folds all views once more and notes 24 bytes for
// each key.
const (
	eventBytes, eventTime     = 635 + 185, 35 * time.Microsecond
	accountBytes, accountTime = 1_900, 150 * time.Microsecond
	tenantBytes, tenantTime   = 200_000, 80 * time.Millisecond
	lotBytes, lotTime         = 2_000, 1500 * time.Microsecond
	restTime                  = 5 * time.Second
)

func needOfEvents(size int) need {
	return need{int64(size)*eventBytes + fewAccounts*accountBytes, time.Duration(size)*eventTime + restTime}
}

func needOfAccounts(size int) need {
	return need{int64(size)*accountBytes + fewEvents*eventBytes, time.Duration(size)*accountTime + restTime}
}

func needOfTenants(size int) need {
	return need{int64(size) * tenantBytes, time.Duration(size)*tenantTime + restTime}
}

func needOfLots(size int) need {
	return need{int64(size)*lotBytes + fewEvents*eventBytes, time.Duration(size)*lotTime + restTime}
}

func (n need) takes() time.Duration { return n.time.Round(time.Second) }

func (n need) room() string { return gigabytes(n.bytes) }

func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }

// spareRoom stays free: a server takes no work on a disk that is nearly full.
const spareRoom = 2_000_000_000

// freeRoom is what is free on the disk of a directory, in bytes.
func freeRoom(dir string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}

// refuseWithoutRoom says which curve the disk of a directory has no room for, before anything is begun: a disk that is
// full stops every server on it.
func refuseWithoutRoom(cfg Config, free int64) error {
	for _, name := range cfg.Curves {
		sizes := curves[name].sizes(cfg)
		greatest := sizes[len(sizes)-1]
		if need := curves[name].need(greatest); need.bytes+spareRoom > free {
			return fmt.Errorf("%d %s need about %s and %s to spare, and %s are free on the disk of %s: ask for fewer (--%s), or name another disk (--dir)",
				greatest, curves[name].of, need.room(), gigabytes(spareRoom), gigabytes(free), cfg.Dir, name)
		}
	}
	return nil
}
