package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// An anchor is a small file outside the directory of the streams that names a
// recent place of a journal. A chain of hashes cannot show that its end was cut
// off; a place beyond the end can. It is written every second, so on one machine
// up to the last second of a truncated journal can go unnoticed, and no more.
const anchorInterval = time.Second

// anchorFile is what is in it, as JSON.
type anchorFile struct {
	Format   int    `json:"format"`
	Tenant   string `json:"tenant"`
	Shard    int    `json:"shard"`
	Journal  string `json:"journal"`
	Sequence uint64 `json:"sequence"`
	Hash     Hash   `json:"hash"`
}

// anchor is the open one of a journal; nil when there is none. One goroutine at
// a time writes it.
type anchor struct {
	path    string
	name    Name
	written Head
}

func readAnchor(path string) (anchorFile, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return anchorFile{}, err
	}
	var a anchorFile
	if err := json.Unmarshal(content, &a); err != nil {
		return anchorFile{}, fmt.Errorf("read %s: %w", path, err)
	}
	if a.Format != Format || a.Journal == "" {
		return anchorFile{}, fmt.Errorf("read %s: it is not an anchor of format %d", path, Format)
	}
	return a, nil
}

// write replaces the file so that a crash leaves the old one or the new one.
func (a *anchor) write(head Head) error {
	if a == nil || head == a.written {
		return nil
	}
	content, err := json.Marshal(anchorFile{Format, a.name.Tenant, a.name.Shard, head.Journal, head.Sequence, head.Hash})
	if err == nil {
		err = ReplaceFile(a.path, append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the anchor of journal %s: %w", a.name, err)
	}
	a.written = head
	return nil
}

// WriteAnchor writes the anchor of a journal that is not open, where it was restored up to head: Open then finds
// out whether it was.
func WriteAnchor(path string, name Name, head Head) error {
	return (&anchor{path: path, name: name}).write(head)
}

// ReplaceFile replaces a small file so that a power cut leaves the old one or the new one, whole. A rename alone
// does not: on many file systems the name gets to the disk before the content.
func ReplaceFile(path string, content []byte) error {
	next := path + ".next"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// refuseOrphanAnchor is asked before a journal is created: the stream is not
// there, so an anchor that knows of commits means that they are lost.
func refuseOrphanAnchor(cfg Config) error {
	if cfg.Anchor == "" {
		return nil
	}
	a, err := readAnchor(cfg.Anchor)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the stream is not there, and %w: %w; move the file away to start an empty journal", ErrAnchorLost, err)
	case a.Sequence > 0:
		return &At{a.Sequence, fmt.Errorf("%w: the stream is not there, but %s knows this commit of journal %s; restore the journal, "+
			"or move the file away to start an empty one", ErrDamaged, cfg.Anchor, a.Journal)}
	}
	return nil
}

// openAnchor checks the end of the journal, as just read, against the anchor.
func (j *Journal) openAnchor(ctx context.Context) error {
	path := j.cfg.Anchor
	if path == "" {
		return nil
	}
	j.anchor = &anchor{path: path, name: j.cfg.Name}
	a, err := readAnchor(path)
	switch {
	case err == nil:
		j.anchor.written = Head{Journal: a.Journal, Sequence: a.Sequence, Hash: a.Hash}
		return j.checkAnchor(ctx, a)
	case errors.Is(err, fs.ErrNotExist) && j.head.Sequence == 0:
		// Written before the first commit, it is never absent beside one.
		return j.anchor.write(j.head)
	case !j.cfg.AcceptLostAnchor:
		return fmt.Errorf("%w: %w; commits after the last backup may be gone unnoticed: "+
			"verify the journal, then accept that the anchor is lost", ErrAnchorLost, err)
	}
	j.cfg.Logger.Warn("the anchor is lost and is made anew: a truncation before now would not be noticed",
		"path", path, "error", err, "sequence", j.head.Sequence)
	return j.anchor.write(j.head)
}

func (j *Journal) checkAnchor(ctx context.Context, a anchorFile) error {
	if (Name{a.Tenant, a.Shard}) != j.cfg.Name {
		return fmt.Errorf("%w: anchor %s is of journal %s/%d: %w", ErrDamaged, j.cfg.Anchor, a.Tenant, a.Shard, ErrOtherJournal)
	}
	head := Head{Journal: a.Journal, Sequence: a.Sequence, Hash: a.Hash}
	err := j.check(ctx, head)
	if errors.Is(err, ErrOtherJournal) || errors.Is(err, ErrAhead) || errors.Is(err, ErrDiverged) || errors.Is(err, ErrDamaged) {
		return &At{a.Sequence, fmt.Errorf("%w: it does not contain commit %d, which anchor %s says was acknowledged (%v)",
			ErrDamaged, a.Sequence, j.cfg.Anchor, err)}
	}
	return err
}

// CheckAnchor says whether the journal contains what its anchor knows: nil, ErrDamaged, ErrOtherJournal, or
// ErrAnchorLost when there is none to ask. It changes nothing.
func (j *Journal) CheckAnchor(ctx context.Context) error {
	if j.cfg.Anchor == "" {
		return nil
	}
	a, err := readAnchor(j.cfg.Anchor)
	if err == nil {
		err = j.checkAnchor(ctx, a)
	} else {
		err = fmt.Errorf("%w: %w", ErrAnchorLost, err)
	}
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.cfg.Name, err)
	}
	return nil
}

// ReadAnchor reads which journal an anchor file is about, and the place that it knows.
func ReadAnchor(path string) (Name, Head, error) {
	a, err := readAnchor(path)
	if err != nil {
		return Name{}, Head{}, err
	}
	return Name{a.Tenant, a.Shard}, Head{Journal: a.Journal, Sequence: a.Sequence, Hash: a.Hash}, nil
}

// keepAnchor writes the anchor every second in which the head moved. It is a
// goroutine of its own because its fsyncs must not hold up acks.
func (w *writer) keepAnchor() {
	defer close(w.anchored)
	ticker := time.NewTicker(anchorInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := w.j.anchor.write(w.j.Head()); err != nil {
				w.j.cfg.Logger.Error("a truncated journal would not be noticed", "error", err)
			}
		case <-w.stopped:
			w.err = w.j.anchor.write(w.j.Head())
			return
		}
	}
}
