package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"creditstream/cmd/internal/faultfs"
)

// disk fills the disk, or lets it fail, under load, and gives it back: the server has to refuse new work, go on
// with reads, and recover by itself, in the same process. Then the power is cut: what was acknowledged after
// the recovery has to be on the disk too.
type disk struct{}

// Name implements campaign.
func (disk) Name() string { return "disk" }

// About implements campaign.
func (disk) About() string {
	return "a disk that is nearly full, full, or fails to write or sync, and comes back"
}

// disorder is something that is wrong with a disk.
type disorder struct {
	name    string
	reserve int64 // of the server
	begin   func(*faultfs.Disk)
	killed  bool // before the disk comes back: the next process knows nothing of what failed
}

const (
	noReserve   = -1
	soakReserve = 64 << 20
)

// disorders are what is tried, in turn.
func disorders() []disorder {
	failing := func(what faultfs.Op, in string) func(*faultfs.Disk) {
		return func(d *faultfs.Disk) {
			d.SetFault(func(op faultfs.Op, path string) syscall.Errno {
				if op == what && strings.Contains(path, in) {
					return syscall.EIO
				}
				return 0
			})
		}
	}
	return []disorder{
		{"nearly full", soakReserve, func(d *faultfs.Disk) { d.SetFree(soakReserve - 1) }, false},
		{"syncs of one stream fail", soakReserve, failing(faultfs.OpSync, "JOURNAL_"), false},
		{"syncs of one stream fail, and the server is killed", soakReserve, failing(faultfs.OpSync, "JOURNAL_"), true},
		{"writes fail", soakReserve, failing(faultfs.OpWrite, "nats/"), false},
		{"full", noReserve, func(d *faultfs.Disk) { d.SetFree(0) }, false},
		{"full, with a reserve", soakReserve, func(d *faultfs.Disk) { d.SetFree(0) }, false},
		{"syncs fail", soakReserve, failing(faultfs.OpSync, "nats/"), false},
		{"syncs fail, and the server is killed", soakReserve, failing(faultfs.OpSync, "nats/"), true},
	}
}

// repeatNew is how many of the newest commands are repeated: all since the recovery, and some from before.
const repeatNew = 1500

// recoverWithin is how long a server may take to notice, and again to take work after the disk came back.
const recoverWithin = time.Minute

// Run implements campaign.
func (disk) Run(ctx context.Context, s *session) (result, error) {
	var r result
	if r.Left = faultfs.Unsupported(); r.Left != "" {
		return r, nil
	}
	for i := range s.rounds {
		if i >= 2*len(disorders()) {
			break // each was tried twice; more of the same shows nothing new
		}
		l, err := newLife(s, fmt.Sprint("disk-", i), faultfs.NewDisk(faultfs.Ordered))
		if err != nil {
			return r, err
		}
		if err := errors.Join(l.disturb(ctx, s, &r, disorders()[i%len(disorders())]), l.end(&r)); err != nil {
			return r, err
		}
		if !r.clean() {
			break
		}
	}
	return r, nil
}

// disturb is one disorder, from an orderly start to books that are closed after a power cut.
func (l *life) disturb(ctx context.Context, s *session, r *result, o disorder) error {
	l.cfg.Reserve = o.reserve
	if err := l.furnish(ctx); err != nil {
		return err
	}
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	serving := l.server // the field may be another one's by the time it ends
	go func() { defer close(ended); l.driver.load(loading, serving) }()
	stop := func() { cancel(); <-ended }
	defer stop()

	time.Sleep(300 * time.Millisecond)
	o.begin(l.disk)
	r.Faults++
	if err := l.await(ctx, "refuse new work", func() (bool, error) { return l.refuses(ctx, r, o) }); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if err := l.driver.compareBalances(ctx, l.server.url, r); err != nil {
		r.problem("%s: reads do not go on: %v", o.name, err)
	}
	if o.killed {
		l.server.kill()
		stop()
	}
	l.disk.SetFault(nil)
	l.disk.SetFree(-1)
	if o.killed {
		if err := l.restart(ctx); err != nil {
			return err
		}
		// What had no answer is found now, and answered: it has to be on the disk.
		if err := l.driver.closeBooks(ctx, l.server.url, max(0, l.driver.record.size()-repeatNew), s.rng, r); err != nil {
			return l.explain(err)
		}
	}
	if err := l.await(ctx, "take work again, by itself", func() (bool, error) { return l.takes(ctx) }); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	time.Sleep(300 * time.Millisecond)
	l.disk.Freeze()
	stop()
	if err := l.cut(faultfs.Nothing, s); err != nil {
		return err
	}
	if err := l.restart(ctx); err != nil {
		return err
	}
	since := max(0, l.driver.record.size()-repeatNew)
	if err := l.driver.closeBooks(ctx, l.server.url, since, s.rng, r); err != nil {
		return l.explain(err)
	}
	s.say("%s: %s, and back: %d acknowledged", filepath.Base(l.dir), o.name, l.driver.record.size())
	return nil
}

// probe asks for something that would be written, with a key of its own.
func (l *life) probe(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	l.probes++
	key := fmt.Sprint("probe-", l.probes)
	return l.driver.ask(ctx, l.server.url, http.MethodPost, base+"/accounts/"+accountName(0)+"/usage", key, `{"meter":"call","quantity":1}`)
}

// refuses reports whether new work is refused as it should be: at once, with a code and when to come again.
func (l *life) refuses(ctx context.Context, r *result, o disorder) (bool, error) {
	a, err := l.probe(ctx)
	if err != nil || a.status != http.StatusServiceUnavailable {
		return false, nil // not yet, or no answer yet
	}
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || !strings.Contains(string(a.body), `"unavailable"`) {
		r.problem("%s: a refusal without Retry-After or code: %v %s", o.name, a.header, a.body)
	}
	ready, err := l.driver.ask(ctx, l.server.url, http.MethodGet, "/readyz", "", "")
	return err == nil && ready.status == http.StatusServiceUnavailable, nil
}

// takes reports whether new work is taken.
func (l *life) takes(ctx context.Context) (bool, error) {
	a, err := l.probe(ctx)
	return err == nil && a.status == http.StatusOK, nil
}

// await waits until the server does something; a server that ended instead is an error.
func (l *life) await(ctx context.Context, what string, is func() (bool, error)) error {
	late := time.After(recoverWithin)
	for {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		select {
		case <-l.server.ended:
			return l.explain(fmt.Errorf("the server ended by itself; it was to %s", what))
		case <-late:
			return l.explain(fmt.Errorf("the server did not %s within %s", what, recoverWithin))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
