package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"creditstream/cmd/internal/load"
)

// curve is what is measured at each of some growing sizes, in a directory of the curve's own.
type curve struct {
	of    string
	sizes func(cfg Config) []int
	// need is what one size takes, with what the sizes before it left.
	need  func(size int) need
	point func(ctx context.Context, cfg Config, size int, left *left, figures map[string]float64) error
}

var curves = map[string]curve{
	"events":   {"events in the journal", func(cfg Config) []int { return sizes(10_000, cfg.Events) }, needOfEvents, events},
	"accounts": {"accounts", func(cfg Config) []int { return sizes(1000, cfg.Accounts) }, needOfAccounts, accounts},
	"tenants":  {"tenants", func(cfg Config) []int { return sizes(1, cfg.Tenants) }, needOfTenants, tenants},
	"lots":     {"lots of one account", func(cfg Config) []int { return sizes(1, cfg.Lots) }, needOfLots, lots},
}

// left is what the sizes before left in the directory, for the curves that go on in it.
type left struct {
	events int
	first  uint64 // of the keys that are next
}

// draw measures all points of a curve. What it makes is removed at its end. When one fails, what was measured until then is
// returned as well.
func (c curve) draw(ctx context.Context, cfg Config, name string) (found Curve, err error) {
	found = Curve{Name: name, Of: c.of}
	cfg.Dir = filepath.Join(cfg.Dir, name)
	defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	so := left{first: 1}
	for _, size := range c.sizes(cfg) {
		need := c.need(size)
		cfg.Progress(fmt.Sprintf("%s: %d, about %v and %s on the disk", name, size, need.takes(), need.room()))
		tell := cfg.Progress
		cfg.Progress = func(doing string) { tell(fmt.Sprintf("%s: %d, %s", name, size, doing)) }
		figures := make(map[string]float64)
		err := c.point(ctx, cfg, size, &so, figures)
		if len(figures) > 0 {
			found.Points = append(found.Points, Point{Size: size, Figures: figures})
			found.Slopes = slopes(found.Points)
		}
		if cfg.Progress = tell; err != nil {
			return found, fmt.Errorf("%d %s: %w", size, c.of, err)
		}
	}
	return found, nil
}

// The figures, with their units.
const (
	chargedPerSecond = "charged, events/s"
	openedPerSecond  = "opened, accounts/s"
	journalBytes     = "journal, bytes/event"
	viewBytes        = "views, bytes/event"
	memory           = "memory, MiB"
	startSeconds     = "start, ms"
	startRead        = "start, kB read"
	crashSeconds     = "start after a crash, ms"
	crashRead        = "start after a crash, kB read"
	loadedSeconds    = "start after a crash under load, ms"
	loadedRead       = "start after a crash under load, kB read"
	verified         = "verified, events/s"
)

const (
	fewAccounts = 10_000  // where their number is not what grows
	fewEvents   = 100_000 // likewise: a second or so, of which a pause of the machine is a small part
	// lateEvents are charged between the last index that the bus wrote of the journal, and the crash: as many at each
	// size, so that what grows is the journal and not what a crash leaves behind.
	lateEvents = 5_000
)

// How many are opened or charged between two words of progress.
const (
	openedAtATime  = 100_000
	chargedAtATime = 1_000_000
)

// open opens accounts from the first, and returns how many a second.
func open(ctx context.Context, cfg Config, s *load.Server, accounts, lots int) (perSecond float64, err error) {
	return inParts(cfg, "opened", accounts, openedAtATime, func(from, to int) error { return s.Open(ctx, from, to, lots) })
}

// charge charges accounts at random, and returns how many a second.
func charge(ctx context.Context, cfg Config, s *load.Server, accounts, events int) (perSecond float64, err error) {
	return inParts(cfg, "charged", events, chargedAtATime, func(from, to int) error {
		_, err := s.Charge(ctx, accounts, to-from)
		return err
	})
}

// inParts does n of something, some at a time, and says so in between.
func inParts(cfg Config, done string, n, atATime int, do func(from, to int) error) (perSecond float64, err error) {
	start := time.Now()
	for from := 0; from < n; from += atATime {
		to := min(from+atATime, n)
		if err := do(from, to); err != nil {
			return 0, err
		}
		if n > atATime {
			cfg.Progress(fmt.Sprintf("%d of %d %s, %.0f/s", to, n, done, float64(to)/time.Since(start).Seconds()))
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// started notes what a start took.
func started(figures map[string]float64, s *load.Server, took, read string) {
	figures[took] = float64(s.Started.Milliseconds())
	figures[read] = float64(s.Read) / 1000
}

// restart starts a server on what another left, notes it, and stops it again.
func restart(ctx context.Context, c load.ServerConfig, first uint64, figures map[string]float64, took, read string) error {
	s, err := load.StartServer(ctx, c, first)
	if err != nil {
		return err
	}
	started(figures, s, took, read)
	return s.Stop()
}

// events fills one journal more and more: at full speed up to a crash, and with a few more up to another.
func events(ctx context.Context, cfg Config, size int, so *left, figures map[string]float64) error {
	c := cfg.server("data")
	s, err := load.StartServer(ctx, c, so.first)
	if err != nil {
		return err
	}
	if so.events == 0 {
		if _, err := open(ctx, cfg, s, fewAccounts, 1); err != nil {
			return errors.Join(err, s.Kill())
		}
	}
	if figures[chargedPerSecond], err = charge(ctx, cfg, s, fewAccounts, size-so.events-lateEvents); err != nil {
		return errors.Join(err, s.Kill())
	}
	figures[memory] = s.Memory()
	if err := s.Kill(); err != nil {
		return err
	}
	if err := restart(ctx, c, s.Sent()+1, figures, loadedSeconds, loadedRead); err != nil {
		return err
	}
	if s, err = load.StartServer(ctx, c, s.Sent()+1); err != nil {
		return err
	}
	if _, err = s.Charge(ctx, fewAccounts, lateEvents); err != nil {
		return errors.Join(err, s.Kill())
	}
	so.events, so.first = size, s.Sent()+1
	if err := s.Kill(); err != nil {
		return err
	}
	if err := restart(ctx, c, so.first, figures, crashSeconds, crashRead); err != nil {
		return err
	}
	if err := restart(ctx, c, so.first, figures, startSeconds, startRead); err != nil {
		return err
	}
	for dir, figure := range map[string]string{"nats": journalBytes, "views": viewBytes} {
		bytes, err := load.DirSize(filepath.Join(c.Data, dir))
		if err != nil {
			return err
		}
		figures[figure] = float64(bytes) / float64(size)
	}
	cfg.Progress("verifying")
	took, read, err := load.Verify(ctx, c)
	if err != nil {
		return err
	}
	figures[verified] = float64(read) / took.Seconds()
	return nil
}

// accounts opens them, and charges all alike.
func accounts(ctx context.Context, cfg Config, size int, _ *left, figures map[string]float64) error {
	return afresh(ctx, cfg, figures, func(s *load.Server) (err error) {
		if figures[openedPerSecond], err = open(ctx, cfg, s, size, 1); err != nil {
			return err
		}
		figures[chargedPerSecond], err = charge(ctx, cfg, s, size, fewEvents)
		return err
	})
}

// afresh measures a size on a server and a directory of its own: fill brings it to its size and notes what it
// measured; then the server is killed, and started once more on what it left.
func afresh(ctx context.Context, cfg Config, figures map[string]float64, fill func(s *load.Server) error) (err error) {
	c := cfg.server("data")
	defer func() { err = errors.Join(err, os.RemoveAll(c.Data)) }()
	s, err := load.StartServer(ctx, c, 1)
	if err != nil {
		return err
	}
	err = fill(s)
	figures[memory] = s.Memory()
	if err := errors.Join(err, s.Kill()); err != nil {
		return err
	}
	return restart(ctx, c, s.Sent()+1, figures, crashSeconds, crashRead)
}

// tenants opens more and more of them in one directory.
func tenants(ctx context.Context, cfg Config, size int, _ *left, figures map[string]float64) error {
	c := cfg.server("data")
	c.Tenants = size - 1 // one is there in any case
	s, err := load.StartServer(ctx, c, 1)
	if err != nil {
		return err
	}
	if err := s.Kill(); err != nil {
		return err
	}
	if s, err = load.StartServer(ctx, c, 1); err != nil {
		return err
	}
	started(figures, s, crashSeconds, crashRead)
	figures[memory] = s.Memory()
	if err := s.Stop(); err != nil {
		return err
	}
	return restart(ctx, c, 1, figures, startSeconds, startRead)
}

// importedLots is how many lots one import holds; the rest are granted one by one.
const importedLots = 500

// lots gives one account that many of them, and charges it.
func lots(ctx context.Context, cfg Config, size int, _ *left, figures map[string]float64) error {
	return afresh(ctx, cfg, figures, func(s *load.Server) error {
		imported := min(size, importedLots)
		if _, err := open(ctx, cfg, s, 1, imported); err != nil {
			return err
		}
		if err := s.Grant(ctx, 0, size-imported); err != nil {
			return err
		}
		var err error
		figures[chargedPerSecond], err = charge(ctx, cfg, s, 1, fewEvents)
		return err
	})
}
