package faultfs

import (
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Model is what a sync promises about names; see the package comment.
type Model int

// The models.
const (
	Ordered Model = iota
	Strict
)

// Op is a kind of operation that can be made to fail.
type Op int

// The operations, as a fault is asked about them.
const (
	OpWrite  Op = iota // of content, also its allocation and truncation
	OpSync             // of a file or directory
	OpName             // that makes, removes or renames something
	opFrozen           // everything else
)

// Fault says how an operation on a path (from the root, without a leading slash) fails; 0 lets it succeed. It
// is called with the disk locked and must not use it.
type Fault func(op Op, path string) syscall.Errno

// unlimited is the size that a disk without a capacity reports, in bytes.
const unlimited = 1 << 40

// perFile is what a file or directory takes of the disk beside its content, in bytes.
const perFile = 4096

// Disk is one disk. Its methods may be called concurrently.
type Disk struct {
	model Model

	mu       sync.Mutex
	root     *file
	last     uint64 // number given to a file
	log      []change
	used     int64
	capacity int64 // 0 is unlimited
	fault    Fault
	frozen   bool
	counts   Counts
}

// Counts is what happened to a disk since it was made.
type Counts struct {
	Writes  uint64 `json:"writes"`
	Syncs   uint64 `json:"syncs"`
	Refused uint64 `json:"refused"` // operations that failed for want of space, or by a fault
}

// file is a file or a directory.
type file struct {
	number uint64
	dir    bool
	mode   uint32
	mtime  time.Time
	parent *file // of its latest name
	name   string
	links  int

	// As programs see it.
	names map[string]*file
	data  []byte

	// As a power cut leaves it at least.
	durableNames map[string]*file
	durable      []byte
	pending      []write // what separates data from durable, in order
}

// write is one change of a file's content that was not synced.
type write struct {
	at       int64
	bytes    []byte
	truncate bool // to the length at
	lost     bool // a sync of it failed
}

// change is one operation on names, all or nothing, that was not synced.
type change struct {
	set     []entry
	subject *file
}

// entry is what a name of a directory means: a file, or nothing.
type entry struct {
	dir  *file
	name string
	file *file
}

// NewDisk makes an empty disk of unlimited size.
func NewDisk(model Model) *Disk {
	d := &Disk{model: model}
	d.root = d.newFile(true, 0o755)
	d.root.links = 1
	return d
}

func (d *Disk) newFile(dir bool, mode uint32) *file {
	d.last++
	f := &file{number: d.last, dir: dir, mode: mode & 0o7777, mtime: time.Now()}
	if dir {
		f.names, f.durableNames = make(map[string]*file), make(map[string]*file)
	}
	return f
}

// SetFault makes operations fail from now on; nil ends that.
func (d *Disk) SetFault(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// SetFree leaves that many bytes free from now on; less than 0 makes the disk unlimited.
func (d *Disk) SetFree(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity = d.used + bytes; bytes < 0 {
		d.capacity = 0
	}
}

// Counts says what happened so far.
func (d *Disk) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// Freeze answers every operation with EIO from now on: the instant of the power cut.
func (d *Disk) Freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
}

// enter is called with the disk locked, before an operation.
func (d *Disk) enter(op Op, f *file) syscall.Errno {
	if d.frozen {
		return syscall.EIO
	}
	if op == opFrozen || d.fault == nil {
		return 0
	}
	errno := d.fault(op, f.path())
	if errno != 0 {
		d.counts.Refused++
	}
	return errno
}

func (f *file) path() string {
	if f.parent == nil || f.parent.parent == nil {
		return f.name
	}
	return f.parent.path() + "/" + f.name
}

// take takes bytes off what is free, or gives them back when there are less than 0.
func (d *Disk) take(bytes int64) syscall.Errno {
	if bytes > 0 && d.capacity > 0 && d.used+bytes > d.capacity {
		d.counts.Refused++
		return syscall.ENOSPC
	}
	d.used += bytes
	return 0
}

// make makes a file or directory in dir.
func (d *Disk) make(dir *file, name string, isDir bool, mode uint32) (*file, syscall.Errno) {
	if dir.names[name] != nil {
		return nil, syscall.EEXIST
	}
	if errno := d.enter(OpName, dir); errno != 0 {
		return nil, errno
	}
	if errno := d.take(perFile); errno != 0 {
		return nil, errno
	}
	f := d.newFile(isDir, mode)
	f.links = 1
	d.apply(change{[]entry{{dir, name, f}}, f})
	return f, 0
}

// apply changes names as programs see them, and notes that this is not durable.
func (d *Disk) apply(c change) {
	for _, e := range c.set {
		e.dir.mtime = time.Now()
		if e.file == nil {
			delete(e.dir.names, e.name)
			continue
		}
		e.dir.names[e.name] = e.file
		e.file.parent, e.file.name = e.dir, e.name
	}
	d.log = append(d.log, c)
}

// remove removes a name.
func (d *Disk) remove(dir *file, name string, isDir bool) syscall.Errno {
	f := dir.names[name]
	switch {
	case f == nil:
		return syscall.ENOENT
	case isDir && !f.dir:
		return syscall.ENOTDIR
	case !isDir && f.dir:
		return syscall.EISDIR
	case isDir && len(f.names) > 0:
		return syscall.ENOTEMPTY
	}
	if errno := d.enter(OpName, f); errno != 0 {
		return errno
	}
	d.apply(change{[]entry{{dir, name, nil}}, f})
	d.unlink(f)
	return 0
}

// unlink notes that a file has one name less. Without names it takes no space: who has it open still reads it.
func (d *Disk) unlink(f *file) {
	if f.links--; f.links == 0 {
		d.used -= perFile + int64(len(f.data))
	}
}

// rename moves a name over another one, if there is one.
func (d *Disk) rename(from *file, old string, to *file, name string) syscall.Errno {
	f, over := from.names[old], to.names[name]
	switch {
	case f == nil:
		return syscall.ENOENT
	case f == over:
		return 0
	case over != nil && over.dir && len(over.names) > 0:
		return syscall.ENOTEMPTY
	}
	if errno := d.enter(OpName, f); errno != 0 {
		return errno
	}
	d.apply(change{[]entry{{from, old, nil}, {to, name, f}}, f})
	if over != nil {
		d.unlink(over)
	}
	return 0
}

// link gives a file one more name.
func (d *Disk) link(f, dir *file, name string) syscall.Errno {
	if dir.names[name] != nil {
		return syscall.EEXIST
	}
	if errno := d.enter(OpName, f); errno != 0 {
		return errno
	}
	d.apply(change{[]entry{{dir, name, f}}, f})
	f.links++
	return 0
}

// write changes content; durable says that the file was opened for synced writes.
func (d *Disk) write(f *file, bytes []byte, at int64, durable bool) syscall.Errno {
	if errno := d.enter(OpWrite, f); errno != 0 {
		return errno
	}
	if errno := d.grow(f, at+int64(len(bytes))); errno != 0 {
		return errno
	}
	w := write{at: at, bytes: slices.Clone(bytes)}
	f.data = w.onto(f.data)
	f.pending = append(f.pending, w)
	f.mtime = time.Now()
	d.counts.Writes++
	if durable {
		return d.sync(f)
	}
	return 0
}

// grow takes the space for a file to have at least that length.
func (d *Disk) grow(f *file, length int64) syscall.Errno {
	if more := length - int64(len(f.data)); more > 0 && f.links > 0 {
		return d.take(more)
	}
	return 0
}

// truncate sets a file's length.
func (d *Disk) truncate(f *file, length int64) syscall.Errno {
	if errno := d.enter(OpWrite, f); errno != 0 {
		return errno
	}
	before := int64(len(f.data))
	if length == before {
		return 0
	}
	if errno := d.grow(f, length); errno != 0 {
		return errno
	}
	if length < before && f.links > 0 {
		d.used -= before - length
	}
	w := write{at: length, truncate: true}
	f.data = w.onto(f.data)
	f.pending = append(f.pending, w)
	f.mtime = time.Now()
	return 0
}

// onto returns the content after the write.
func (w write) onto(data []byte) []byte {
	length := w.at
	if !w.truncate {
		length = max(w.at+int64(len(w.bytes)), int64(len(data)))
	}
	if more := int(length) - len(data); more > 0 {
		old := len(data)
		data = slices.Grow(data, more)[:length]
		clear(data[old:])
	}
	data = data[:length]
	if !w.truncate {
		copy(data[w.at:], w.bytes)
	}
	return data
}

// list is the names of a directory, in order, and what they mean.
func (f *file) list() []entry {
	var entries []entry
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		entries = append(entries, entry{f, name, f.names[name]})
	}
	return entries
}
