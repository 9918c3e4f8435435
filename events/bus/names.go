package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SyncNames returns what makes the files of a stream found under their names after a power cut; it is to be
// called before an ack of the stream is believed, by one goroutine at a time.
//
// JetStream syncs what it writes to a block of messages, and never the directory that a new block is made in.
// Linux's own file systems write a new file's name with its first sync; POSIX promises that of a sync of the directory
// only (fsync(2)), and without it a power cut takes all of a block's acknowledged messages. The directory is
// synced when its time of change says that something was made or renamed in it: rarely, so that an ack costs one
// stat.
func (s *Server) SyncNames(stream string) func() error {
	account := filepath.Join(s.storeDir, "jetstream", InternalAccount)
	streams := filepath.Join(account, "streams")
	n := names{dir: filepath.Join(streams, stream, "msgs"), parents: []string{filepath.Join(streams, stream), streams, account, filepath.Dir(account), s.storeDir}}
	return n.sync
}

// names is the directory of a stream's blocks, and those that it is in.
type names struct {
	dir     string
	parents []string // until they were synced: they do not change any more
	synced  time.Time
}

// clockTick is more than what may lie between two changes of a directory that have the same time.
const clockTick = 50 * time.Millisecond

func (n *names) sync() error {
	info, err := os.Stat(n.dir)
	if err != nil {
		return fmt.Errorf("sync the names of a stream's blocks: %w", err)
	}
	changed := info.ModTime()
	if changed.Equal(n.synced) {
		return nil
	}
	for _, dir := range append([]string{n.dir}, n.parents...) {
		if err := syncPath(dir); err != nil {
			return fmt.Errorf("sync the names of a stream's blocks: %w", err)
		}
	}
	n.parents = nil
	if time.Since(changed) > clockTick {
		n.synced = changed
	}
	return nil
}
