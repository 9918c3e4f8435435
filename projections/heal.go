package projections

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// A view can be made again from its journal, so damage to a store's files is not repaired: the store is set
// aside and begun anew. What is unreadable from the start is noticed by Open; a block that turns out to be
// unreadable later is an error for whoever asked for it (every block has a checksum, and none that is wrong is
// served), and leaves a note beside the directory for the next Open.

// Open opens a store, or makes it. One whose files are damaged, or were found to be, is set aside as
// "<name>.damaged", which log is told, and made anew: its views are empty and fold their journals from the start.
func Open(cfg Config) (*Store, error) {
	if cfg.ReadOnly {
		return open(cfg)
	}
	dir := filepath.Join(cfg.Dir, cfg.View)
	c := caretaker{dir: dir, options: options(cfg), log: pebbleLogger{cfg.Logger}}
	if why := c.note(); why != "" {
		if err := c.setAside(why); err != nil {
			return nil, fmt.Errorf("open view store %s: %w", dir, err)
		}
	}
	s, err := open(cfg)
	if err == nil || !isDamage(err) {
		return s, err
	}
	if err := c.setAside(err.Error()); err != nil {
		return nil, fmt.Errorf("open view store %s: %w", dir, err)
	}
	return open(cfg)
}

// isDamage tells an error about what is in the files, or about a file that is gone, from one about reaching them.
func isDamage(err error) bool {
	for _, damage := range []error{ErrDamaged, fs.ErrNotExist, errBroken, pebble.ErrDBNotPristine} {
		if errors.Is(err, damage) {
			return true
		}
	}
	// A table that was cut off has no error of its own.
	return pebble.IsCorruptionError(err) || strings.Contains(err.Error(), "object size mismatch")
}

// errBroken is for what Pebble panics about while it opens a store.
var errBroken = errors.New("the store cannot be read")

// openPebble opens a database, and begins to merge its tables then. What Pebble reads in a damaged one may be nonsense to it.
func openPebble(dir string, o *pebble.Options) (db *pebble.DB, m *merges, err error) {
	m, o = newMerges(), o.Clone()
	o.Experimental.CompactionScheduler = m
	o.FS = m.files(o.FS)
	defer func() {
		if reason := recover(); reason != nil {
			db, err = nil, fmt.Errorf("%w: %v", errBroken, reason)
		}
		if err != nil {
			m.Unregister()
		}
	}()
	if db, err = pebble.Open(dir, o); err == nil {
		m.begin()
	}
	return db, m, err
}

// caretaker looks after the directory of a store that is not open.
type caretaker struct {
	dir     string
	options *pebble.Options
	log     pebbleLogger
}

func notePath(dir string) string { return dir + ".unreadable" }

// note is what the store's last user found unreadable; "" when nothing was.
func (c caretaker) note() string {
	if _, err := c.options.FS.Stat(notePath(c.dir)); err != nil {
		return ""
	}
	return "it was found unreadable, see " + notePath(c.dir)
}

func (c caretaker) setAside(why string) error {
	aside := c.dir + ".damaged"
	c.log.Errorf("store %s is set aside as %s and its views are built anew from their journals: %s", c.dir, aside, why)
	if err := c.options.FS.RemoveAll(aside); err != nil {
		return err
	}
	if err := c.options.FS.Rename(c.dir, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := c.options.FS.Remove(notePath(c.dir))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// corrupted is told by Pebble about each block that does not have its checksum. The goroutine that asked for
// the block gets an error.
func (s *Store) corrupted(info pebble.DataCorruptionInfo) {
	why := fmt.Sprintf("%s: %v", info.Path, info.Details)
	if !s.damaged.CompareAndSwap(nil, &why) {
		return
	}
	s.log.Errorf("store %s is unreadable in part and is built anew at the next start: %s", s.dir, why)
	if s.only {
		return
	}
	file, err := s.fs.Create(notePath(s.dir), "creditstream")
	if err == nil {
		_, err = file.Write([]byte(why + "\n"))
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if err != nil {
		s.log.Errorf("note that store %s is unreadable: %v", s.dir, err)
	}
}

// Unreadable is what was found unreadable in the store's files since it was opened; "" when nothing was. Other
// records than those are sound. The store is made anew when it is opened again.
func (s *Store) Unreadable() string {
	if why := s.damaged.Load(); why != nil {
		return *why
	}
	return ""
}

// Journals are those that the store has a view of.
func (s *Store) Journals() ([]Name, error) {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{0, 0, 0, 0, 1}, UpperBound: []byte{0, 0, 0, 1}})
	if err != nil {
		return nil, fmt.Errorf("view store %s: %w", s.name, err)
	}
	var names []Name
	for iter.First(); iter.Valid(); iter.Next() {
		key := iter.Key()[4:]
		if n := len(key); n > 3 && key[n-3] == 0 {
			names = append(names, Name{Tenant: string(key[:n-3]), Shard: int(key[n-2])<<8 | int(key[n-1])})
		}
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		return nil, fmt.Errorf("view store %s: list its journals: %w", s.name, err)
	}
	slices.SortFunc(names, func(a, b Name) int {
		if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
			return c
		}
		return a.Shard - b.Shard
	})
	return names, nil
}
