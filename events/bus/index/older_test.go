package index

import (
	"bytes"
	"os"
	"testing"
)

// A damaged record in a block before the index's end costs that record, as it does after an orderly end, and is for
// whoever reads the journal to notice. A server that reads everything cuts its block off there.
func TestADamagedOldRecordCostsNoOther(t *testing.T) {
	h := &history{dir: t.TempDir(), journals: []*journal{{name: "J", subjects: []string{"j"}}}}
	j := h.journals[0]
	publish := func(count int) {
		s := serve(t, h.dir)
		s.limit(t, j.name, j.subjects, small)
		s.limit(t, j.name, j.subjects, -1)
		for range count {
			if _, err := s.js.Publish(t.Context(), "j", bytes.Repeat([]byte{1}, 7000)); err != nil {
				t.Fatal(err)
			}
		}
		s.stop()
	}
	publish(9) // 4 in a block
	index := read(t, blocksOf(h.dir, j.name)+"/"+indexFile)
	publish(1)
	write(t, blocksOf(h.dir, j.name)+"/"+indexFile, index)
	first := h.blocks(t, j)[0]
	text := read(t, first.path(blocksOf(h.dir, j.name)))
	text[len(text)/4+100] ^= 1 // in the second record
	write(t, first.path(blocksOf(h.dir, j.name)), text)

	for carry, readable := range map[bool]int{true: 9, false: 7} {
		dir := copyDir(t, h.dir)
		if carry {
			if streams, err := Carry(t.Context(), dir, 0); err != nil || len(streams) != 1 || !streams[0].Carried {
				t.Fatalf("%+v, %v", streams, err)
			}
		}
		s := serve(t, dir)
		stream, err := s.js.Stream(t.Context(), j.name)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for seq := range uint64(10) {
			if msg, err := stream.GetMsg(t.Context(), seq+1); err == nil && len(msg.Data) == 7000 {
				found++
			}
		}
		info, err := os.Stat(first.path(blocksOf(dir, j.name)))
		if err != nil {
			t.Fatal(err)
		}
		if found != readable || (info.Size() == first.size) != carry {
			t.Errorf("carried %v: %d of 10 messages can be read, and the block has %d bytes of %d", carry, found, info.Size(), first.size)
		}
		s.stop()
	}
}
