package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"creditstream/events/bus/index"
)

// restart.go is about a server whose disk refused a write. JetStream then freezes the stream (no ack is sent)
// or, on a full disk, ends itself altogether, until the server is started anew. Connections, and what waits on
// them for an outcome, outlive that: a restarted embedded server is to them what an external one is that went
// away and came back.

// ErrDisk says that the disk failed or is full, and streams take nothing until Restart.
var ErrDisk = errors.New("the disk of the streams refuses writes")

// signsOfFault are in what the server logs as an error when it freezes a stream or ends JetStream. It tells
// nobody in any other way; a test sees to it that a new version still says so.
var signsOfFault = []string{"critical write error", "will be DISABLED"}

// noteFault looks for the signs of a disk that refuses writes.
func (s *Server) noteFault(text string) {
	for _, sign := range signsOfFault {
		if strings.Contains(text, sign) {
			err := fmt.Errorf("%w: %s", ErrDisk, text)
			s.fault.CompareAndSwap(nil, &err)
		}
	}
}

// Fault is why streams take nothing any more, or nil. It stays until a Restart that succeeded.
func (s *Server) Fault() error {
	if fault := s.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// Restart stops the server and starts another one on the same directory and address. Connections come back to
// it by themselves; consumers in memory, as those of feeds, have to be made again. After an error there is no
// server, and Restart may be called again. well is a time since when what was written may not be on disk.
//
// When a sync fails, Linux forgets that pages were not written, though everyone still reads them: the
// restarted server would find a commit whose sync failed, and the commit's writer would believe it durable. So
// what was written since then is written again, in its place, and synced, before the server reads it.
func (s *Server) Restart(ctx context.Context, well time.Time) error {
	s.restarting.Lock()
	defer s.restarting.Unlock()
	s.running.Store(nil)
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
	if err := RewriteSince(ctx, s.storeDir, well); err != nil {
		return fmt.Errorf("restart bus: %w", err)
	}
	if err := SyncDir(ctx, s.storeDir); err != nil {
		return fmt.Errorf("restart bus: %w", err)
	}
	s.fault.Store(nil)
	if err := s.start(ctx); err != nil {
		fault := fmt.Errorf("%w: restart bus: %w", ErrDisk, err)
		s.fault.CompareAndSwap(nil, &fault)
		return fault
	}
	return nil
}

// reopenTenants gives a server that was just started the accounts that an earlier one had.
func (s *Server) reopenTenants() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tenant := range s.tenants {
		account, err := s.openTenant(tenant)
		if err != nil {
			return err
		}
		s.tenants[tenant] = account
	}
	for key := range s.imports {
		if err := s.tenants[key.tenant].AddServiceImport(s.internal, key.subject, key.subject); err != nil {
			return fmt.Errorf("import %s for tenant %s: %w", key.subject, key.tenant, err)
		}
	}
	return nil
}

// RewriteSince writes every file under dir that changed after an instant again, in its place, and syncs it: for what
// stands in the page cache and, since a sync failed, maybe not on the disk. No server may run on it. A cut in the
// middle changes nothing: what is written is what is there. Of a journal only the newest block can be meant: a stream
// whose sync failed is frozen, so whatever has a block behind it was synced.
func RewriteSince(ctx context.Context, dir string, since time.Time) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().After(since) && !index.Finished(path) {
			err = rewrite(ctx, path)
		}
		if err != nil {
			return fmt.Errorf("write %s again: %w", path, err)
		}
		return nil
	})
}

func rewrite(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	buffer := make([]byte, 1<<20)
	for at := int64(0); ctx.Err() == nil; {
		n, err := file.ReadAt(buffer, at)
		if n > 0 {
			if _, err := file.WriteAt(buffer[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return file.Sync()
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
