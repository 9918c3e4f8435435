package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/services/backup"
)

// RestoreConfig says what to restore, and where.
type RestoreConfig struct {
	// From is a backup: a directory or a tar file.
	From string
	// Data is the directory of the new server. It is empty or not there.
	Data string
	// Pepper is a copy of the file of the server that was backed up, which is no part of the backup; without it
	// it has to be put into Data before the start.
	Pepper string
	// JournalOnly leaves the backup's views alone: they are built anew at the start.
	JournalOnly bool
	// Progress is told how many bytes were read, of so many, of each of two passes: all files are checked before
	// anything is written. Nil: nobody is.
	Progress func(what string, done, total int64)
	// Logger gets what the embedded server says; nil discards it.
	Logger *slog.Logger
}

// restoringName is a file in a data directory whose restore is not finished.
const restoringName = "restoring"

// Restore makes a data directory from a backup: a server that starts on it goes on where the backup was made. Its
// journals are read from their beginning, every hash of them, and have to end as the manifest says. When
// anything is wrong nothing is left behind.
func Restore(ctx context.Context, cfg RestoreConfig) (*backup.Manifest, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string, int64, int64) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := restoreTo(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("restore %s to %s: %w", cfg.From, cfg.Data, err)
	}
	return m, nil
}

func restoreTo(ctx context.Context, cfg RestoreConfig) (*backup.Manifest, error) {
	if err := refuseUsed(cfg.Data); err != nil {
		return nil, err
	}
	archive, err := backup.Open(cfg.From)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(cfg.From)
	if err != nil {
		return nil, err
	}
	var done int64
	m, err := archive.Read(ctx, func(path string, _ int64, content io.Reader) error {
		n, err := io.Copy(io.Discard, content)
		done += n
		cfg.Progress("bytes checked", done, max(size, done))
		return err
	})
	if err != nil {
		return nil, err
	}
	made := !exists(cfg.Data)
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, err
	}
	r := &restoring{cfg: cfg, manifest: m}
	if err := r.run(ctx, archive); err != nil {
		return nil, errors.Join(err, r.undo(made))
	}
	return m, nil
}

// refuseUsed refuses a directory in which something is.
func refuseUsed(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lost+found" { // of a file system of its own
			return fmt.Errorf("it is not empty (%s is there): restore to a new directory, and move it into place", e.Name())
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func sizeOf(path string) (sum int64, err error) {
	err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// restoring is a restore under way.
type restoring struct {
	cfg      RestoreConfig
	manifest *backup.Manifest
	nc       *nats.Conn
	done     int64
	stream   *restoringStream // whose parts come at the moment
}

// undo leaves the directory as it was found.
func (r *restoring) undo(made bool) error {
	if made {
		return os.RemoveAll(r.cfg.Data)
	}
	entries, err := os.ReadDir(r.cfg.Data)
	for _, e := range entries {
		if e.Name() != "lost+found" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(r.cfg.Data, e.Name())))
		}
	}
	return err
}

func (r *restoring) run(ctx context.Context, archive *backup.Archive) (err error) {
	unlock, err := bus.LockDir(r.cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// A server must not start on half of a directory, whatever ends this process.
	marker := filepath.Join(r.cfg.Data, restoringName)
	if err := journal.ReplaceFile(marker, []byte(r.cfg.From+"\n")); err != nil {
		return err
	}
	for _, dir := range []string{"nats", "views", "anchors", "catalogs"} {
		if err := os.Mkdir(filepath.Join(r.cfg.Data, dir), 0o700); err != nil {
			return err
		}
	}
	if err := r.pepper(); err != nil {
		return err
	}
	if err := r.load(ctx, archive); err != nil {
		return err
	}
	if err := bus.SyncDir(ctx, r.cfg.Data); err != nil {
		return err
	}
	if err := os.Remove(marker); err != nil {
		return err
	}
	return bus.SyncDir(ctx, r.cfg.Data)
}

func (r *restoring) pepper() error {
	if r.cfg.Pepper == "" {
		return nil
	}
	text, err := os.ReadFile(r.cfg.Pepper)
	if err != nil {
		return fmt.Errorf("copy the pepper: %w", err)
	}
	return journal.ReplaceFile(filepath.Join(r.cfg.Data, "pepper"), text)
}

// load puts the files into place, and the streams into a server of its own, which writes to the disk at its
// leisure: nobody is answered before all of it is synced.
func (r *restoring) load(ctx context.Context, archive *backup.Archive) (err error) {
	server, err := bus.Start(ctx, bus.Config{StoreDir: filepath.Join(r.cfg.Data, "nats"), UnsafeNoSync: true, Logger: r.cfg.Logger})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	if r.nc, err = server.Connect("restore"); err != nil {
		return err
	}
	defer r.nc.Close()
	_, err = archive.Read(ctx, func(path string, size int64, content io.Reader) error { return r.take(ctx, path, size, content) })
	if err = errors.Join(err, r.endStream(err)); err != nil {
		return err
	}
	for _, j := range r.manifest.Journals {
		if err := r.check(ctx, j); err != nil {
			return err
		}
	}
	return r.mark(ctx)
}

// mark notes what the streams have that are no journals.
func (r *restoring) mark(ctx context.Context) error {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return err
	}
	all := make(map[string]mark)
	for _, stream := range markedStreams() {
		if all[stream], err = markOf(ctx, js, stream); err != nil {
			return err
		}
	}
	return writeMarks(r.cfg.Data, all)
}

func (r *restoring) take(ctx context.Context, path string, size int64, content io.Reader) error {
	defer func() {
		r.done += size
		r.cfg.Progress("bytes restored", r.done, max(r.manifest.Bytes(), r.done))
	}()
	stream, ok := r.manifest.StreamOf(path)
	if r.stream != nil && (!ok || r.stream.name != stream.Name) {
		if err := r.endStream(nil); err != nil {
			return err
		}
	}
	switch {
	case ok:
		if r.stream == nil {
			r.stream = startStream(ctx, r.nc, stream)
		}
		_, err := io.Copy(r.stream.parts, content)
		return err
	case strings.HasPrefix(path, "views/") && r.cfg.JournalOnly:
		return backup.Ignore(path, size, content)
	case strings.HasPrefix(path, "views/"), strings.HasPrefix(path, "catalogs/"):
		return writeFile(filepath.Join(r.cfg.Data, filepath.FromSlash(path)), content)
	}
	return fmt.Errorf("%w: this program does not know what %s is", backup.ErrDamaged, path)
}

func writeFile(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// restoringStream is a stream whose parts are put together.
type restoringStream struct {
	name  string
	parts *io.PipeWriter
	ended chan error
}

func startStream(ctx context.Context, nc *nats.Conn, s backup.Stream) *restoringStream {
	from, to := io.Pipe()
	r := &restoringStream{name: s.Name, parts: to, ended: make(chan error, 1)}
	go func() {
		err := bus.Restore(ctx, nc, s.Name, bus.Image{Config: s.Config, State: s.State}, from)
		from.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // whoever writes on must not wait
		r.ended <- err
	}()
	return r
}

// endStream finishes the stream under way, or gives it up because of a fault.
func (r *restoring) endStream(fault error) error {
	if r.stream == nil {
		return nil
	}
	_ = r.stream.parts.CloseWithError(fault) // always nil
	err := <-r.stream.ended
	r.stream = nil
	if fault != nil {
		return nil // that is why
	}
	return err
}

// check reads a whole journal. Its anchor says where it has to end.
func (r *restoring) check(ctx context.Context, want backup.Journal) error {
	anchor := anchorPath(r.cfg.Data, want.Name())
	if err := journal.WriteAnchor(anchor, want.Name(), want.Head()); err != nil {
		return err
	}
	j, err := journal.Open(ctx, r.nc, journal.Config{Name: want.Name(), Shards: want.Shards, Anchor: anchor, Logger: r.cfg.Logger})
	if err != nil {
		return err
	}
	at := j.Start()
	for c, err := range j.Read(ctx, 1) {
		if err != nil {
			return errors.Join(err, j.Close())
		}
		at = c.Head
		r.cfg.Progress("commits of "+want.Name().String()+" checked", int64(at.Sequence), int64(max(want.Sequence, at.Sequence)))
	}
	if at != want.Head() {
		return errors.Join(fmt.Errorf("%w: journal %s ends at commit %d, the manifest says %d", backup.ErrDamaged, want.Name(), at.Sequence, want.Sequence), j.Close())
	}
	return j.Close()
}

// refuseHalfRestored refuses a directory whose restore broke off.
func refuseHalfRestored(data string) error {
	from, err := os.ReadFile(filepath.Join(data, restoringName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("a restore of %s to this directory broke off: remove the directory and restore again", strings.TrimSpace(string(from)))
}
