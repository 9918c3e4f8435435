package node

import (
	"errors"
	"os"

	"creditstream/events/bus"
)

// writeDurably replaces a small file so that a power cut leaves the old one or the new one, whole. A rename alone does
// not: on many file systems the name gets to the disk before the content.
func writeDurably(path string, content []byte) error {
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
	return bus.SyncName(path)
}
