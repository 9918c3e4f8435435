package scale

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"creditstream/cmd/internal/load"
)

// curve measures its points.
type curve func(ctx context.Context, cfg Config) (Curve, error)

var curves = map[string]curve{"events": events, "accounts": accounts, "tenants": tenants, "lots": lots}

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
	verified         = "verified, events/s"
)

const (
	fewAccounts = 10_000 // where their number is not what grows
	fewEvents   = 20_000 // likewise
	// lateEvents are charged between the last index that the bus wrote of the journal, and the crash: as many at each
	// size, so that what grows is the journal and not what a crash leaves behind.
	lateEvents = 5_000
)

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

// events fills one journal more and more.
func events(ctx context.Context, cfg Config) (Curve, error) {
	c := load.ServerConfig{Serve: cfg.Serve, Data: filepath.Join(cfg.Dir, "events")}
	found := Curve{Of: "events in the journal"}
	first, so := uint64(1), 0
	for _, size := range sizes(10_000, cfg.Events) {
		cfg.Progress(fmt.Sprintf("events: up to %d", size))
		figures := make(map[string]float64)
		s, err := load.StartServer(ctx, c, first)
		if err != nil {
			return found, err
		}
		if so == 0 {
			if err := s.Open(ctx, 0, fewAccounts, 1); err != nil {
				return found, errors.Join(err, s.Kill())
			}
		}
		if figures[chargedPerSecond], err = s.Charge(ctx, fewAccounts, size-so-lateEvents); err != nil {
			return found, errors.Join(err, s.Kill())
		}
		figures[memory] = s.Memory()
		if err := s.Stop(); err != nil {
			return found, err
		}
		if s, err = load.StartServer(ctx, c, s.Sent()+1); err != nil {
			return found, err
		}
		if _, err = s.Charge(ctx, fewAccounts, lateEvents); err != nil {
			return found, errors.Join(err, s.Kill())
		}
		first, so = s.Sent()+1, size
		if err := s.Kill(); err != nil {
			return found, err
		}
		if err := restart(ctx, c, first, figures, crashSeconds, crashRead); err != nil {
			return found, err
		}
		if err := restart(ctx, c, first, figures, startSeconds, startRead); err != nil {
			return found, err
		}
		for dir, figure := range map[string]string{"nats": journalBytes, "views": viewBytes} {
			bytes, err := load.DirSize(filepath.Join(c.Data, dir))
			if err != nil {
				return found, err
			}
			figures[figure] = float64(bytes) / float64(size)
		}
		took, read, err := load.Verify(ctx, c)
		if err != nil {
			return found, err
		}
		figures[verified] = float64(read) / took.Seconds()
		found.Points = append(found.Points, Point{Size: size, Figures: figures})
	}
	return found, nil
}

// accounts opens more and more of them.
func accounts(ctx context.Context, cfg Config) (Curve, error) {
	return afresh(ctx, cfg, "accounts", "accounts", sizes(1000, cfg.Accounts), func(s *load.Server, size int, figures map[string]float64) (err error) {
		if figures[openedPerSecond], err = rate(size, func() error { return s.Open(ctx, 0, size, 1) }); err != nil {
			return err
		}
		figures[chargedPerSecond], err = s.Charge(ctx, size, fewEvents)
		return err
	})
}

// afresh measures each size on a server and a directory of its own: fill brings it to its size and notes what it
// measured; then the server is killed, and started once more on what it left.
func afresh(ctx context.Context, cfg Config, name, of string, sizes []int, fill func(s *load.Server, size int, figures map[string]float64) error) (Curve, error) {
	found := Curve{Of: of}
	for _, size := range sizes {
		cfg.Progress(fmt.Sprintf("%s: %d", name, size))
		c := load.ServerConfig{Serve: cfg.Serve, Data: filepath.Join(cfg.Dir, fmt.Sprintf("%s-%d", name, size))}
		figures := make(map[string]float64)
		s, err := load.StartServer(ctx, c, 1)
		if err != nil {
			return found, err
		}
		err = fill(s, size, figures)
		figures[memory] = s.Memory()
		if err := errors.Join(err, s.Kill()); err != nil {
			return found, err
		}
		if err := restart(ctx, c, s.Sent()+1, figures, crashSeconds, crashRead); err != nil {
			return found, err
		}
		found.Points = append(found.Points, Point{Size: size, Figures: figures})
	}
	return found, nil
}

// tenants opens more and more of them in one directory.
func tenants(ctx context.Context, cfg Config) (Curve, error) {
	found := Curve{Of: "tenants"}
	c := load.ServerConfig{Serve: cfg.Serve, Data: filepath.Join(cfg.Dir, "tenants")}
	for _, size := range sizes(1, cfg.Tenants) {
		cfg.Progress(fmt.Sprintf("tenants: %d", size))
		figures := make(map[string]float64)
		c.Tenants = size - 1 // one is there in any case
		s, err := load.StartServer(ctx, c, 1)
		if err != nil {
			return found, err
		}
		if err := s.Kill(); err != nil {
			return found, err
		}
		if s, err = load.StartServer(ctx, c, 1); err != nil {
			return found, err
		}
		started(figures, s, crashSeconds, crashRead)
		figures[memory] = s.Memory()
		if err := s.Stop(); err != nil {
			return found, err
		}
		if err := restart(ctx, c, 1, figures, startSeconds, startRead); err != nil {
			return found, err
		}
		found.Points = append(found.Points, Point{Size: size, Figures: figures})
	}
	return found, nil
}

// importedLots is how many lots one import holds; the rest are granted one by one.
const importedLots = 500

// lots gives one account more and more of them, and charges it.
func lots(ctx context.Context, cfg Config) (Curve, error) {
	return afresh(ctx, cfg, "lots", "lots of one account", sizes(1, cfg.Lots), func(s *load.Server, size int, figures map[string]float64) error {
		imported := min(size, importedLots)
		if err := s.Open(ctx, 0, 1, imported); err != nil {
			return err
		}
		if err := s.Grant(ctx, 0, size-imported); err != nil {
			return err
		}
		var err error
		figures[chargedPerSecond], err = s.Charge(ctx, 1, fewEvents)
		return err
	})
}

// rate times f, which does n of something, and returns how many a second.
func rate(n int, f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return float64(n) / time.Since(start).Seconds(), err
}
