package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// record writes one as the server does.
func record(stream string, number string, seq uint64, at int64, subject, headers, body string) []byte {
	var rest []byte
	length := uint32(headSize + len(subject) + len(headers) + len(body) + hashSize)
	if headers != "" {
		length = (length + 4) | withHeader
		rest = binary.LittleEndian.AppendUint32(rest, uint32(len(headers)))
	}
	rest = append(append(rest, headers...), body...)
	text := binary.LittleEndian.AppendUint32(nil, length)
	text = binary.LittleEndian.AppendUint64(text, seq)
	text = binary.LittleEndian.AppendUint64(text, uint64(at))
	text = binary.LittleEndian.AppendUint16(text, uint16(len(subject)))
	text = append(append(text, subject...), rest...)
	h := hashFor(stream + "-" + number)
	_, _ = h.Write(text[4:20])
	_, _ = h.Write([]byte(subject + headers + body))
	return h.Sum(text)
}

// few is a short stream "S" of subject "s", in blocks 1 and 2.
func few(t testing.TB) (s *state, records []byte) {
	t.Helper()
	s = new(state)
	first := append(record("S", "1", 1, 100, "s", "", "body"), record("S", "1", 2, 90, "s", "NATS/1.0\r\nA: 1\r\n\r\n", "")...)
	if err := s.follow("S", []string{"s"}, 1, first); err != nil {
		t.Fatal(err)
	}
	records = append(record("S", "2", 3, 110, "s", "NATS/1.0\r\nA: 1\r\n\r\n", "more"), record("S", "2", 4, 120, "s", "", "")...)
	return s, records
}

// FuzzParse: what is read as an index is written as the same; nothing else is read, and nothing fails in disorder.
func FuzzParse(f *testing.F) {
	s, records := few(f)
	f.Add(s.encode("S"))
	if err := s.follow("S", []string{"s"}, 2, records); err != nil {
		f.Fatal(err)
	}
	f.Add(s.encode("S"))
	f.Add([]byte{magic, version, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := parse("S", []string{"s"}, text)
		if err != nil && !errors.Is(err, errUnusual) {
			t.Fatal(err)
		}
		if len(text) < hashSize {
			return
		}
		if err == nil { // any bit counts
			for i := range text {
				text[i] ^= 1
				if _, err := parse("S", []string{"s"}, text); err == nil {
					t.Fatalf("byte %d was changed, and the index was read", i)
				}
				text[i] ^= 1
			}
		}
		// The same with a checksum that matches, so that what is behind it is tried.
		text = append(text[:len(text)-hashSize], sumOf("S", text[:len(text)-hashSize])...)
		s, err := parse("S", []string{"s"}, text)
		if err != nil || s.last == 0 {
			return
		}
		if again := s.encode("S"); !bytes.Equal(again, text) {
			t.Errorf("%x is read, and written as %x", text, again)
		}
	})
}

// FuzzFollow: what is taken in is a sound run of messages, none of whose bytes may be another.
func FuzzFollow(f *testing.F) {
	_, records := few(f)
	one := record("S", "2", 3, 110, "s", "", "body")
	f.Add(records, uint16(0))
	f.Add(records[:len(records)-1], uint16(3))
	f.Add(append(records, 0), uint16(9))
	f.Add(one, uint16(30))
	f.Add(slices.Concat(one, one), uint16(30))
	f.Add(record("S", "2", 4, 110, "s", "", "a gap"), uint16(0))
	f.Add(record("S", "1", 3, 110, "s", "", "of another block"), uint16(0))
	f.Add(record("T", "2", 3, 110, "s", "", "of another stream"), uint16(0))
	f.Add(record("S", "2", 3, 110, "t", "", "of another subject"), uint16(0))
	f.Add(record("S", "2", 3|1<<63, 110, "", "", ""), uint16(0)) // a tombstone
	f.Add(record("S", "2", 3|1<<62, 0, "", "", ""), uint16(0))   // erased
	f.Add(record("S", "2", 3, 110, "s", "NATS/1.0\r\nNats-TTL: 1s\r\n\r\n", ""), uint16(0))
	f.Fuzz(func(t *testing.T, records []byte, at uint16) {
		s, _ := few(t)
		before := len(s.encode("S"))
		err := s.follow("S", []string{"s"}, 2, records)
		if err != nil {
			if !errors.Is(err, errUnusual) {
				t.Fatal(err)
			}
			return
		}
		if err := s.check([]string{"s"}); err != nil || s.end().bytes != uint64(len(records)) || len(s.encode("S")) <= before {
			t.Fatalf("%x is taken in as %+v: %v", records, s, err)
		}
		if again, err := parse("S", []string{"s"}, s.encode("S")); err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("the index of %+v is read as %+v, %v", s, again, err)
		}
		changed := slices.Clone(records)
		changed[int(at)%len(records)] ^= 1 << (at % 8)
		s, _ = few(t)
		if err := s.follow("S", []string{"s"}, 2, changed); err == nil {
			t.Errorf("byte %d of %x was changed, and it was taken in", int(at)%len(records), records)
		}
	})
}

// What a stream that only grows never has is refused, and by the right reason.
func TestUnusualRecords(t *testing.T) {
	for name, text := range map[string][]byte{
		"nothing":            nil,
		"a gap":              record("S", "2", 4, 110, "s", "", "body"),
		"the same again":     record("S", "2", 2, 110, "s", "", "body"),
		"another block's":    record("S", "1", 3, 110, "s", "", "body"),
		"another stream's":   record("T", "2", 3, 110, "s", "", "body"),
		"another subject":    record("S", "2", 3, 110, "t", "", "body"),
		"no subject":         record("S", "2", 3, 110, "", "", "body"),
		"no time":            record("S", "2", 3, 0, "s", "", "body"),
		"a tombstone":        record("S", "2", 3|1<<63, 110, "s", "", ""),
		"an erased record":   record("S", "2", 3|1<<62, 110, "s", "", ""),
		"expires":            record("S", "2", 3, 110, "s", "NATS/1.0\r\nNats-TTL: 1s\r\n\r\n", ""),
		"is scheduled":       record("S", "2", 3, 110, "s", "NATS/1.0\r\nNats-Schedule: @at\r\n\r\n", ""),
		"headers that end":   record("S", "2", 3, 110, "s", "NATS/1.0\r\nA: 1\r\n", ""),
		"headers of no kind": record("S", "2", 3, 110, "s", "HTTP/1.0\r\nA: 1\r\n\r\n", ""),
	} {
		s, _ := few(t)
		if err := s.follow("S", []string{"s"}, 2, text); !errors.Is(err, errUnusual) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, records := few(t)
	if err := s.follow("S", []string{"s"}, 2, records); err != nil || s.last != 4 || s.end().last != 4 || s.end().first != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestUnusualIndexes changes every byte of an index, and its checksum with it: what is read all the same has to be an index
// that the server may have written so.
func TestUnusualIndexes(t *testing.T) {
	s, records := few(t)
	if err := s.follow("S", []string{"s"}, 2, records); err != nil {
		t.Fatal(err)
	}
	sound := s.encode("S")
	refused := 0
	for i := range len(sound) - hashSize {
		for change := 1; change < 256; change++ {
			text := slices.Clone(sound[:len(sound)-hashSize])
			text[i] ^= byte(change)
			text = append(text, sumOf("S", text)...)
			s, err := parse("S", []string{"s"}, text)
			if err != nil {
				refused++
			} else if !bytes.Equal(s.encode("S"), text) {
				t.Fatalf("byte %d changed by %d: %x is read as %+v", i, change, text, s)
			}
		}
	}
	if _, err := parse("S", []string{"s"}, sound); err != nil || refused < 5_000 {
		t.Errorf("%v; %d changed ones refused", err, refused)
	}
}

// The index of a stream that something was deleted from is the server's own, and is not read.
func TestAnIndexWithDeletedMessages(t *testing.T) {
	dir := t.TempDir()
	r := serve(t, dir)
	c := config("S", []string{"s"}, -1)
	c.DenyDelete = false
	stream, err := r.js.CreateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.js.Publish(t.Context(), "s", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if _, err := parse("S", []string{"s"}, read(t, filepath.Join(blocksOf(dir, "S"), indexFile))); !errors.Is(err, errUnusual) {
		t.Error(err)
	}
	if streams, err := Carry(t.Context(), dir, 0); err != nil || len(streams) > 0 {
		t.Errorf("a stream that messages may be deleted from was looked at: %+v, %v", streams, err)
	}
}
