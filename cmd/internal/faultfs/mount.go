package faultfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Unsupported says why disks cannot be mounted here, or "".
func Unsupported() string {
	if runtime.GOOS != "linux" {
		return "FUSE file systems are mounted on Linux only"
	}
	if os.Geteuid() != 0 {
		return "only root may mount a FUSE file system without fusermount"
	}
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Sprintf("there is no usable /dev/fuse: %v", err)
	}
	return errText(device.Close())
}

func errText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// Mount is a mounted disk.
type Mount struct{ server *fuse.Server }

// Mount shows the disk at a directory that is there and empty.
func (d *Disk) Mount(dir string) (*Mount, error) {
	// The kernel may keep what it knows: nobody but it changes the disk.
	long := time.Hour
	server, err := fs.Mount(dir, &node{disk: d, file: d.root}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMount: true, DirectMountStrict: true, FsName: "faultfs", Name: "faultfs", DisableXAttrs: true},
		EntryTimeout: &long, AttrTimeout: &long,
	})
	if err != nil {
		return nil, fmt.Errorf("mount a faulty disk at %s: %w", dir, err)
	}
	return &Mount{server}, nil
}

// Unmount takes the disk away. Nobody may have files of it open.
func (m *Mount) Unmount() error {
	var err error
	for range 50 { // the kernel lets go of a killed process's files a moment after it
		if err = m.server.Unmount(); err == nil {
			m.server.Wait()
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(errors.New("the faulty disk is still in use"), err)
}

// node is a file or directory as the kernel knows it.
type node struct {
	fs.Inode
	disk *Disk
	file *file
}

// handle is an open file.
type handle struct{ durable bool }

var _ interface {
	fs.NodeStatfser
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeLookuper
	fs.NodeReaddirer
	fs.NodeMkdirer
	fs.NodeCreater
	fs.NodeLinker
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeRenamer
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeAllocater
	fs.NodeFsyncer
	fs.NodeFlusher
} = (*node)(nil)

func (n *node) child(ctx context.Context, f *file, out *fuse.EntryOut) *fs.Inode {
	f.attributes(&out.Attr)
	return n.NewInode(ctx, &node{disk: n.disk, file: f}, fs.StableAttr{Mode: f.kind(), Ino: f.number})
}

func (f *file) kind() uint32 {
	if f.dir {
		return syscall.S_IFDIR
	}
	return syscall.S_IFREG
}

func (f *file) attributes(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink = f.number, f.kind()|f.mode, uint32(f.links)
	out.Size, out.Blocks, out.Blksize = uint64(len(f.data)), uint64(len(f.data)+sector-1)/sector, perFile
	out.SetTimes(&f.mtime, &f.mtime, &f.mtime)
}

// Statfs implements fs.NodeStatfser.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	capacity := int64(unlimited)
	if d.capacity > 0 {
		capacity = d.capacity
	}
	out.Bsize, out.Frsize, out.NameLen = perFile, perFile, 255
	out.Blocks, out.Bfree = uint64(capacity/perFile), uint64(max(0, capacity-d.used)/perFile)
	out.Bavail = out.Bfree
	out.Files, out.Ffree = 1<<20, 1<<20
	return d.enter(opFrozen, n.file)
}

// Getattr implements fs.NodeGetattrer.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.file.attributes(&out.Attr)
	return n.disk.enter(opFrozen, n.file)
}

// Setattr implements fs.NodeSetattrer: a length is content; modes and times are kept as they come.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.enter(opFrozen, n.file); errno != 0 {
		return errno
	}
	if length, ok := in.GetSize(); ok {
		if errno := n.disk.truncate(n.file, int64(length)); errno != 0 {
			return errno
		}
	}
	if mode, ok := in.GetMode(); ok {
		n.file.mode = mode & 0o7777
	}
	if mtime, ok := in.GetMTime(); ok {
		n.file.mtime = mtime
	}
	n.file.attributes(&out.Attr)
	return 0
}

// Lookup implements fs.NodeLookuper.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.enter(opFrozen, n.file); errno != 0 {
		return nil, errno
	}
	f := n.file.names[name]
	if f == nil {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, f, out), 0
}

// Readdir implements fs.NodeReaddirer.
func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.enter(opFrozen, n.file); errno != 0 {
		return nil, errno
	}
	var entries []fuse.DirEntry
	for _, e := range n.file.list() {
		entries = append(entries, fuse.DirEntry{Name: e.name, Mode: e.file.kind(), Ino: e.file.number})
	}
	return fs.NewListDirStream(entries), 0
}

// Mkdir implements fs.NodeMkdirer.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f, errno := n.disk.make(n.file, name, true, mode)
	if errno != 0 {
		return nil, errno
	}
	return n.child(ctx, f, out), 0
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f, errno := n.disk.make(n.file, name, false, mode)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return n.child(ctx, f, out), opened(flags), fuse.FOPEN_KEEP_CACHE, 0
}

func opened(flags uint32) *handle {
	return &handle{durable: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

// Link implements fs.NodeLinker.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f := target.(*node).file
	if errno := n.disk.link(f, n.file, name); errno != 0 {
		return nil, errno
	}
	return n.child(ctx, f, out), 0
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return n.disk.remove(n.file, name, false)
}

// Rmdir implements fs.NodeRmdirer.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return n.disk.remove(n.file, name, true)
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return n.disk.rename(n.file, name, parent.(*node).file, newName)
}

// Open implements fs.NodeOpener.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.enter(opFrozen, n.file); errno != 0 {
		return nil, 0, errno
	}
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.disk.truncate(n.file, 0); errno != 0 {
			return nil, 0, errno
		}
	}
	return opened(flags), fuse.FOPEN_KEEP_CACHE, 0
}

// Read implements fs.NodeReader.
func (n *node) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno := n.disk.enter(opFrozen, n.file); errno != 0 {
		return nil, errno
	}
	data := n.file.data[min(at, int64(len(n.file.data))):]
	return fuse.ReadResultData(into[:copy(into, data)]), 0
}

// Write implements fs.NodeWriter.
func (n *node) Write(_ context.Context, f fs.FileHandle, bytes []byte, at int64) (uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	h, _ := f.(*handle)
	if errno := n.disk.write(n.file, bytes, at, h != nil && h.durable); errno != 0 {
		return 0, errno
	}
	return uint32(len(bytes)), 0
}

// Allocate implements fs.NodeAllocater: plain allocation, which lengthens the file.
func (n *node) Allocate(_ context.Context, _ fs.FileHandle, at, size uint64, mode uint32) syscall.Errno {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	switch {
	case mode&^keepSize != 0:
		return syscall.ENOTSUP
	case mode == keepSize || int64(at+size) <= int64(len(n.file.data)):
		return n.disk.enter(OpWrite, n.file)
	}
	return n.disk.truncate(n.file, int64(at+size))
}

// Fsync implements fs.NodeFsyncer, for files and directories.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return n.disk.sync(n.file)
}

// Flush implements fs.NodeFlusher: a close promises nothing.
func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }
