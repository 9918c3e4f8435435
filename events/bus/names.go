package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SyncNames returns what makes the files of a stream found under their names after a power cut; it is to be
// called before an ack of the stream is believed, by one goroutine at a time.
//
// JetStream syncs what it writes to a block of messages, and never the directory that a new block is made in.
// Linux's own file systems write a new file's name with its first sync; POSIX promises that of a sync of the directory
// only (fsync(2)), and without it a power cut takes all of a block's acknowledged messages. The directory is
// synced when its time of change says that something was made or renamed in it, or the next block is there, which may
// have been made in the same tick of that clock: rarely, so that an ack costs two stats. How long a tick is, which is the file
// system's business (milliseconds, or two seconds), does not matter.
func (s *Server) SyncNames(stream string) func() error {
	dir := s.streamDir(stream)
	n := names{dir: filepath.Join(dir, "msgs"), syncPath: syncPath}
	for dir != s.storeDir {
		n.parents = append(n.parents, dir)
		dir = filepath.Dir(dir)
	}
	n.parents = append(n.parents, dir)
	return n.sync
}

// names is the directory of a stream's blocks, and those that it is in.
type names struct {
	dir     string
	parents []string // until they were synced: they do not change any more
	synced  time.Time
	next    int // the number of the block that was not there when the directory was synced last; 0 before that

	syncPath func(string) error
}

func (n *names) sync() error {
	info, err := os.Stat(n.dir)
	if err != nil {
		return fmt.Errorf("sync the names of a stream's blocks: %w", err)
	}
	changed := info.ModTime()
	more, err := n.more()
	if err == nil && !more && changed.Equal(n.synced) {
		return nil
	}
	if err == nil {
		err = n.count()
	}
	if err != nil {
		return fmt.Errorf("sync the names of a stream's blocks: %w", err)
	}
	for _, dir := range append([]string{n.dir}, n.parents...) {
		if err := n.syncPath(dir); err != nil {
			return fmt.Errorf("sync the names of a stream's blocks: %w", err)
		}
	}
	n.parents = nil
	n.synced = changed
	return nil
}

// more reports whether there is a block that was not there when the directory was synced: JetStream numbers them on.
func (n *names) more() (bool, error) {
	_, err := os.Stat(filepath.Join(n.dir, strconv.Itoa(n.next)+blockSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

const blockSuffix = ".blk"

// count finds the number behind those of all blocks.
func (n *names) count() error {
	if n.next > 0 {
		more, err := n.more()
		for ; more; more, err = n.more() {
			n.next++
		}
		return err
	}
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return err
	}
	n.next = 1
	for _, entry := range entries {
		if number, err := strconv.Atoi(strings.TrimSuffix(entry.Name(), blockSuffix)); err == nil {
			n.next = max(n.next, number+1)
		}
	}
	return nil
}
