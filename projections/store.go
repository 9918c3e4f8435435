package projections

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The keys of a store:
//
//	generation (uint32, big-endian) | tenant | 0x00 | shard (uint16, big-endian) | rest
//
// Generations count from 1 over the whole store and no two live ones share a number. (After a crash that of a draft
// may be given out again; what is left of that draft is dropped before.) The rest of a record's key is the
// fold's business and starts with a letter; the checkpoint's rest is empty. Generation 0 is about the others:
//
//	0 | 0x00 | "format"                      version of this layout
//	0 | 0x00 | "generation"                  the last generation that was given out
//	0 | tenant | 0x00 | shard                the live generation of that view, and its standing (JSON)

// Format is the version of the layout of a store.
const Format = 1

// ErrDamaged says that a view is not served: its journal held nonsense, or its records are unreadable.
var ErrDamaged = errors.New("view is damaged")

// ErrNoView says that a store which is open to be looked at has no view of a journal.
var ErrNoView = errors.New("there is no such view")

// Cache is memory for blocks that stores share.
type Cache = pebble.Cache

// NewCache makes a cache of that many bytes. Unref it when all stores that use it are open.
func NewCache(bytes int64) *Cache { return pebble.NewCache(bytes) }

// Config says where a store is, and what it may use.
type Config struct {
	// Dir holds one directory per kind of view.
	Dir string
	// View is the name of the kind.
	View string
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// Cache is shared with other stores; nil gives this one 16 MiB of its own. Memtables are taken out of it.
	Cache *Cache
	// MemTable is the size of a memtable in bytes; 0 means 2 MiB. Two of them exist as a rule, and up to memTables.
	MemTable uint64
	// Shelf is how many bytes of the latest records a view keeps until they are written in a table; 0 means 16 MiB. Twice
	// that is in memory while they are written.
	Shelf int
	// Block is how many bytes of records are read and compressed at once; 0 means 4 KiB. Less is good for who looks for
	// single records all over, more for who reads many in a row.
	Block int
	// MergeLate is for a store whose records are written all over, as those of accounts that are charged all alike: each
	// merge writes most of the lowest level anew, and half as many of them cost less than four tables more to look at. Where
	// much is written in the order of its keys instead, more of that would have to be merged.
	MergeLate bool
	// ReadOnce is for a store that is filled, read once and removed: to merge its tables would cost more than to read
	// many of them.
	ReadOnce bool
	// ReadOnly opens a store that is there to look at it: nothing is made, healed or tidied up.
	ReadOnly bool
	// Logger gets what Pebble has to say that needs a person; nil discards it.
	Logger *slog.Logger
}

// Store holds all views of one kind. It may be used concurrently.
type Store struct {
	name   string
	dir    string
	fs     vfs.FS
	db     *pebble.DB
	merges *merges
	log    pebbleLogger
	only   bool // to be read
	block  int  // Config.Block
	// mostAbove is how many tables above each other keep a flush from adding one.
	mostAbove int
	// tables is when a view that is built from its start writes tables of its own.
	tables tableSizes
	// damaged is what was found unreadable in its files, if anything was.
	damaged atomic.Pointer[string]
	shelves shelves
	keys    sync.Pool // of *[]byte: a key that is looked up would else be garbage each time

	mu     sync.Mutex
	last   uint32 // generation
	views  map[Name]*View
	closed bool
}

// open opens what is in the directory, or makes a store in it.
func open(cfg Config) (*Store, error) {
	s := &Store{name: cfg.View, dir: filepath.Join(cfg.Dir, cfg.View), fs: cfg.FS, log: pebbleLogger{cfg.Logger}, only: cfg.ReadOnly, block: cfg.Block, tables: usualTables, shelves: shelves{size: cmp.Or(cfg.Shelf, shelfSize)}, views: make(map[Name]*View)}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	o := options(cfg)
	o.EventListener = &pebble.EventListener{DataCorruption: s.corrupted}
	o.ReadOnly, o.ErrorIfNotExists = cfg.ReadOnly, cfg.ReadOnly
	o.EnsureDefaults()
	s.mostAbove = o.L0StopWritesThreshold
	var err error
	if s.db, s.merges, err = openPebble(s.dir, o); err != nil {
		return nil, fmt.Errorf("open view store %s: %w", s.dir, err)
	}
	s.keys.New = func() any { return new([]byte) }
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open view store %s: %w", s.dir, err), s.db.Close())
	}
	return s, nil
}

// memTable is the usual size of a memtable. What is in use of them, and one more that is kept to be used again, is room that
// the cache does not have: with 16 MiB, two stores that were written to had the whole of a cache of 64 MiB, and each look
// at a record read a filter, two blocks of indexes and its block from a file. Commits come through shelves and in
// tables; a batch that is larger than half a memtable never comes to one.
const memTable = 2 << 20

// lateTables is how many tables may lie above each other before they are merged, where that is late; 4 otherwise.
const lateTables = 8

// memTables is how many memtables there may be before a commit waits: 64 MiB of the usual size, so that a disk which takes no
// tables for a while does not hold up several shelves.
const memTables = 32

// manyTables is twice as many as lie above each other before they are merged, where they are read once.
const manyTables = 128

func options(cfg Config) *pebble.Options {
	o := &pebble.Options{
		FS:                          cfg.FS,
		Cache:                       cfg.Cache,
		CacheSize:                   16 << 20,
		MemTableSize:                cfg.MemTable,
		MemTableStopWritesThreshold: memTables,
		FormatMajorVersion:          pebble.FormatNewest,
		// The journal is the log. Without one of its own a store writes half as much, and nothing of it to
		// the disk between two flushes, where each fsync of the journal would have to wait for it. After
		// a crash a view is as of its last flush, and folds on from there: at most a memtable and
		// two shelves of it.
		DisableWAL: true,
		Logger:     pebbleLogger{cfg.Logger},
		// A start with a thousand tenants asks for a handful of tables, not for all of them.
		MaxOpenFiles: 512,
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = memTable
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if cfg.MergeLate {
		o.L0CompactionThreshold, o.L0StopWritesThreshold = lateTables, 3*lateTables
	}
	if cfg.ReadOnce {
		o.L0CompactionThreshold, o.L0StopWritesThreshold = manyTables, 2*manyTables
	}
	// Nearly every idempotency key is looked up to learn that it is not there: without a filter that
	// costs a block of every level.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].FilterType = pebble.TableFilter
		o.Levels[i].BlockSize = cfg.Block
	}
	// Pebble looks at no filter of the lowest level, where nine of ten records are.
	o.Levels[len(o.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	return o
}

var (
	formatKey     = []byte("\x00\x00\x00\x00\x00format")
	generationKey = []byte("\x00\x00\x00\x00\x00generation")
)

func (s *Store) open() error {
	format, err := s.number(formatKey)
	if err != nil {
		return err
	}
	if format > Format || s.only && format != Format {
		return fmt.Errorf("its layout has version %d, this program reads %d: use the program that wrote it, or remove the directory and the views are built anew", format, Format)
	}
	if format < Format {
		// New, or an older program's: what is in it can be had from the journals.
		if err := s.db.DeleteRange([]byte{0}, []byte{0xff}, pebble.NoSync); err != nil {
			return err
		}
		return s.setNumber(formatKey, Format)
	}
	if s.last, err = s.number(generationKey); err != nil || s.only {
		return err
	}
	return errors.Join(s.dropDrafts(), s.dropOrphans())
}

func (s *Store) number(key []byte) (uint32, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = closer.Close() }()
	if len(value) != 4 {
		return 0, fmt.Errorf("record %q: %w", key[5:], ErrDamaged)
	}
	return binary.BigEndian.Uint32(value), nil
}

func (s *Store) setNumber(key []byte, n uint32) error {
	return s.db.Set(key, binary.BigEndian.AppendUint32(nil, n), pebble.NoSync)
}

// Name is the name of the kind of view.
func (s *Store) Name() string { return s.name }

// Close flushes the store to disk, unless it was found damaged or would have to wait for a merge, and closes it. Nobody may
// use its views any more. A second call does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	if s.only {
		return s.db.Close()
	}
	// A damaged store is made anew by the next Open, and a flush may wait for ever: what would make room for it
	// cannot be merged. One with so many tables that a flush would wait for a merge is left as a crash leaves it.
	var err error
	if s.Unreadable() == "" {
		var held bool
		if held, err = s.heldUp(); err == nil && !held {
			err = s.flush()
		}
	}
	s.merges.giveUp()
	for _, v := range s.all() {
		if !v.shelf.still() {
			return errors.Join(fmt.Errorf("close view store %s: the view of %s is still being written", s.name, v.name), err)
		}
	}
	if err = errors.Join(err, s.db.Close()); err != nil {
		return fmt.Errorf("close view store %s: %w", s.name, err)
	}
	return nil
}

// heldUp reports whether a flush would wait until some tables that lie above each other are merged. What Pebble says of that in its
// metrics is not so right after a store was opened.
func (s *Store) heldUp() (bool, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return false, err
	}
	tables := levels[0]
	for i := range tables {
		first, above := tables[i].Smallest.UserKey, 0
		for j := range tables {
			if bytes.Compare(tables[j].Smallest.UserKey, first) <= 0 && bytes.Compare(first, tables[j].Largest.UserKey) <= 0 {
				above++
			}
		}
		if above >= s.mostAbove {
			return true, nil
		}
	}
	return false, nil
}

func (s *Store) all() []*View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.views))
}

// flush writes everything that is in memory to the disk, as far as that can be written.
func (s *Store) flush() (err error) {
	for _, v := range s.all() {
		err = errors.Join(err, v.shelf.clear())
	}
	return errors.Join(err, s.db.Flush())
}

// Standing is what a store notes about the view of one journal, beside its records.
type Standing struct {
	Generation uint32 `json:"generation"`
	Version    uint32 `json:"version"` // of the fold that made it
	// Damaged says why the view is not served; empty when it is.
	Damaged string `json:"damaged,omitempty"`
	// Suspect says why the records are not to be trusted: the view is built anew at the next start.
	Suspect string `json:"suspect,omitempty"`
	// Verified is the position of the last verification that found no difference.
	Verified uint64 `json:"verified,omitempty"`
}

// View returns the view of one journal, the same one for all who ask; a new one is empty.
func (s *Store) View(name Name, version uint32) (*View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.views[name]; v != nil {
		return v, nil
	}
	standing, err := s.standing(name)
	if err != nil {
		return nil, fmt.Errorf("view %s of %s: %w", s.name, name, err)
	}
	if standing.Generation == 0 && s.only {
		return nil, fmt.Errorf("view %s of %s: %w", s.name, name, ErrNoView)
	}
	if standing.Generation == 0 {
		if standing, err = s.create(name, version); err != nil {
			return nil, fmt.Errorf("create view %s of %s: %w", s.name, name, err)
		}
	}
	v := s.newView(name, standing)
	s.views[name] = v
	return v, nil
}

// draft is a view of a new generation that nobody sees yet. Called without s.mu.
func (s *Store) draft(name Name, version uint32) (*View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.nextGeneration()
	if err != nil {
		return nil, err
	}
	return s.newView(name, Standing{Generation: n, Version: version}), nil
}

func (s *Store) newView(name Name, standing Standing) *View {
	v := &View{store: s, name: name}
	v.shelf = newShelf(v)
	v.live.Store(newGeneration(name, standing))
	return v
}

// nextGeneration is called with s.mu held.
func (s *Store) nextGeneration() (uint32, error) {
	if err := s.setNumber(generationKey, s.last+1); err != nil {
		return 0, err
	}
	s.last++
	return s.last, nil
}

// create is called with s.mu held.
func (s *Store) create(name Name, version uint32) (Standing, error) {
	n, err := s.nextGeneration()
	if err != nil {
		return Standing{}, err
	}
	standing := Standing{Generation: n, Version: version}
	return standing, s.setStanding(name, standing)
}

func (s *Store) standing(name Name) (Standing, error) {
	value, closer, err := s.db.Get(appendPrefix(nil, 0, name))
	if errors.Is(err, pebble.ErrNotFound) {
		return Standing{}, nil
	}
	if err != nil {
		return Standing{}, err
	}
	defer func() { _ = closer.Close() }()
	var standing Standing
	if err := json.Unmarshal(value, &standing); err != nil {
		// What cannot be found any more is as good as gone: the view starts anew.
		s.log.Errorf("the standing of view %s of %s is unreadable: %v", s.name, name, err)
		return Standing{}, nil
	}
	return standing, nil
}

func (s *Store) setStanding(name Name, standing Standing) error {
	text, err := json.Marshal(standing)
	if err != nil {
		return err
	}
	return s.db.Set(appendPrefix(nil, 0, name), text, pebble.NoSync)
}

// dropOrphans deletes generations that are no view's: what an interrupted rebuild left. It is called before
// anyone has a view.
func (s *Store) dropOrphans() error {
	live := make(map[uint32]bool)
	iter, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	var orphans []uint32
	for valid := iter.SeekGE([]byte{0, 0, 0, 0, 1}); valid; {
		key := iter.Key()
		generation := binary.BigEndian.Uint32(key)
		if generation == 0 {
			var standing Standing
			if err := json.Unmarshal(iter.Value(), &standing); err == nil {
				live[standing.Generation] = true
			}
			valid = iter.Next()
			continue
		}
		if !live[generation] {
			orphans = append(orphans, generation)
		}
		valid = iter.SeekGE(binary.BigEndian.AppendUint32(nil, generation+1))
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		return err
	}
	for _, n := range orphans {
		from, to := binary.BigEndian.AppendUint32(nil, n), binary.BigEndian.AppendUint32(nil, n+1)
		if err := s.db.DeleteRange(from, to, pebble.NoSync); err != nil {
			return fmt.Errorf("drop generation %d: %w", n, err)
		}
	}
	return nil
}

// pebbleLogger passes on what is wrong and drops the diary.
type pebbleLogger struct{ log *slog.Logger }

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log.Error("view store", "problem", fmt.Sprintf(format, args...))
	}
}

// Fatalf is called where Pebble cannot go on: a store that may have lost its order must not be written to.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	panic("projections: view store: " + fmt.Sprintf(format, args...))
}
