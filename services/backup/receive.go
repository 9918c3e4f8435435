package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Receive stores a backup that comes as a tar stream: as one file where to ends in ".tar", else as a directory
// (there must be nothing yet, or an empty directory). It is written beside its place, checked against its
// manifest, synced, and moved there: what is there is whole. Only its owner may read it.
func Receive(ctx context.Context, r io.Reader, to string) (*Manifest, error) {
	m, err := receive(ctx, r, to)
	if err != nil {
		return nil, fmt.Errorf("store the backup in %s: %w", to, err)
	}
	return m, nil
}

// Free refuses a place where something is.
func Free(to string) error {
	entries, err := os.ReadDir(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && len(entries) == 0 && !isTar(to):
		return nil
	case err != nil && !strings.Contains(err.Error(), "not a directory"):
		return err
	}
	return fmt.Errorf("%s is there already: a backup is never overwritten", to)
}

func isTar(path string) bool { return strings.HasSuffix(path, ".tar") }

func receive(ctx context.Context, r io.Reader, to string) (m *Manifest, err error) {
	if err := Free(to); err != nil {
		return nil, err
	}
	partial := filepath.Clean(to) + ".partial"
	if _, err := os.Lstat(partial); err == nil {
		return nil, fmt.Errorf("%s is there: a backup to this place is under way or broke off; remove it", partial)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	if isTar(to) {
		m, err = receiveFile(ctx, r, partial)
	} else {
		m, err = receiveDirectory(ctx, r, partial)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Rename(partial, to); err != nil {
		return nil, err
	}
	return m, syncPath(filepath.Dir(filepath.Clean(to)))
}

func receiveFile(ctx context.Context, r io.Reader, path string) (*Manifest, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	m, err := Copy(ctx, r, file)
	return m, errors.Join(err, file.Sync(), file.Close())
}

// Copy passes a backup on to w and checks it on the way.
func Copy(ctx context.Context, r io.Reader, w io.Writer) (*Manifest, error) {
	both := io.TeeReader(r, w)
	m, err := readTar(ctx, both, Ignore, func(string, []byte) error { return nil })
	if err == nil {
		_, err = io.Copy(io.Discard, both) // what fills the last block
	}
	return m, err
}

func receiveDirectory(ctx context.Context, r io.Reader, dir string) (*Manifest, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	w := &directory{root: dir, made: map[string]bool{dir: true}}
	m, err := readTar(ctx, r,
		func(path string, _ int64, content io.Reader) error { return w.write(path, content) },
		func(path string, text []byte) error { return w.write(path, bytes.NewReader(text)) })
	if err != nil {
		return nil, err
	}
	for made := range w.made {
		err = errors.Join(err, syncPath(made))
	}
	return m, err
}

// directory is one that files are written to.
type directory struct {
	root string
	made map[string]bool
}

func (d *directory) write(path string, content io.Reader) error {
	name := filepath.Join(d.root, filepath.FromSlash(path))
	if parent := filepath.Dir(name); !d.made[parent] {
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return err
		}
		d.made[parent] = true
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Sync(), file.Close())
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
