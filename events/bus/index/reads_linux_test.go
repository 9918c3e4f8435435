package index

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// readByThisProcess is how many bytes it read from files until now, those in the page cache included.
func readByThisProcess(t *testing.T) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(string(read(t, "/proc/self/io")), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOnlyTheTailIsRead counts bytes: a start on a carried index reads what came behind the old one, and the block that
// the server begins with; without it, everything.
func TestOnlyTheTailIsRead(t *testing.T) {
	const messages, size, behind = 2000, 4000, 25
	h := &history{dir: t.TempDir(), journals: []*journal{{name: "J", subjects: []string{"j"}}}}
	j := h.journals[0]
	publish := func(s *running, count int) {
		for range count {
			if _, err := s.js.Publish(t.Context(), "j", bytes.Repeat([]byte{1}, size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := serve(t, h.dir)
	s.limit(t, j.name, j.subjects, small)
	s.limit(t, j.name, j.subjects, -1)
	publish(s, messages)
	s.limit(t, j.name, j.subjects, small)
	s.stop()
	path := filepath.Join(blocksOf(h.dir, j.name), indexFile)
	old := read(t, path)
	s = serve(t, h.dir)
	s.limit(t, j.name, j.subjects, -1)
	publish(s, behind)
	s.stop()
	write(t, path, old)
	time.Sleep(duplicates) // a server that starts reads again what it may still be sent twice

	without := copyDir(t, h.dir)
	start := func(dir string) int {
		before := readByThisProcess(t)
		s := serve(t, dir)
		defer s.stop()
		return readByThisProcess(t) - before
	}
	before := readByThisProcess(t)
	streams, err := Carry(t.Context(), h.dir, 0)
	if err != nil || len(streams) != 1 || !streams[0].Carried || streams[0].Records != behind {
		t.Fatalf("%+v, %v", streams, err)
	}
	carrying := readByThisProcess(t) - before
	carried, all := start(h.dir), start(without)
	t.Logf("carrying read %d bytes, the start on it %d, one that reads everything %d", carrying, carried, all)
	if tail := behind * (size + 100); carrying < behind*size || carrying > tail+20_000 {
		t.Errorf("carrying read %d bytes, of which %d are behind the index", carrying, tail)
	}
	if carried > 8*32_000 { // a few of the blocks, each of 32 kB
		t.Errorf("the start on a carried index read %d bytes", carried)
	}
	if all < messages*size {
		t.Errorf("the start without one read %d bytes only: the test shows nothing", all)
	}
}
