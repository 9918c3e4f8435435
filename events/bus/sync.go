package bus

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncDir writes every file and directory under dir through to the disk.
//
// A process that was killed leaves writes in the page cache. A restarted server
// serves them like all others, but a power cut would still take them. So they
// are synced once at start, before anything that was read from them is answered.
// A file that disappears meanwhile is skipped; dir itself has to exist.
func SyncDir(ctx context.Context, dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && (entry.IsDir() || entry.Type().IsRegular()) {
			err = syncPath(path)
		}
		if os.IsNotExist(err) && path != dir {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// SyncName makes a file or directory found under its name after a power cut: it syncs the directory that it is in.
func SyncName(path string) error {
	path, err := filepath.Abs(path)
	if err == nil {
		err = syncPath(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("sync the name of %s: %w", path, err)
	}
	return nil
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
