package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"creditstream/cmd/internal/faultfs"
)

// control is the power cuts against a server that acknowledges before the fsync. A harness that reports no
// loss of it would report none of any.
type control struct{}

// controlRounds is how many times are enough.
const controlRounds = 5

// beyondAnchor is how long the load goes on at least: an anchor that was written meanwhile, each second, knows of
// what is lost.
const beyondAnchor = 1500 * time.Millisecond

// Name implements campaign.
func (control) Name() string { return "control" }

// About implements campaign.
func (control) About() string {
	return "power cuts of a server that does not sync: losses have to be seen"
}

// Run implements campaign. Every round has a disk of its own, which ends with it.
func (control) Run(ctx context.Context, s *session) (result, error) {
	r := result{LossExpected: true}
	if r.Left = faultfs.Unsupported(); r.Left != "" {
		return r, nil
	}
	for i := range min(controlRounds, s.rounds) {
		l, err := newLife(s, fmt.Sprint("disk-", i), faultfs.NewDisk(faultfs.Ordered))
		if err != nil {
			return r, err
		}
		if err := errors.Join(l.loseWithoutSync(ctx, s, &r), l.end(&r)); err != nil {
			return r, err
		}
	}
	r.Problems = nil // each loss is one, and was expected
	return r, nil
}

// loseWithoutSync cuts the power once, lets the server say whether it notices, and counts what is gone. What was
// acknowledged before the server stopped to sync has to be there: the count is of the rest.
func (l *life) loseWithoutSync(ctx context.Context, s *session, r *result) error {
	l.cfg.NoSync = false
	if err := l.furnish(ctx); err != nil {
		return err
	}
	if err := l.server.stop(); err != nil {
		return err
	}
	l.cfg.NoSync = true
	if err := l.restart(ctx); err != nil {
		return err
	}
	if err := l.serve(ctx, s, beyondAnchor); err != nil {
		return err
	}
	if err := l.cut(faultfs.Nothing, s); err != nil {
		return err
	}
	r.Faults++
	noticed := l.restart(ctx) != nil || !l.serves(ctx)
	if noticed {
		// An operator who accepts what is left, so that it can be counted.
		r.Noticed++
		if l.server != nil {
			l.server.kill()
		}
		if err := os.RemoveAll(filepath.Join(l.cfg.Data, "anchors")); err != nil {
			return err
		}
		l.cfg.AcceptLostAnchors = true
		if l.restart(ctx) != nil || !l.serves(ctx) {
			r.Lost += l.driver.record.size() // nothing is left
			s.say("%s: all %d acknowledged commands are lost", filepath.Base(l.dir), l.driver.record.size())
			return nil
		}
	}
	before := r.Lost
	if err := l.driver.compareJournal(ctx, l.server.url, r); err != nil {
		return l.explain(err)
	}
	if r.Lost > before && !noticed {
		r.Undetected++
	}
	s.say("%s: %d of %d acknowledged commands are lost", filepath.Base(l.dir), r.Lost-before, l.driver.record.size())
	return nil
}

// serves reports whether the tenant's journal can be read.
func (l *life) serves(ctx context.Context) bool {
	a, err := l.driver.ask(ctx, l.server.url, http.MethodGet, base+"/accounts", "", "")
	return err == nil && a.status == http.StatusOK
}
