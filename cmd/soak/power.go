package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"creditstream/cmd/internal/faultfs"
)

// roundsPerDisk is how many times one disk loses power before a new one takes its place.
const roundsPerDisk = 25

// power cuts the power at random moments under load.
type power struct{ strict bool }

// Name implements campaign.
func (p power) Name() string {
	if p.strict {
		return "power-strict"
	}
	return "power"
}

// About implements campaign.
func (p power) About() string {
	if p.strict {
		return "power cuts on a disk that makes names durable only when their directory is synced"
	}
	return "power cuts at random moments, on a disk that drops, keeps or tears what was not synced"
}

// Run implements campaign.
func (p power) Run(ctx context.Context, s *session) (result, error) {
	var r result
	if r.Left = faultfs.Unsupported(); r.Left != "" {
		return r, nil
	}
	model := faultfs.Ordered
	if p.strict {
		model = faultfs.Strict
	}
	for done := 0; done < s.rounds; done += roundsPerDisk {
		l, err := newLife(s, fmt.Sprint("disk-", done), faultfs.NewDisk(model))
		if err != nil {
			return r, err
		}
		// What the intake is given JetStream acknowledges by itself, before anybody can sync the name of its block.
		l.driver.feeds = !p.strict
		for range min(roundsPerDisk, s.rounds-done) {
			if err := l.round(ctx, s, &r); err != nil {
				return r, errors.Join(err, l.end(&r))
			}
			if !r.clean() {
				return r, l.end(&r) // one finding is enough to look at, on the data that shows it
			}
		}
		if err := l.end(&r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// life is one disk, and what the driver was told while it served.
type life struct {
	driver *driver
	disk   *faultfs.Disk // nil on a plain directory, like the two below
	mount  *faultfs.Mount
	at     string // where the disk is mounted
	dir    string // on a good disk
	cfg    victimConfig
	server *server // the one that runs, if one does
	probes int
}

func newLife(s *session, name string, disk *faultfs.Disk) (*life, error) {
	l, err := newPlainLife(s, name)
	if err != nil {
		return nil, err
	}
	l.disk, l.at = disk, filepath.Join(l.dir, "mnt")
	l.cfg.Data = filepath.Join(l.at, "data")
	if err = os.Mkdir(l.at, 0o700); err == nil {
		l.mount, err = disk.Mount(l.at)
	}
	if err != nil {
		return nil, errors.Join(err, l.driver.record.close())
	}
	return l, nil
}

// newPlainLife is one on the machine's own disk.
func newPlainLife(s *session, name string) (*life, error) {
	l := &life{dir: filepath.Join(s.dir, name)}
	l.cfg.Data = filepath.Join(l.dir, "data")
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	rec, err := newRecord(filepath.Join(l.dir, "acknowledged.ndjson"))
	if err != nil {
		return nil, err
	}
	l.driver = newDriver(rec, s.rng.Uint64())
	return l, nil
}

// end takes the disk away.
func (l *life) end(r *result) error {
	if l.server != nil {
		l.server.kill()
	}
	l.driver.record.count(r)
	l.driver.aside.count(r)
	err := l.driver.record.close()
	if l.mount != nil {
		err = errors.Join(l.mount.Unmount(), err)
	}
	return err
}

// round serves under load until the power is cut, and closes the books on what is left.
func (l *life) round(ctx context.Context, s *session, r *result) error {
	since := l.driver.record.size()
	if err := l.serve(ctx, s, 60*time.Millisecond); err != nil {
		return err
	}
	kept := []faultfs.Kept{faultfs.Nothing, faultfs.Nothing, faultfs.Some, faultfs.Some, faultfs.Everything}[s.rng.IntN(5)]
	if err := l.cut(kept, s); err != nil {
		return err
	}
	r.Faults++
	for s.rng.IntN(8) == 0 { // the power fails again while the server recovers
		if err := l.cutWhileRecovering(s); err != nil {
			return err
		}
		r.Faults++
	}
	err := l.restart(ctx)
	if err != nil {
		return err
	}
	if err := l.driver.closeBooks(ctx, l.server.url, since, s.rng, r); err != nil {
		return l.explain(err)
	}
	l.driver.round++
	s.say("%s: cut %d (%s kept): %d acknowledged so far", filepath.Base(l.dir), r.Faults, kept, l.driver.record.size())
	return nil
}

// serve puts the running server under load for a moment, least or a little longer; the first one of a disk is started
// here.
func (l *life) serve(ctx context.Context, s *session, least time.Duration) error {
	if l.server == nil {
		if err := l.furnish(ctx); err != nil {
			return err
		}
	}
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	serving := l.server // the field may be another one's by the time it ends
	go func() { defer close(ended); l.driver.load(loading, serving) }()
	defer func() { cancel(); <-ended }()
	select {
	case <-time.After(least + time.Duration(s.rng.IntN(600))*time.Millisecond):
		// The load goes on while the disk stops: what is on its way is in doubt.
		l.disk.Freeze()
		l.server.kill()
		return nil
	case <-l.server.ended:
		return l.explain(errors.New("the server ended by itself"))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// furnish starts a server and gives it its tenant.
func (l *life) furnish(ctx context.Context) error {
	if err := l.restart(ctx); err != nil {
		return err
	}
	if err := l.driver.furnish(ctx, l.server.url); err != nil {
		return l.explain(err)
	}
	return nil
}

func (l *life) restart(ctx context.Context) (err error) {
	if l.server, err = start(ctx, l.cfg, logPath(l.dir)); err != nil {
		l.server = nil
	}
	return err
}

// cut takes the power and puts the disk that is found in the place of the old one.
func (l *life) cut(kept faultfs.Kept, s *session) error {
	found := l.disk.Cut(kept, s.rng)
	if l.server != nil {
		l.server.kill()
		l.server = nil
	}
	if err := l.mount.Unmount(); err != nil {
		return err
	}
	mount, err := found.Mount(l.at)
	if err != nil {
		return err
	}
	l.disk, l.mount = found, mount
	return nil
}

func (l *life) cutWhileRecovering(s *session) error {
	victim, ready, err := launch(l.cfg, logPath(l.dir))
	if err != nil {
		return err
	}
	select {
	case <-ready:
	case <-victim.ended:
	case <-time.After(time.Duration(s.rng.IntN(400)) * time.Millisecond):
	}
	l.disk.Freeze()
	victim.kill()
	return l.cut(faultfs.Some, s)
}

func (l *life) explain(err error) error {
	if l.server == nil {
		return err
	}
	return fmt.Errorf("%w; its log ends with:\n  %s", err, l.server.lastWords())
}
