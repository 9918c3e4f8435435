package projections

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A view that is built from the start of its journal is written in tables of its own, beside the memtables: what comes
// together is sorted once, written to a file as it will stay, synced, and taken in by the store with its checkpoint.
// A memtable would sort record by record, be written to a table with those of other views, and be merged with what was
// there. While one pile is written, the fold goes on with the next.
//
// What was taken in stands for its checkpoint, and is durable with whatever the store had in memory before it. A crash leaves the files that were not yet
// (they are removed at the next start) and, of a view that is not live yet, a generation that is nobody's (dropOrphans).

// tableSizes say when tables are written.
type tableSizes struct {
	pile  int // how many bytes of records come together before they are sorted; twice that are in memory
	least int // what is less at the end of the journal is written like any other batch
	fresh int // how many records on a shelf are put in order where somebody goes over some
	rest  int // how many looks at records lie between two rests of a table that is written in step; a power of two
}

// The usual sizes. 64 MiB is some 200,000 lines of a statement, and between two rests lie some tenths of a millisecond.
var usualTables = tableSizes{pile: 64 << 20, least: 1 << 20, fresh: 4 << 10, rest: 4 << 10}

// tables writes the records of a view. It is used by one goroutine, and has another that writes.
type tables struct {
	view    *View
	prefix  []byte
	sizes   tableSizes
	filling *pile
	empty   chan *pile // nil where none was made yet
	full    chan *pile
	ended   chan struct{}
	closing sync.Once
	// Of the goroutine that writes, until it ended.
	atOnce  int   // how many files of a pile are written at the same time, if more than one
	pace    *pace // how fast a pile is written; nil where that is done at once
	done    int   // of the pile that is written in step, in looks at a record
	all     int
	sorter  sorter
	samples samples
	files   int
	last    [math.MaxUint8 + 1][]byte // the greatest key of each tag that was written

	mu      sync.Mutex
	written *sync.Cond // pending or err changed
	pending int        // piles that are not in the store yet
	err     error      // of the first that could not be written
}

// piles is how many there are of a view: one is filled while the other is written.
const piles = 2

// buildTables makes the view one that is written in tables: until they are closed, whoever reads it waits for what
// was committed before.
func (v *View) buildTables() *tables {
	t := &tables{
		view: v, prefix: v.live.Load().prefix, sizes: v.store.tables, filling: new(pile), atOnce: runtime.GOMAXPROCS(0),
		empty: make(chan *pile, piles), full: make(chan *pile, piles), ended: make(chan struct{}),
	}
	t.written = sync.NewCond(&t.mu)
	for range piles - 1 {
		t.empty <- new(pile)
	}
	v.building.Store(t)
	go t.run()
	return t
}

// commit hands on what was put as of head.
func (t *tables) commit(head Head) error {
	t.mu.Lock()
	err := t.err
	if err == nil {
		t.pending++
	}
	t.mu.Unlock()
	if err != nil {
		return err
	}
	t.filling.head = head
	t.full <- t.filling
	t.filling = <-t.empty
	return nil
}

// wait returns when all that was committed can be read, or why it cannot.
func (t *tables) wait() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.pending > 0 && t.err == nil {
		t.written.Wait()
	}
	return t.err
}

// close waits for what is under way. What was not committed is forgotten.
func (t *tables) close() error {
	t.closing.Do(func() {
		close(t.full)
		<-t.ended
		t.view.borders = t.samples.cut()
		t.view.building.Store(nil)
	})
	return t.wait()
}

func (t *tables) run() {
	defer close(t.ended)
	for p := range t.full {
		t.mu.Lock()
		err := t.err
		t.mu.Unlock()
		if err == nil {
			err = t.write(p)
		}
		if err != nil {
			err = fmt.Errorf("view %s of %s: write up to commit %d: %w", t.view.store.name, t.view.name, p.head.Sequence, err)
		}
		p.empty()
		t.mu.Lock()
		t.pending--
		if t.err == nil {
			t.err = err
		}
		t.written.Broadcast()
		t.mu.Unlock()
		t.empty <- p
	}
}

// write puts a pile into the store, all or nothing with the checkpoint.
func (t *tables) write(p *pile) (err error) {
	if p.size < t.sizes.least {
		return t.writeBatch(p)
	}
	s := t.view.store
	dir := draftsOf(s.fs, s.dir)
	if err := s.fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := t.plan(p, dir)
	taken := false
	defer func() {
		for _, w := range files {
			err = errors.Join(err, w.close(taken))
		}
	}()
	if err := t.writeAll(files, p); err != nil {
		return err
	}
	var paths []string
	for _, w := range files {
		paths = append(paths, w.path)
		t.samples.keys = append(t.samples.keys, w.samples.keys...)
	}
	if err := s.db.Ingest(context.Background(), paths); err != nil {
		return err
	}
	taken = true // they are the store's now
	t.note(p, files)
	return nil
}

// note keeps the greatest key of each tag.
func (t *tables) note(p *pile, files []*tableWriter) {
	for _, w := range files {
		for _, g := range w.groups {
			if key := p.key(g.records[len(g.records)-1].n); bytes.Compare(key, t.last[g.tag]) > 0 {
				t.last[g.tag] = append(t.last[g.tag][:0], key...)
			}
		}
	}
}

// plan says which files a pile is written to: they do not overlap. The checkpoint, which sorts first, is in the first.
// A tag that has much gets files of its own: records in the order of time never lie across those of before. They are
// two where two can be written at once.
func (t *tables) plan(p *pile, dir string) (files []*tableWriter) {
	next := func() *tableWriter {
		t.files++
		path := t.view.store.fs.PathJoin(dir, fmt.Sprintf("%d-%d.sst", t.view.Standing().Generation, t.files))
		files = append(files, &tableWriter{tables: t, path: path})
		return files[len(files)-1]
	}
	file := next()
	file.first = true
	t.done, t.all = 0, len(p.records)*(looksToSort+looksToWrite)
	for _, g := range t.sorter.byTag(p, rests{t.sizes.rest, t.step}) {
		if g.size <= t.sizes.least {
			if file == nil {
				file = next()
			}
			file.groups = append(file.groups, g)
			continue
		}
		parts := t.parts(p, g)
		if len(parts) == 1 && file != nil && len(file.groups) == 0 {
			file.groups = parts // beside the checkpoint
			parts = nil
		}
		file = nil
		for _, part := range parts {
			next().groups = []group{part}
		}
	}
	return files
}

// parts are what of a tag is written to files of their own. Where the tag's keys come in the order of time, or nearly, as
// idempotency keys mostly do, what lies behind all that was written before goes to one that overlaps with none, so
// that the store leaves it as it is for good. What comes a little late, and the last, among which more may come, is
// apart from that: that is what is merged.
func (t *tables) parts(p *pile, g group) (parts []group) {
	before, behind := group{}, g
	if last := t.last[g.tag]; last != nil {
		before, behind = g.partBehind(p, last)
	}
	switch {
	case behind.size > t.sizes.least:
		most, last := behind.partAt(partsBehind-1, partsBehind)
		parts = append(append(parts, before), t.split(most)...)
		parts = append(parts, last)
	default:
		parts = t.split(g)
	}
	return slices.DeleteFunc(parts, func(g group) bool { return len(g.records) == 0 })
}

// partsBehind is how many parts of one size there would be, of which the last one is written apart.
const partsBehind = 16

// split parts a group in two where two can be written at once.
func (t *tables) split(g group) []group {
	if t.atOnce <= 1 || len(g.records) == 0 {
		return []group{g}
	}
	lesser, greater := g.halves()
	return []group{lesser, greater}
}

// looksToWrite is how many looks at a record take as long as to write it.
const looksToWrite = 16

// step counts what was done of a pile, and waits where that is more than should be done by now.
func (t *tables) step(looks int) {
	if t.pace != nil {
		t.pace.wait(t.done+looks, t.all)
		t.done += looks
	}
}

// writeAll writes as many files at a time as it is to, or one.
func (t *tables) writeAll(files []*tableWriter, p *pile) error {
	failed := make([]error, len(files))
	var next atomic.Int64
	var writing sync.WaitGroup
	for range min(len(files), max(1, t.atOnce)) {
		writing.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(files); n = int(next.Add(1)) - 1 {
				failed[n] = files[n].write(p)
			}
		})
	}
	writing.Wait()
	return errors.Join(failed...)
}

// writeBatch writes a pile as a batch.
func (t *tables) writeBatch(p *pile) error {
	b := t.view.store.db.NewBatch()
	key := append([]byte(nil), t.prefix...)
	for n := range p.all() {
		key = append(key[:len(t.prefix)], p.key(n)...)
		var err error
		if p.records[n].dropped {
			err = b.Delete(key, nil)
		} else {
			err = b.Set(key, p.value(n), nil)
		}
		if err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := b.Set(t.prefix, checkpointRecord(p.head), nil); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(b.Commit(pebble.NoSync), b.Close())
}

// tableWriter writes one file.
type tableWriter struct {
	*tables
	path    string
	first   bool    // it has the checkpoint
	groups  []group // by tag
	table   *sstable.Writer
	made    bool
	samples samples
	key     []byte
	touched byte
}

func (w *tableWriter) write(p *pile) error {
	if err := w.begin(); err != nil {
		return err
	}
	if w.first {
		if err := w.table.Set(w.prefix, checkpointRecord(p.head)); err != nil {
			return err
		}
	}
	for i := range w.groups {
		w.groups[i].sort(p)
		if err := w.group(p, w.groups[i].records); err != nil {
			return err
		}
	}
	return w.end()
}

// ahead is how many records are touched before the first of them is written.
const ahead = 16

func (w *tableWriter) group(p *pile, records []ranked) error {
	rest := rests{w.sizes.rest / looksToWrite, func(n int) { w.step(n * looksToWrite) }}
	for i := range records {
		rest.at(i)
		if i%ahead == 0 {
			for _, r := range records[i:min(i+ahead, len(records))] {
				w.touched += p.touch(r.n)
			}
		}
		n := records[i].n
		w.samples.take(p, n, w.sizes.least)
		w.key = append(append(w.key[:0], w.prefix...), p.key(n)...)
		var err error
		if p.records[n].dropped {
			err = w.table.Delete(w.key)
		} else {
			err = w.table.Set(w.key, p.value(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// syncEvery is how many bytes of a table the disk is asked to take at a time, while the next are written.
const syncEvery = 1 << 20

func (w *tableWriter) begin() error {
	s := w.view.store
	file, err := s.fs.Create(w.path, "creditstream")
	if err != nil {
		return err
	}
	w.made = true
	o := options(Config{Block: s.block})
	o.EnsureDefaults()
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: syncEvery})
	w.table = sstable.NewWriter(objstorageprovider.NewFileWritable(file), o.MakeWriterOptions(0, s.db.TableFormat()))
	return nil
}

// end completes the table and syncs it.
func (w *tableWriter) end() error {
	err := w.table.Close()
	w.table = nil
	return err
}

// close removes the file where the store did not take it in.
func (w *tableWriter) close(taken bool) error {
	if w.table != nil {
		_ = w.table.Close() // it is removed
	}
	if taken || !w.made {
		return nil
	}
	return w.view.store.fs.Remove(w.path)
}

// draftsOf is where tables are written before the store takes them in.
func draftsOf(fs vfs.FS, dir string) string { return fs.PathJoin(dir, "drafts") }

// dropDrafts removes tables that were not taken in before the last user of the store ended.
func (s *Store) dropDrafts() error {
	return s.fs.RemoveAll(draftsOf(s.fs, filepath.Clean(s.dir)))
}
