package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// well.go is for a process that is killed while its disk fails. A sync that failed leaves pages that everybody reads
// and nobody will write any more (disk.go, bus.Restart). The process knows, until it ends; the next one finds a commit
// whose sync failed like any other, and a sync of its file succeeds. So a file says, durably, until when all was well,
// and a start after an end that was not orderly writes again what was written since then, before anything reads it.
// It has to be said beforehand: when the disk fails, nothing can be noted there any more.

// noteEvery is how often the file is brought up to date: what is written again after a crash is at most that much,
// and lately.
const noteEvery = time.Minute

type wellFile struct {
	// Well is when nothing was wrong with the disk.
	Well time.Time `json:"well"`
	// Ended says that the server ended after that, in order, with nothing wrong until its end.
	Ended bool `json:"ended"`
}

func wellPath(data string) string { return filepath.Join(data, "well") }

func (n *Node) noteWell(at time.Time, ended bool) error {
	text, err := json.Marshal(wellFile{at, ended})
	if err != nil {
		return err
	}
	return journal.ReplaceFile(wellPath(n.cfg.Data), append(text, '\n'))
}

// distrust writes again what may not be on the disk though it can be read. It is called before the embedded server
// starts, and notes that this server runs.
func (n *Node) distrust(ctx context.Context) error {
	text, err := os.ReadFile(wellPath(n.cfg.Data))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := time.Now()
	var was wellFile
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is new, or a backup that was synced when it was restored
	case json.Unmarshal(text, &was) != nil:
		was = wellFile{} // then nothing is known, and all of it is written again
		fallthrough
	case !was.Ended:
		// A clock that fell back since gave what was written before its fall a time that is later than now.
		if was.Well.After(now) {
			was.Well = now
		}
		if !was.Well.IsZero() {
			was.Well = was.Well.Add(-lately)
		}
		n.log.Info("the server did not end in order: what was written lately is written again", "since", was.Well)
		if err := bus.RewriteSince(ctx, filepath.Join(n.cfg.Data, "nats"), was.Well); err != nil {
			return fmt.Errorf("make sure of what was written before the server ended: %w", err)
		}
	}
	return n.noteWell(now, false)
}

// endWell notes an orderly end, when nothing was wrong until it.
func (n *Node) endWell() error {
	if n.bus.Fault() != nil || n.watch == nil {
		return nil
	}
	return n.noteWell(time.Now(), true)
}
