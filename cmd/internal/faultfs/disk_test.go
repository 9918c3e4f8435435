package faultfs

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mounted shows a disk for the length of a test.
func mounted(t *testing.T, d *Disk) string {
	t.Helper()
	if reason := Unsupported(); reason != "" {
		t.Skip("left out, it needs a FUSE file system: " + reason)
	}
	dir := t.TempDir()
	m, err := d.Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// put writes a file, and syncs it if it is to.
func put(t *testing.T, path, text string, sync bool, flags int) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, 0o600)
	must(t, err)
	_, err = file.WriteString(text)
	must(t, err)
	if sync {
		must(t, file.Sync())
	}
	must(t, file.Close())
}

func syncDir(t *testing.T, path string) {
	t.Helper()
	dir, err := os.Open(path)
	must(t, err)
	must(t, dir.Sync(), dir.Close())
}

// found is all files of a disk, as paths and contents.
func found(t *testing.T, d *Disk) map[string]string {
	t.Helper()
	files := make(map[string]string)
	var walk func(f *file, path string)
	walk = func(f *file, path string) {
		for _, e := range f.list() {
			at := strings.TrimPrefix(path+"/"+e.name, "/")
			if e.file.dir {
				files[at+"/"] = ""
				walk(e.file, at)
			} else {
				files[at] = string(e.file.data)
			}
		}
	}
	walk(d.root, "")
	return files
}

func cut(t *testing.T, d *Disk, kept Kept, want map[string]string) {
	t.Helper()
	got := found(t, d.Cut(kept, rand.New(rand.NewPCG(1, 2))))
	for path, text := range want {
		if g, ok := got[path]; !ok || g != text {
			t.Errorf("%s kept: %s has %q (there: %v), want %q", kept, path, g, ok, text)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s kept: %s is there", kept, path)
		}
	}
}

func TestACutLeavesWhatWasSynced(t *testing.T) {
	for model, want := range map[Model]map[string]string{
		Ordered: {"dir/": "", "dir/synced": "one", "dir/osync": "two", "dir/longer": "1234", "dir/old": "old"},
		Strict:  {"dir/": "", "dir/named": "four", "dir/old": "old", "dir/longer": "1234", "dir/empty": ""},
	} {
		d := NewDisk(model)
		dir := mounted(t, d)
		in := filepath.Join(dir, "dir")
		must(t, os.Mkdir(in, 0o700))
		put(t, filepath.Join(in, "longer"), "1234", true, 0)
		put(t, filepath.Join(in, "old"), "old", true, 0)
		if model == Strict {
			put(t, filepath.Join(in, "named"), "four", true, 0)
			put(t, filepath.Join(in, "empty"), "never synced", false, 0)
			syncDir(t, in)
			syncDir(t, dir)
		}
		put(t, filepath.Join(in, "longer"), "5", false, os.O_APPEND)
		put(t, filepath.Join(in, "synced"), "one", true, 0)
		put(t, filepath.Join(in, "osync"), "two", false, os.O_SYNC)
		put(t, filepath.Join(in, "unsynced"), "three", false, 0)
		must(t, os.Rename(filepath.Join(in, "old"), filepath.Join(in, "new")), os.Remove(filepath.Join(in, "synced")))
		read, err := os.ReadFile(filepath.Join(in, "longer"))
		must(t, err)
		if string(read) != "12345" {
			t.Errorf("before the cut everybody sees %q", read)
		}
		cut(t, d, Nothing, want)
		if os.WriteFile(filepath.Join(in, "late"), nil, 0o600) == nil {
			t.Error("a disk without power takes writes")
		}
	}
}

func TestEverythingKeptIsWhatWasSeen(t *testing.T) {
	d := NewDisk(Ordered)
	dir := mounted(t, d)
	put(t, filepath.Join(dir, "a"), "12345", false, 0)
	must(t, os.Truncate(filepath.Join(dir, "a"), 2), os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	put(t, filepath.Join(dir, "c"), "12345", false, 0)
	must(t, os.Remove(filepath.Join(dir, "c")))
	cut(t, d, Everything, map[string]string{"b": "12"})
}

// A rename that was synced with its directory replaces the old content by the new one, and a cut never shows
// neither.
func TestAReplacedFileIsOldOrNew(t *testing.T) {
	d := NewDisk(Ordered)
	dir := mounted(t, d)
	path := filepath.Join(dir, "file")
	put(t, path, "old", true, 0)
	put(t, path+".next", "new", true, 0)
	must(t, os.Rename(path+".next", path))
	seen := make(map[string]bool)
	for seed := range uint64(50) {
		got := found(t, d.Cut(Some, rand.New(rand.NewPCG(seed, 1))))
		seen[got["file"]] = true
	}
	if !seen["old"] || !seen["new"] || len(seen) != 2 {
		t.Errorf("after a rename that was not synced the cuts show %v", seen)
	}
}

// What a failed sync lost stays lost, though everyone still reads it and a later sync succeeds.
func TestAFailedSyncLosesWhatItShouldHaveWritten(t *testing.T) {
	d := NewDisk(Ordered)
	dir := mounted(t, d)
	path := filepath.Join(dir, "file")
	put(t, path, "one", true, 0)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	must(t, err)
	_, err = file.WriteString("two")
	must(t, err)
	d.SetFault(func(op Op, path string) syscall.Errno {
		if op == OpSync && path == "file" {
			return syscall.EIO
		}
		return 0
	})
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the sync was to fail: %v", err)
	}
	d.SetFault(nil)
	must(t, file.Sync())
	_, err = file.WriteString("three")
	must(t, err, file.Sync(), file.Close())
	read, err := os.ReadFile(path)
	must(t, err)
	if string(read) != "onetwothree" {
		t.Errorf("it reads as %q", read)
	}
	cut(t, d, Nothing, map[string]string{"file": "one\x00\x00\x00three"})
}

func TestAFullDisk(t *testing.T) {
	d := NewDisk(Ordered)
	dir := mounted(t, d)
	d.SetFree(perFile + 1000)
	path := filepath.Join(dir, "file")
	put(t, path, strings.Repeat("x", 1000), true, 0)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	if _, err := file.WriteString("y"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk took a byte: %v", err)
	}
	var stat syscall.Statfs_t
	must(t, syscall.Statfs(dir, &stat))
	if stat.Bavail != 0 {
		t.Errorf("a full disk says that %d blocks are free", stat.Bavail)
	}
	must(t, os.Truncate(path, 10))
	if _, err := file.WriteString("y"); err != nil {
		t.Errorf("there is space again, but: %v", err)
	}
	must(t, file.Close())
}

// With some kept, cuts reorder and tear writes, and never touch what was synced.
func TestSomeKeptReordersAndTears(t *testing.T) {
	d := NewDisk(Ordered)
	dir := mounted(t, d)
	path := filepath.Join(dir, "file")
	synced, first, second := strings.Repeat("s", 4096), strings.Repeat("1", 4096), strings.Repeat("2", 4096)
	put(t, path, synced, true, 0)
	put(t, path, first, false, os.O_APPEND)
	put(t, path, second, false, os.O_APPEND)
	var reordered, torn, short int
	for seed := range uint64(300) {
		got := found(t, d.Cut(Some, rand.New(rand.NewPCG(seed, 3))))["file"]
		if !strings.HasPrefix(got, synced) {
			t.Fatal("what was synced is gone")
		}
		rest := []byte(got[len(synced):])
		ones, twos := bytes.Count(rest, []byte("1")), bytes.Count(rest, []byte("2"))
		switch {
		case ones == 0 && twos == len(second):
			reordered++
		case ones%len(first) != 0 || twos%len(second) != 0:
			torn++
		case len(rest) == 0:
			short++
		}
	}
	if reordered == 0 || torn == 0 || short == 0 {
		t.Errorf("of 300 cuts %d kept the second write without the first, %d tore one, %d kept none", reordered, torn, short)
	}
}
