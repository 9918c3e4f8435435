package projections

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
)

// ViewHead is where the view of one journal stands.
type ViewHead struct {
	Name Name
	Head Head
}

// Copy makes a copy of the store in a directory that is not there yet, on the same file system, while it goes on:
// the files are linked, not copied. It returns where each view of the copy stands. Remove the directory
// soon: as long as it is there, nothing of it is given back to the disk.
func (s *Store) Copy(dir string) ([]ViewHead, error) {
	// What is in memory only would not be part of it: a store writes no log.
	if err := s.flush(); err != nil {
		return nil, fmt.Errorf("copy view store %s: %w", s.name, err)
	}
	if err := s.db.Checkpoint(dir); err != nil {
		return nil, fmt.Errorf("copy view store %s: %w", s.name, err)
	}
	heads, err := headsIn(dir)
	if err != nil {
		return nil, fmt.Errorf("read the copy of view store %s: %w", s.name, err)
	}
	return heads, nil
}

// headsIn reads where the views of a store stand that nobody uses.
func headsIn(dir string) (heads []ViewHead, err error) {
	o := options(Config{Dir: filepath.Dir(dir), View: filepath.Base(dir), Logger: slog.New(slog.DiscardHandler)})
	o.ReadOnly = true
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{0, 0, 0, 0, 1}, UpperBound: []byte{0, 0, 0, 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	for valid := iter.First(); valid; valid = iter.Next() {
		var standing Standing
		name, ok := nameIn(iter.Key())
		if !ok || json.Unmarshal(iter.Value(), &standing) != nil {
			continue
		}
		head, err := checkpointOf(db, appendPrefix(nil, standing.Generation, name))
		if err != nil {
			return nil, err
		}
		if head != (Head{}) {
			heads = append(heads, ViewHead{name, head})
		}
	}
	return heads, iter.Error()
}

// nameIn reads the journal out of the key of a standing.
func nameIn(key []byte) (Name, bool) {
	tenant, shard, ok := bytes.Cut(key[4:], []byte{0})
	if !ok || len(shard) != 2 || len(tenant) == 0 {
		return Name{}, false
	}
	return Name{Tenant: string(tenant), Shard: int(binary.BigEndian.Uint16(shard))}, true
}
