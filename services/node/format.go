package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"creditstream/events/journal"
	"creditstream/services/backup"
)

// dataFormat is the version of how a data directory is laid out. A higher one is for what an older program would
// misread; journals, views and backups have versions of their own.
const dataFormat = 1

// formatFile says how a data directory is laid out, and who used it last: so that who must not use it can be
// told what to use instead.
type formatFile struct {
	Format  int    `json:"format"`
	Program string `json:"program"`
}

// claimFormat refuses a data directory of a newer layout, and marks the others as this program's. One without a
// mark is new, or older than the mark.
func claimFormat(data string) error {
	path := filepath.Join(data, "format")
	text, err := os.ReadFile(path)
	var was formatFile
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &was); err != nil || was.Format < 1 {
			return fmt.Errorf("%s is damaged (%v): write {\"format\":%d} to it when only this program has used the directory", path, err, dataFormat)
		}
	}
	if was.Format > dataFormat {
		return fmt.Errorf("the data directory has format %d and was last used by %s; this is %s, which reads up to format %d: use that program or a newer one",
			was.Format, was.Program, backup.Program(), dataFormat)
	}
	is := formatFile{Format: dataFormat, Program: backup.Program()}
	if was == is {
		return nil
	}
	if text, err = json.Marshal(is); err != nil {
		return err
	}
	return journal.ReplaceFile(path, append(text, '\n'))
}
