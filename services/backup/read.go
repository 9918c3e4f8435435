package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"creditstream/events/journal"
)

// Archive is a backup on disk: a directory, or one tar file.
type Archive struct{ path string }

// Open finds a backup. Nothing of it is read yet.
func Open(path string) (*Archive, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the backup: %w", err)
	}
	return &Archive{path}, nil
}

// Take gets a file with its content, which is to be read to its end. What it got is known to be whole only when
// the reading goes on without an error.
type Take func(path string, size int64, content io.Reader) error

// Read goes once through all files, in their order, and compares each with the manifest. The error is ErrDamaged,
// with the name of the file, for a backup that was changed, cut off or is incomplete.
func (a *Archive) Read(ctx context.Context, take Take) (*Manifest, error) {
	m, err := a.read(ctx, take)
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", a.path, err)
	}
	return m, nil
}

func (a *Archive) read(ctx context.Context, take Take) (*Manifest, error) {
	if info, err := os.Stat(a.path); err != nil {
		return nil, err
	} else if info.IsDir() {
		return readDirectory(ctx, a.path, take)
	}
	file, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readTar(ctx, file, take, func(string, []byte) error { return nil })
}

// Ignore takes a file and does nothing with it: for who only wants to know whether a backup is whole.
func Ignore(_ string, _ int64, content io.Reader) error {
	_, err := io.Copy(io.Discard, content)
	return err
}

// sums checks files while they are read.
type sums struct {
	ctx  context.Context
	hash hash.Hash
	take Take
}

func (s *sums) file(path string, size int64, content io.Reader) (File, error) {
	if err := s.ctx.Err(); err != nil {
		return File{}, err
	}
	if err := checkName(path); err != nil {
		return File{}, err
	}
	s.hash.Reset()
	counted := &counter{Reader: io.TeeReader(content, s.hash)}
	if err := s.take(path, size, counted); err != nil {
		return File{}, err
	}
	return File{Path: path, Size: counted.n, SHA256: journal.Hash(s.hash.Sum(nil))}, nil
}

type counter struct {
	io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// longestManifest bounds what is read into memory.
const longestManifest = 1 << 28

// readTar reads a backup that comes as one stream: its manifest is known at the end. keep gets the two files that
// are in no manifest.
func readTar(ctx context.Context, r io.Reader, take Take, keep func(path string, text []byte) error) (*Manifest, error) {
	s := sums{ctx, sha256.New(), take}
	var files []File
	var text, sum []byte
	in, last := tar.NewReader(r), "its beginning"
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: it is unreadable or cut short after %s: %w", ErrDamaged, last, err)
		}
		last = header.Name
		switch header.Name {
		case manifestName:
			if text, err = io.ReadAll(io.LimitReader(in, longestManifest)); err == nil {
				err = keep(manifestName, text)
			}
		case sumName:
			if sum, err = io.ReadAll(io.LimitReader(in, 256)); err == nil {
				err = keep(sumName, sum)
			}
		default:
			var f File
			f, err = s.file(header.Name, header.Size, in)
			files = append(files, f)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: it is cut short in %s", ErrDamaged, header.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	m, err := provenManifest(text, sum)
	if err != nil {
		return nil, err
	}
	return m, m.compare(files)
}

// readDirectory reads the files that the manifest names.
func readDirectory(ctx context.Context, dir string, take Take) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: it has no %s: it was not finished, or is no backup", ErrDamaged, manifestName)
	} else if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, sumName))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m, err := provenManifest(text, sum)
	if err != nil {
		return nil, err
	}
	s := sums{ctx, sha256.New(), take}
	for _, want := range m.Files {
		got, err := readFile(&s, dir, want)
		if err == nil && got != want {
			err = altered(want, got)
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func readFile(s *sums, dir string, want File) (File, error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(want.Path)))
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer file.Close()
	return s.file(want.Path, want.Size, file)
}

func provenManifest(text, sum []byte) (*Manifest, error) {
	if text == nil || sum == nil {
		return nil, fmt.Errorf("%w: it is cut short, or no backup: its last files, %s and %s, are not there", ErrDamaged, manifestName, sumName)
	}
	var said journal.Hash
	if err := said.UnmarshalText(bytes.TrimSpace(sum)); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, sumName, err)
	}
	if said != sha256.Sum256(text) {
		return nil, fmt.Errorf("%w: %s was changed: it does not have the SHA-256 of %s", ErrDamaged, manifestName, sumName)
	}
	return parseManifest(text)
}

// compare says which file is not what the manifest says.
func (m *Manifest) compare(files []File) error {
	for i, want := range m.Files {
		if i >= len(files) || files[i].Path != want.Path {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, want.Path)
		}
		if files[i] != want {
			return altered(want, files[i])
		}
	}
	if len(files) > len(m.Files) {
		return fmt.Errorf("%w: the manifest does not know %s", ErrDamaged, files[len(m.Files)].Path)
	}
	return nil
}

func altered(want, got File) error {
	if got.Size != want.Size {
		return fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, want.Path, got.Size, want.Size)
	}
	return fmt.Errorf("%w: %s was changed: its SHA-256 is %s, not %s", ErrDamaged, want.Path, got.SHA256, want.SHA256)
}

// StreamOf says which stream a file is a part of, or "".
func (m *Manifest) StreamOf(path string) (Stream, bool) {
	dir, _, _ := cutLast(path)
	for _, s := range m.Streams {
		if s.Path == dir {
			return s, true
		}
	}
	return Stream{}, false
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
