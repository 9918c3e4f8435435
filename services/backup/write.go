package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"creditstream/events/journal"
)

// partSize is that of the files of which a stream's snapshot consists: its length is not known beforehand, and
// a tar file wants it.
const partSize = 1 << 20

// Writer writes a backup as a tar file. Fill in Manifest on the way; its files are the Writer's business.
type Writer struct {
	Manifest Manifest
	tar      *tar.Writer
	hash     hash.Hash
}

// NewWriter begins a backup.
func NewWriter(w io.Writer, now time.Time) *Writer {
	return &Writer{
		Manifest: Manifest{Format: Format, Program: Program(), Created: now.UTC(), Files: []File{}, Streams: []Stream{}, Journals: []Journal{}},
		tar:      tar.NewWriter(w), hash: sha256.New(),
	}
}

// File adds a file of that many bytes.
func (w *Writer) File(path string, size int64, content io.Reader) error {
	if err := checkName(path); err != nil {
		return err
	}
	if err := w.begin(path, size); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	w.hash.Reset()
	n, err := io.Copy(io.MultiWriter(w.tar, w.hash), io.LimitReader(content, size))
	if err == nil && n != size {
		err = fmt.Errorf("it has %d bytes instead of %d", n, size)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	w.Manifest.Files = append(w.Manifest.Files, File{Path: path, Size: size, SHA256: journal.Hash(w.hash.Sum(nil))})
	return nil
}

func (w *Writer) begin(path string, size int64) error {
	return w.tar.WriteHeader(&tar.Header{Name: path, Size: size, Mode: 0o600, Typeflag: tar.TypeReg, ModTime: w.Manifest.Created.Truncate(time.Second), Format: tar.FormatPAX})
}

// Parts adds a file of unknown length as parts of it. Close it before anything else is added.
func (w *Writer) Parts(path string) *Parts {
	return &Parts{writer: w, path: path, part: make([]byte, 0, partSize)}
}

// Parts is a file that is being written in parts.
type Parts struct {
	writer *Writer
	path   string
	part   []byte
	count  int
}

// Write implements io.Writer.
func (p *Parts) Write(content []byte) (n int, err error) {
	for len(content) > 0 {
		fits := min(len(content), partSize-len(p.part))
		p.part = append(p.part, content[:fits]...)
		content, n = content[fits:], n+fits
		if len(p.part) == partSize {
			if err := p.Close(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Close writes what is left.
func (p *Parts) Close() error {
	if len(p.part) == 0 {
		return nil
	}
	p.count++
	err := p.writer.File(partName(p.path, p.count), int64(len(p.part)), bytes.NewReader(p.part))
	p.part = p.part[:0]
	return err
}

func partName(path string, number int) string { return fmt.Sprintf("%s/%06d", path, number) }

// Close writes the manifest. Without it a backup is none.
func (w *Writer) Close() error {
	if err := w.Manifest.check(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(&w.Manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	text = append(text, '\n')
	sum := journal.Hash(sha256.Sum256(text))
	err = errors.Join(w.plain(manifestName, text), w.plain(sumName, []byte(sum.String()+"\n")), w.tar.Close())
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

func (w *Writer) plain(path string, text []byte) error {
	if err := w.begin(path, int64(len(text))); err != nil {
		return err
	}
	_, err := w.tar.Write(text)
	return err
}
