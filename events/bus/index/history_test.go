package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// histories is how many are tried; more of them with go test ./events/bus/index -run Histories -histories 500.
var (
	histories = flag.Int("histories", 6, "random histories that are carried")
	firstSeed = flag.Uint64("seed", 1, "of the first random history")
)

// journal is a stream of a history.
type journal struct {
	name     string
	subjects []string
	sent     int
}

// history is a store directory as a crash leaves it: its indexes were written some time before its last records.
type history struct {
	dir      string
	journals []*journal
	rng      *rand.Rand
}

// newHistory makes one: what was indexed, and what came behind that.
func newHistory(t testing.TB, seed uint64) *history {
	h := &history{dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0))}
	for i := range 1 + h.rng.IntN(3) {
		j := &journal{name: fmt.Sprint("J", i)}
		for k := range 1 + h.rng.IntN(3) {
			j.subjects = append(j.subjects, fmt.Sprintf("j.%d.%d", i, k))
		}
		h.journals = append(h.journals, j)
	}
	behind := h.rng.IntN(3)
	h.phase(t, h.rng.IntN(4) == 0, behind == 0)
	indexes := make(map[string][]byte)
	for _, j := range h.journals {
		indexes[j.name] = read(t, filepath.Join(blocksOf(h.dir, j.name), indexFile))
	}
	for i := range behind {
		h.phase(t, false, i == behind-1)
	}
	for _, j := range h.journals {
		write(t, filepath.Join(blocksOf(h.dir, j.name), indexFile), indexes[j.name])
	}
	return h
}

// phase publishes something, or nothing, to each stream, and ends in order.
func (h *history) phase(t testing.TB, nothing, last bool) {
	t.Helper()
	s := serve(t, h.dir)
	for _, j := range h.journals {
		if j.sent == 0 {
			s.limit(t, j.name, j.subjects, small)
		}
		s.limit(t, j.name, j.subjects, -1)
	}
	for _, j := range h.journals {
		count := []int{0, 1, 3, 30, 150}[h.rng.IntN(5)]
		for range count {
			if !nothing {
				h.publish(t, s, j)
			}
		}
		if !nothing && h.rng.IntN(3) == 0 { // ends right behind the first record of a block
			for blocks := len(h.blocks(t, j)); j.sent > 0 && len(h.blocks(t, j)) == blocks; {
				h.publish(t, s, j)
			}
		}
	}
	for _, j := range h.journals {
		if !last {
			s.limit(t, j.name, j.subjects, small)
		}
	}
	s.stop()
}

func (h *history) publish(t testing.TB, s *running, j *journal) {
	t.Helper()
	size := []int{0, 1, 50, 500, 4000}[h.rng.IntN(5)]
	if h.rng.IntN(100) == 0 {
		size = 40_000 // a block of its own
	}
	msg := &nats.Msg{Subject: j.subjects[h.rng.IntN(len(j.subjects))], Data: make([]byte, size), Header: nats.Header{}}
	for i := range msg.Data {
		msg.Data[i] = byte(h.rng.Uint32())
	}
	for i := range h.rng.IntN(3) {
		msg.Header.Set(fmt.Sprint("Key-", i), fmt.Sprint(h.rng.Uint64()))
	}
	if _, err := s.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	j.sent++
}

func (h *history) blocks(t testing.TB, j *journal) []blockFile {
	t.Helper()
	files, err := blockFiles(blocksOf(h.dir, j.name))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// damage is something that happened to the files of one stream. It reports whether it could.
type damage struct {
	name string
	do   func(t testing.TB, h *history, j *journal) bool
	// harmless says that the index can be carried all the same; left that it cannot; else it depends.
	harmless, left bool
}

func damages() []damage {
	index := func(change func(text []byte) []byte) func(testing.TB, *history, *journal) bool {
		return func(t testing.TB, h *history, j *journal) bool {
			path := filepath.Join(blocksOf(h.dir, j.name), indexFile)
			write(t, path, change(read(t, path)))
			return true
		}
	}
	// last changes the last block that has something in it; known is how much of it the index knows.
	last := func(change func(h *history, known int, text []byte) []byte) func(testing.TB, *history, *journal) bool {
		return func(t testing.TB, h *history, j *journal) bool {
			files := h.blocks(t, j)
			end := files[len(files)-1]
			dir := blocksOf(h.dir, j.name)
			s, err := parse(j.name, j.subjects, read(t, filepath.Join(dir, indexFile)))
			if err != nil {
				t.Fatal(err)
			}
			known := 0
			if len(s.blocks) > 0 && s.end().number == end.number {
				known = int(s.end().bytes)
			}
			if int(end.size) == known {
				return false // nothing was written behind the index
			}
			text := read(t, end.path(dir))
			changed := change(h, known, slices.Clone(text))
			write(t, end.path(dir), changed)
			return !bytes.Equal(text, changed)
		}
	}
	older := func(change func(text []byte) []byte) func(testing.TB, *history, *journal) bool {
		return func(t testing.TB, h *history, j *journal) bool {
			files := h.blocks(t, j)
			if len(files) < 2 {
				return false
			}
			path := files[h.rng.IntN(len(files)-1)].path(blocksOf(h.dir, j.name))
			write(t, path, change(read(t, path)))
			return true
		}
	}
	newer := func(text []byte, skip uint32) func(testing.TB, *history, *journal) bool {
		return func(t testing.TB, h *history, j *journal) bool {
			files := h.blocks(t, j)
			if j.sent == 0 {
				return false
			}
			write(t, blockFile{number: files[len(files)-1].number + 1 + skip}.path(blocksOf(h.dir, j.name)), text)
			return true
		}
	}
	return []damage{
		{name: "nothing", harmless: true, do: func(testing.TB, *history, *journal) bool { return true }},
		{name: "no index", harmless: true, do: func(t testing.TB, h *history, j *journal) bool {
			return os.Remove(filepath.Join(blocksOf(h.dir, j.name), indexFile)) == nil
		}},
		{name: "a new index that was not finished", harmless: true, do: func(t testing.TB, h *history, j *journal) bool {
			write(t, filepath.Join(blocksOf(h.dir, j.name), newFile), []byte("half"))
			return true
		}},
		{name: "the index is torn", left: true, do: index(func(text []byte) []byte { return text[:len(text)/2] })},
		{name: "the index is empty", left: true, do: index(func([]byte) []byte { return nil })},
		{name: "a bit of the index", left: true, do: func(t testing.TB, h *history, j *journal) bool {
			return index(func(text []byte) []byte { return flip(h.rng, text, 0) })(t, h, j)
		}},
		{name: "the index of another version", left: true, do: func(t testing.TB, h *history, j *journal) bool {
			return index(func(text []byte) []byte {
				text[1] = 3 + 2*byte(h.rng.IntN(2))
				return append(text[:len(text)-hashSize], sumOf(j.name, text[:len(text)-hashSize])...)
			})(t, h, j)
		}},
		{name: "the last record is torn", left: true, do: last(func(h *history, known int, text []byte) []byte {
			return text[:len(text)-1-h.rng.IntN(min(30, len(text)-known)-1)]
		})},
		{name: "rubbish behind the last record", left: true, do: last(func(h *history, _ int, text []byte) []byte {
			return append(text, make([]byte, 1+h.rng.IntN(100))...)
		})},
		{name: "a bit of what is behind the index", do: last(func(h *history, known int, text []byte) []byte {
			return flip(h.rng, text, known)
		})},
		{name: "a record is lost", do: last(func(_ *history, known int, text []byte) []byte {
			size := int(binary.LittleEndian.Uint32(text[known:]) &^ withHeader)
			return append(text[:known], text[known+size:]...)
		})},
		{name: "a record stands there twice", left: true, do: last(func(_ *history, known int, text []byte) []byte {
			size := int(binary.LittleEndian.Uint32(text[known:]) &^ withHeader)
			return append(text, text[known:known+size]...)
		})},
		{name: "the last block is cut before the index", do: last(func(_ *history, known int, text []byte) []byte {
			return text[:known/2]
		})},
		{name: "the last record that the index knows is changed", left: true, do: last(func(h *history, known int, text []byte) []byte {
			if known > 0 {
				flip(h.rng, text[:known], known-hashSize)
			}
			return text
		})},
		{name: "rubbish behind an older block", left: true, do: older(func(text []byte) []byte { return append(text, 1) })},
		{name: "an older block is cut", left: true, do: older(func(text []byte) []byte { return text[:len(text)-1] })},
		{name: "the last block has another number", left: true, do: func(t testing.TB, h *history, j *journal) bool {
			files := h.blocks(t, j)
			end := files[len(files)-1]
			if end.size == 0 {
				return false
			}
			dir := blocksOf(h.dir, j.name)
			return os.Rename(end.path(dir), blockFile{number: end.number + 1}.path(dir)) == nil
		}},
		{name: "a newer block is empty", left: true, do: newer(nil, 0)},
		{name: "a newer block is rubbish", left: true, do: newer(make([]byte, 100), 0)},
		{name: "a newer block, and none before it", left: true, do: newer(make([]byte, 100), 1)},
		{name: "an older block is lost", do: func(t testing.TB, h *history, j *journal) bool {
			files := h.blocks(t, j)
			if len(files) < 2 {
				return false
			}
			return os.Remove(files[h.rng.IntN(len(files)-1)].path(blocksOf(h.dir, j.name))) == nil
		}},
		{name: "a file that nobody knows", left: true, do: func(t testing.TB, h *history, j *journal) bool {
			write(t, filepath.Join(blocksOf(h.dir, j.name), "1.blk.tmp"), nil)
			return true
		}},
	}
}

func flip(rng *rand.Rand, text []byte, from int) []byte {
	text[from+rng.IntN(len(text)-from)] ^= 1 << rng.IntN(8)
	return text
}

// TestHistories holds a server that starts on carried indexes to one that reads everything.
func TestHistories(t *testing.T) {
	carried, left := 0, 0
	for seed := range uint64(*histories) {
		seed += *firstSeed
		base := newHistory(t, seed)
		for _, d := range damages() {
			h := &history{copyDir(t, base.dir), base.journals, base.rng}
			j := h.journals[h.rng.IntN(len(h.journals))]
			if !d.do(t, h, j) {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", seed, d.name), func(t *testing.T) {
				for _, s := range h.compare(t) {
					if s.Carried {
						carried++
					}
					if s.Left != "" {
						left++
						t.Log(s.Left)
					}
					if d.harmless && s.Left != "" {
						t.Errorf("stream %s was left: %s", s.Name, s.Left)
					}
					if d.left && s.Name == j.name && s.Left == "" {
						t.Errorf("stream %s was not left", s.Name)
					}
					if s.Name != j.name && s.Left != "" {
						t.Errorf("stream %s is sound, and was left: %s", s.Name, s.Left)
					}
				}
			})
		}
	}
	t.Logf("%d streams carried, %d left", carried, left)
	if carried == 0 || left == 0 {
		t.Error("nothing was tried")
	}
}

// compare carries the indexes of a copy, and holds what a server makes of it to what another makes of the history.
func (h *history) compare(t *testing.T) []Stream {
	t.Helper()
	before := contents(t, h.dir)
	dir := copyDir(t, h.dir)
	streams, err := Carry(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != len(h.journals) {
		t.Fatalf("of %d streams %d were looked at", len(h.journals), len(streams))
	}
	for _, s := range streams { // nothing but the index may have changed, and that only where it was carried
		path := filepath.Join(blocksOf("", s.Name), indexFile)
		if after := contents(t, blocksOf(dir, s.Name)); s.Carried {
			before[path] = after[indexFile]
			delete(before, filepath.Join(blocksOf("", s.Name), newFile))
		}
	}
	if after := contents(t, dir); !maps.Equal(after, before) {
		t.Error("more was changed than the indexes that were carried")
	}
	trusting, reading := serve(t, dir), serve(t, h.dir)
	answers := make(map[string]told)
	for i, j := range h.journals {
		of, all := trusting.ask(t, j.name), reading.ask(t, j.name)
		answers[j.name] = all
		if !of.equal(all) {
			t.Errorf("stream %s (%+v): on the carried index it is\n%+v\nand in truth\n%+v", j.name, streams[i], of.state, all.state)
		}
		trusting.goesOn(t, j, all.state.LastSeq)
	}
	reading.stop()
	for i, j := range h.journals {
		if !streams[i].Carried || answers[j.name].state.Msgs == 0 {
			continue
		}
		// The server has read all of it, and wrote what it made of it.
		own, err := os.ReadFile(filepath.Join(blocksOf(h.dir, j.name), indexFile))
		if err != nil {
			t.Fatal(err)
		}
		if ours := []byte(before[filepath.Join(blocksOf("", j.name), indexFile)]); !bytes.Equal(sorted(t, j, own), sorted(t, j, ours)) {
			t.Errorf("stream %s: the carried index is %x, and the server's own %x", j.name, ours, own)
		}
	}
	for _, said := range trusting.log.said() {
		if !slices.ContainsFunc(streams, func(s Stream) bool { return s.Left != "" }) {
			t.Errorf("the server does not trust what was carried: %s", said)
		}
	}
	return streams
}

// sorted is an index with its subjects in order: the server writes them as they stand in its tree.
func sorted(t *testing.T, j *journal, text []byte) []byte {
	t.Helper()
	s, err := parse(j.name, j.subjects, text)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(s.subjects, func(a, b subject) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return s.encode(j.name)
}

// goesOn publishes behind the last message, fenced.
func (r *running) goesOn(t *testing.T, j *journal, last uint64) {
	t.Helper()
	if _, err := r.js.Publish(t.Context(), j.subjects[0], nil, jetstream.WithExpectLastSequence(last+1)); err == nil {
		t.Errorf("stream %s took a message behind sequence %d, which it has not", j.name, last+1)
	}
	ack, err := r.js.Publish(t.Context(), j.subjects[0], nil, jetstream.WithExpectLastSequence(last))
	if err != nil {
		t.Errorf("stream %s takes nothing behind sequence %d: %v", j.name, last, err)
	} else if ack.Sequence != last+1 {
		t.Errorf("stream %s gave sequence %d behind %d", j.name, ack.Sequence, last)
	}
}

// A new version of the server is one whose files nobody has looked at yet.
func TestReadForThisServer(t *testing.T) {
	if server.VERSION != ReadFor {
		t.Errorf("the server is version %s, so nothing is carried: read its writeFullState and recoverFullState again, and what "+
			"they call, then change ReadFor and run the tests of this package with -histories 100", server.VERSION)
	}
}

// A short stream is not looked at: to read it is quicker than to sync.
func TestShortStreamsAreLeftAlone(t *testing.T) {
	h := newHistory(t, 3)
	before := contents(t, h.dir)
	streams, err := Carry(t.Context(), h.dir, 1<<30)
	if err != nil || len(streams) != len(h.journals) {
		t.Fatalf("%+v, %v", streams, err)
	}
	for _, s := range streams {
		if !s.Short || s.Carried || s.Left != "" || s.Bytes > 0 {
			t.Errorf("%+v", s)
		}
	}
	if !maps.Equal(contents(t, h.dir), before) {
		t.Error("something was changed")
	}
}

// A directory without streams is none to complain of.
func TestNothingToCarry(t *testing.T) {
	if streams, err := Carry(t.Context(), filepath.Join(t.TempDir(), "none"), 0); err != nil || len(streams) > 0 {
		t.Errorf("%v, %v", streams, err)
	}
	if _, err := os.Stat(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
