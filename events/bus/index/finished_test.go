package index

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// Only the blocks of a stream that only grows are ever finished, and of those all but the newest that has something in it.
func TestFinishedBlocks(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir)
	grows, shrinks := &journal{name: "G", subjects: []string{"g"}}, &journal{name: "S", subjects: []string{"s"}}
	s.limit(t, grows.name, grows.subjects, small)
	s.limit(t, grows.name, grows.subjects, -1)
	c := config(shrinks.name, shrinks.subjects, small)
	c.DenyDelete = false
	if _, err := s.js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		for _, subject := range []string{"g", "s"} {
			if _, err := s.js.Publish(t.Context(), subject, bytes.Repeat([]byte{1}, 7000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.stop()
	h := &history{dir: dir}
	for _, j := range []*journal{grows, shrinks} {
		files := h.blocks(t, j)
		if len(files) < 3 {
			t.Fatalf("stream %s has %d blocks", j.name, len(files))
		}
		for i, f := range files {
			want := j == grows && i < len(files)-1
			if path := f.path(blocksOf(dir, j.name)); Finished(path) != want {
				t.Errorf("that %s is finished: %v", path, !want)
			}
		}
	}
	end := h.blocks(t, grows)[len(h.blocks(t, grows))-1]
	write(t, blockFile{number: end.number + 1}.path(blocksOf(dir, "G")), nil)
	if Finished(end.path(blocksOf(dir, "G"))) {
		t.Error("a block is finished before something is written behind it")
	}
	for _, other := range []string{indexFile, "x.blk", "0.blk", "01.blk", "1.blk.tmp"} {
		if Finished(filepath.Join(blocksOf(dir, "G"), other)) {
			t.Errorf("%s is a finished block", other)
		}
	}
	if _, err := streamSubjects(filepath.Dir(blocksOf(dir, "S"))); !errors.Is(err, errOther) {
		t.Error(err)
	}
}
