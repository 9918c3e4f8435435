package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// disk.go keeps a node serving over a disk that fills up or fails, and recovers without an operator.
//
// Below a reserve of free space the gate closes: new work is unavailable, reads go on. The reserve is what the
// work that was let in, the flushes of the views and the intake may still write, so that nothing meets the end of
// the disk itself: there JetStream ends for the whole server, and a view's store that cannot write its list of
// files ends the process.
//
// When a write or sync of a stream failed all the same, the embedded server has to be started anew; until the disk
// takes a probe that would be in vain. What waited for an ack gets it then, or its outcome is unknown to those
// who gave up waiting.

const (
	// watchEvery is how often the disk is looked at.
	watchEvery = 250 * time.Millisecond
	// askEvery is how often the embedded server is asked for frozen streams; what its log says is known at once.
	askEvery = 2 * time.Second
	// defaultReserve is what has to be free for new work, in bytes: the views' memtables may want three times 64 MiB.
	defaultReserve = 256 << 20
	// lately is more than what lies between a failed sync and its being noticed: what was written since then is
	// written again before it is believed.
	lately = time.Minute
	// A restart that did not help is tried again after minPatience, then twice as long, up to maxPatience.
	minPatience = time.Second
	maxPatience = 30 * time.Second
)

// watch is the goroutine that looks at the disk.
type watch struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	// Only the goroutine uses what follows.
	well     time.Time // when nothing was wrong, last
	next     time.Time // when a restart may be tried again
	patience time.Duration
	noted    time.Time // when the file said so last
	asked    time.Time // when the server was asked whether a stream is frozen
}

func (n *Node) watchDisk() {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{cancel: cancel, well: time.Now(), noted: time.Now(), patience: minPatience}
	n.watch = w
	w.ended.Go(func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				n.look(ctx, w)
			case <-ctx.Done():
				return
			}
		}
	})
}

func (w *watch) stop() error {
	if w != nil {
		w.cancel()
		w.ended.Wait()
	}
	return nil
}

// look opens or closes the gate, and restarts the embedded server where that is needed and can help.
func (n *Node) look(ctx context.Context, w *watch) {
	now := time.Now()
	if n.bus != nil {
		fault := n.bus.Fault()
		if fault == nil && now.Sub(w.asked) > askEvery {
			w.asked, fault = now, n.bus.Frozen()
		}
		if fault != nil {
			n.keepOut(fault)
			if now.After(w.next) && !n.recoverBus(ctx, w) {
				w.next, w.patience = time.Now().Add(w.patience), min(2*w.patience, maxPatience)
			}
			return
		}
	}
	gate := n.accounts.Gate()
	if err := n.room(gate.Err() != nil); err != nil {
		n.keepOut(err)
		return
	}
	w.well, w.patience = now, minPatience
	if n.bus != nil && now.Sub(w.noted) > noteEvery {
		w.noted = now
		if err := n.noteWell(now, false); err != nil {
			n.log.Warn("that the disk is well could not be noted: after a crash more is written again", "error", err)
		}
	}
	if gate.Open() {
		n.log.Info("new work is taken again")
	}
}

func (n *Node) keepOut(reason error) {
	if n.accounts.Gate().Close(reason) {
		n.log.Error("new work is refused, reads go on", "reason", reason)
	}
}

// ErrNoRoom says that less than the reserve is free on the disk.
var ErrNoRoom = errors.New("the disk is nearly full")

// room checks the reserve. Once it was not there, a quarter more has to be: else the gate would flutter.
func (n *Node) room(short bool) error {
	if n.cfg.Reserve < 0 {
		return nil
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(n.cfg.Data, &stat); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", n.cfg.Data, err)
	}
	want := uint64(n.cfg.Reserve)
	if short {
		want += want / 4
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < want {
		return fmt.Errorf("%w: %d MiB are free, new work needs %d: make room", ErrNoRoom, free>>20, want>>20)
	}
	return nil
}

// recoverBus restarts the embedded server when the disk takes writes again, and reports whether it runs.
func (n *Node) recoverBus(ctx context.Context, w *watch) bool {
	err := n.room(true)
	if err == nil {
		err = n.probe()
	}
	if err != nil {
		n.keepOut(err)
		return false
	}
	n.log.Warn("the embedded server is restarted: its disk takes writes again")
	if err := n.bus.Restart(ctx, w.well.Add(-lately)); err != nil {
		n.log.Error("the embedded server could not be restarted; it is tried again", "error", err)
		return false
	}
	for _, tenant := range n.accounts.Tenants() {
		if err := n.openFeeds(ctx, tenant.Name(), len(tenant.Shards())); err != nil {
			n.log.Error("a tenant cannot read its feeds over NATS until the next restart", "tenant", tenant.Name(), "error", err)
		}
	}
	return true
}

// probeBytes is what the disk has to take before a restart is tried: more than one commit has.
const probeBytes = 1 << 20

// probe writes and syncs a file where the streams are.
func (n *Node) probe() (err error) {
	file, err := os.Create(filepath.Join(n.cfg.Data, "nats", "probe"))
	if err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(make([]byte, probeBytes))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	return nil
}
