package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/services/api"
	"creditstream/services/backup"
	"creditstream/services/credentials"
	"creditstream/services/intake"
	"creditstream/services/personal"
)

// copyDir is where views are linked while a backup reads them.
const copyDir = "backup-under-way"

// Backup writes everything that the server keeps, but for the pepper, to w as a tar file, while it goes on. What
// it holds is of one piece:
//
//   - views come first, so that none knows more than its journal;
//   - then the intake, and after it what it refused: usage that moves on meanwhile is twice there and not
//     nowhere, and is recorded once;
//   - then the journals: they have everything that was answered before the backup began;
//   - the keys of personal texts come last: each text of the journals has its key, unless it was erased.
//
// journalOnly leaves out the views: they are built anew after a restore.
func (n *Node) Backup(ctx context.Context, w io.Writer, journalOnly bool) error {
	if !n.backing.TryLock() {
		return api.ErrBackingUp
	}
	defer n.backing.Unlock()
	if err := n.mayBackUp(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	out := backup.NewWriter(w, time.Now())
	dir := filepath.Join(n.cfg.Data, copyDir)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	var err error
	if !journalOnly {
		err = n.backUpViews(ctx, out, dir)
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return fmt.Errorf("back up the views: %w", err)
	}
	if err := n.backUpCatalogs(out); err != nil {
		return fmt.Errorf("back up which catalogs were published: %w", err)
	}
	for _, stream := range []string{credentials.StreamName, intake.StreamName, intake.RefusedStreamName} {
		if _, err := n.backUpStream(ctx, out, stream); err != nil {
			return fmt.Errorf("back up: %w", err)
		}
	}
	if err := n.backUpJournals(ctx, out); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := n.backUpStream(ctx, out, personal.StreamName); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func (n *Node) backUpViews(ctx context.Context, out *backup.Writer, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, store := range n.views.stores {
		copied := filepath.Join(dir, store.Name())
		heads, err := store.Copy(copied)
		if err != nil {
			return err
		}
		for _, h := range heads {
			out.Manifest.Views = append(out.Manifest.Views, backup.View{
				View: store.Name(), Tenant: h.Name.Tenant, Shard: h.Name.Shard, Journal: h.Head.Journal, Sequence: h.Head.Sequence, Hash: h.Head.Hash,
			})
		}
		files, err := os.ReadDir(copied)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := backUpFile(out, "views/"+store.Name()+"/"+f.Name(), filepath.Join(copied, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func backUpFile(out *backup.Writer, path, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return out.File(path, info.Size(), file)
}

// backUpCatalogs notes which catalog files were published: the catalogs themselves are in the journals.
func (n *Node) backUpCatalogs(out *backup.Writer) error {
	files, err := os.ReadDir(filepath.Join(n.cfg.Data, "catalogs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(n.cfg.Data, "catalogs", f.Name()))
		if err != nil {
			return err
		}
		if err := out.File("catalogs/"+f.Name(), int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) backUpStream(ctx context.Context, out *backup.Writer, name string) (bus.Image, error) {
	path := "streams/" + name
	parts := out.Parts(path)
	image, err := bus.Snapshot(ctx, n.services, name, func(chunk []byte) error { _, err := parts.Write(chunk); return err })
	if err == nil {
		err = parts.Close()
	}
	if err != nil {
		return image, err
	}
	out.Manifest.Streams = append(out.Manifest.Streams, backup.Stream{Name: name, Path: path, Config: image.Config, State: image.State})
	return image, nil
}

func (n *Node) backUpJournals(ctx context.Context, out *backup.Writer) error {
	n.mu.Lock()
	journals := maps.Clone(n.journals)
	n.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(journals), func(a, b journal.Name) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), a.Shard-b.Shard)
	})
	left := make(map[string]bool)
	for _, b := range n.accounts.Barred() {
		left[b.Tenant] = true
		out.Manifest.LeftOut = append(out.Manifest.LeftOut, backup.LeftOut{Tenant: b.Tenant, Reason: b.Reason.Error()})
	}
	for _, name := range names {
		if left[name.Tenant] {
			continue
		}
		image, err := n.backUpStream(ctx, out, name.Stream())
		if err != nil {
			return err
		}
		j := journals[name]
		head, err := headOf(ctx, j, image)
		if err != nil {
			return fmt.Errorf("journal %s: %w", name, err)
		}
		out.Manifest.Journals = append(out.Manifest.Journals, backup.Journal{
			Tenant: name.Tenant, Shard: name.Shard, Shards: j.Shards(), Journal: head.Journal, Sequence: head.Sequence, Hash: head.Hash,
		})
	}
	return nil
}

// headOf is the place after the last commit of a snapshot.
func headOf(ctx context.Context, j *journal.Journal, image bus.Image) (projections.Head, error) {
	last, err := image.LastSequence()
	if err != nil || last == 0 {
		return j.Start(), err
	}
	commit, err := j.Get(ctx, last)
	return commit.Head, err
}
