package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"creditstream/projections"
	"creditstream/services/accounts"
)

// kill ends the server with SIGKILL, at random and at named points. The page cache survives, so it is on a
// plain directory; what dies is everything in memory.
type kill struct{}

// Name implements campaign.
func (kill) Name() string { return "kill" }

// About implements campaign.
func (kill) About() string {
	return "kill -9 at random and at named points: " + fmt.Sprint(points())
}

// points are where the server kills itself, in turn; "" stands for a random moment.
func points() []string {
	return []string{
		"", accounts.TrappedDecided, accounts.TrappedPublished, accounts.TrappedAcknowledged, accounts.TrappedApplied,
		projections.TrappedRebuilding, projections.TrappedSwitching, projections.TrappedSwitched,
	}
}

// views are those that a rebuild is killed in, in turn.
var views = [...]string{"accounts", "statement", "usage"}

// killsPerDirectory is how many times one data directory is killed before a new one takes its place.
const killsPerDirectory = 40

// Run implements campaign.
func (kill) Run(ctx context.Context, s *session) (result, error) {
	var r result
	for done := 0; done < s.rounds; done += killsPerDirectory {
		l, err := newPlainLife(s, fmt.Sprint("data-", done))
		if err != nil {
			return r, err
		}
		for i := range min(killsPerDirectory, s.rounds-done) {
			if err := l.killRound(ctx, s, &r, done+i); err != nil {
				return r, errors.Join(err, l.end(&r))
			}
			if !r.clean() {
				return r, l.end(&r)
			}
		}
		if err := l.end(&r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// killRound runs the server until it kills itself at the round's point, or is killed, and closes the books.
func (l *life) killRound(ctx context.Context, s *session, r *result, round int) error {
	point := points()[round%len(points())]
	since := l.driver.record.size()
	l.cfg.Trap, l.cfg.TrapAfter, l.cfg.TrapDelay = point, 1, time.Duration(s.rng.IntN(3))*time.Millisecond
	view := ""
	switch point {
	case accounts.TrappedDecided:
		l.cfg.TrapAfter = 30 + s.rng.Int64N(600)
	case accounts.TrappedPublished, accounts.TrappedAcknowledged, accounts.TrappedApplied:
		l.cfg.TrapAfter = 30 + s.rng.Int64N(200)
	case projections.TrappedRebuilding, projections.TrappedSwitching, projections.TrappedSwitched:
		view = views[round/len(points())%len(views)]
	}
	if err := l.runAndKill(ctx, s, view); err != nil {
		return err
	}
	r.Faults++
	l.cfg.Trap = ""
	if err := l.restart(ctx); err != nil {
		return err
	}
	if err := l.driver.closeBooks(ctx, l.server.url, since, s.rng, r); err != nil {
		return l.explain(err)
	}
	l.driver.round++
	s.say("%s: kill %d (%s %s): %d acknowledged so far", filepath.Base(l.dir), r.Faults, point, view, l.driver.record.size())
	l.server.kill()
	l.server = nil
	return nil
}

// runAndKill serves under load until the process is gone. With a view, that is rebuilt meanwhile.
func (l *life) runAndKill(ctx context.Context, s *session, view string) error {
	if err := l.restart(ctx); err != nil {
		return err
	}
	if l.driver.round == 0 {
		if err := l.driver.furnish(ctx, l.server.url); err != nil {
			return l.explain(err)
		}
	}
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	serving := l.server // the field may be another one's by the time it ends
	go func() { defer close(ended); l.driver.load(loading, serving) }()
	defer func() { cancel(); <-ended }()
	patience := time.Duration(50+s.rng.IntN(400)) * time.Millisecond // for a random moment
	if l.cfg.Trap != "" {
		patience = 20 * time.Second
	}
	if view != "" {
		go func() {
			time.Sleep(patience / 100)
			_, _ = l.driver.ask(loading, l.server.url, http.MethodPost, "/v1/admin/views/"+view+"/rebuild", "", "")
		}()
	}
	select {
	case <-l.server.ended:
		if !l.server.killed() {
			return l.explain(errors.New("the server ended by itself"))
		}
	case <-time.After(patience):
		if l.cfg.Trap != "" {
			s.say("the server did not pass %q within %s", l.cfg.Trap, patience)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	l.server.kill()
	return nil
}
