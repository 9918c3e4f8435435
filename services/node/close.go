package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/services/api"
)

const (
	// settleWithin is the least that journals have for acknowledging what is under way, after the doors closed.
	settleWithin = time.Second
	// flushWithin is what the views have for writing what they hold in memory. On a full disk they never would,
	// and they do not have to: the next start folds on from where they are.
	flushWithin = 10 * time.Second
	// haltWithin is what the embedded server has for closing its files.
	haltWithin = 10 * time.Second
)

// Close answers what is under way, refuses the rest, and closes everything, in Config.Drain and a bounded time
// beyond it: what takes longer is cut short, what does not heed that is left open and said. Closing again
// does nothing.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closed = n.close() })
	return n.closed
}

func (n *Node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Drain)
	defer cancel()
	faults := []error{bounded("stop to watch the disk", haltWithin, n.watch.stop)}
	busy := n.doors.close(ctx)
	faults = append(faults, busy)
	n.logins.close()
	if n.vitals != nil {
		n.vitals.Close()
	}
	deadline, _ := ctx.Deadline()
	settle := max(settleWithin, time.Until(deadline))
	stuck := bounded("stop the shards", settle+flushWithin, func() error { n.stopShards(settle); return nil })
	faults = append(faults, stuck)
	if n.patrol != nil {
		n.patrol.Close()
	}
	n.heads.close()
	if stuck != nil || errors.Is(busy, api.ErrBusy) {
		// Closing a store under its users ends the process in disorder. Left open, it is where it was flushed last.
		n.log.Error("views are left open: they are in use", "error", errors.Join(busy, stuck))
	} else {
		faults = append(faults, bounded("close the views", flushWithin, n.views.close))
	}
	faults = append(faults, n.closeJournals())
	if n.credentials != nil {
		n.credentials.Close()
	}
	faults = append(faults, bounded("write the marks", settleWithin+markInterval, n.marks.close))
	n.entrances.close()
	for _, conn := range []*nats.Conn{n.writer, n.services} {
		if conn != nil {
			conn.Close()
		}
	}
	if n.bus != nil {
		if err := bounded("stop the embedded server", haltWithin, func() error { n.bus.Shutdown(); return nil }); err != nil {
			return errors.Join(append(faults, err)...) // its files are in use: the directory stays locked
		}
		faults = append(faults, n.endWell())
	}
	if n.unlock != nil {
		faults = append(faults, n.unlock())
	}
	return errors.Join(faults...)
}

// bounded does not wait for f for ever: what the disk or another machine holds up must not hold up the end.
func bounded(what string, within time.Duration, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return fmt.Errorf("%s: not done after %v, and left", what, within)
	}
}

// stopShards lets what is under way be answered. Where the journal does not acknowledge, it is closed after
// a while: the outcome stays unknown until the next start.
func (n *Node) stopShards(within time.Duration) {
	n.mu.Lock()
	shards := slices.Collect(maps.Values(n.shards))
	n.mu.Unlock()
	var stopping sync.WaitGroup
	for _, s := range shards {
		stopping.Go(s.Stop)
	}
	late := time.AfterFunc(within, func() {
		n.log.Warn("journals do not acknowledge what is under way; they are closed", "after", within)
		if err := n.closeJournals(); err != nil {
			n.log.Warn("close the journals", "error", err)
		}
	})
	defer late.Stop()
	stopping.Wait()
}

func (n *Node) closeJournals() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var faults []error
	for _, j := range n.journals {
		faults = append(faults, j.Close())
	}
	return errors.Join(faults...)
}
