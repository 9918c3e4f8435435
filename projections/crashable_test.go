package projections_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// crashable is a file system in memory of which there are clones as a crash would leave them, while it is used.
// Pebble's own takes the lock against that twice to link a file, which tables are taken in by: a clone in between
// waits for the link, and the link for the clone.
type crashable struct {
	*vfs.MemFS
	linking sync.Mutex
}

func newCrashable() *crashable { return &crashable{MemFS: vfs.NewCrashableMem()} }

// Link keeps clones away.
func (c *crashable) Link(oldname, newname string) error {
	c.linking.Lock()
	defer c.linking.Unlock()
	return c.MemFS.Link(oldname, newname)
}

// CrashClone is what a crash now would leave.
func (c *crashable) CrashClone(cfg vfs.CrashCloneCfg) *vfs.MemFS {
	c.linking.Lock()
	defer c.linking.Unlock()
	return c.MemFS.CrashClone(cfg)
}

// Clones made while files are linked end: without crashable this hangs after about a thousand of them.
func TestFilesAreLinkedWhileClonesAreMade(t *testing.T) {
	fs := newCrashable()
	f, err := fs.Create("table", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var linking sync.WaitGroup
	linking.Go(func() {
		for i := range 20_000 {
			if err := fs.Link("table", "link-"+strconv.Itoa(i)); err != nil {
				t.Error(err)
				return
			}
			if err := fs.Remove("link-" + strconv.Itoa(i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20_000 {
		fs.CrashClone(vfs.CrashCloneCfg{})
	}
	linking.Wait()
}
