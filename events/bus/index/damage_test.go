package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// survey reads on behind everything that is damaged, and returns which messages that was, of which file.
func survey(t *testing.T, dir string, many int, want map[uint64]message) map[uint64]string {
	t.Helper()
	damaged, r, from := make(map[uint64]string), NewReader(dir, "g"), uint64(1)
	for from <= uint64(many) {
		n, err := readOut(t, r, from, uint64(many), want)
		from += uint64(n)
		if err == nil {
			break
		}
		var d *Damage
		if !errors.As(err, &d) || d.First != from || d.Last < from-1 || d.Last > uint64(many) {
			t.Fatalf("behind message %d: %v", from-1, err)
		}
		if d.Last < from {
			damaged[0] = filepath.Base(d.File) // there is no message 0
		}
		for ; from <= d.Last; from++ {
			damaged[from] = filepath.Base(d.File)
		}
	}
	return damaged
}

// spots are where the records of a block begin.
func spots(block []byte) (at []int) {
	for n := 0; n < len(block); n += sizeOf(block[n:]) {
		at = append(at, n)
	}
	return at
}

// What is damaged is named, no more and no less than cannot be read, and all else is read.
func TestWhatIsDamagedIsNamed(t *testing.T) {
	s, dir, many := written(t)
	want := s.ask(t, "G").messages
	s.stop()
	blocks := filepath.Join(dir, blocksDir)
	numbers, err := blockNumbers(blocks)
	if err != nil || len(numbers) < 3 {
		t.Fatal(numbers, err)
	}
	file := func(i int) string { return blockFile{number: numbers[i]}.path(blocks) }
	name := func(i int) string { return filepath.Base(file(i)) }
	begin := func(i int) uint64 {
		first, err := NewReader(dir, "g").first(numbers[i])
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	first, behind := begin(1), begin(2)
	if behind-first < 4 {
		t.Fatalf("the second block has the messages %d to %d", first, behind-1)
	}
	sound := read(t, file(1))
	at := spots(sound)
	changed := func(change func(block []byte) []byte) func() {
		return func() { write(t, file(1), change(slices.Clone(sound))) }
	}
	flip := func(places ...int) func() {
		return changed(func(block []byte) []byte {
			for _, place := range places {
				block[place] ^= 0x10
			}
			return block
		})
	}
	body := func(i int) int { return at[i] + headSize + 40 }
	for how, c := range map[string]struct {
		spoil   func()
		from    uint64
		to      uint64
		of      string
		besides []uint64
	}{
		"a body":                {flip(body(2)), first + 2, first + 2, name(1), nil},
		"three bodies":          {flip(body(0), body(1), body(3)), first, first + 1, name(1), []uint64{first + 3}},
		"the last body":         {flip(body(len(at) - 1)), behind - 1, behind - 1, name(1), nil},
		"a sequence":            {flip(at[1] + 4), first + 1, first + 1, name(1), nil},
		"the first sequence":    {flip(at[0] + 9), first, first, name(1), nil},
		"a time":                {flip(at[1] + 13), first + 1, first + 1, name(1), nil},
		"a length":              {changed(func(b []byte) []byte { b[at[1]+2] ^= 0x80; return b }), first + 1, behind - 1, name(1), nil},
		"a record is gone":      {changed(func(b []byte) []byte { return slices.Delete(b, at[1], at[2]) }), first + 1, first + 1, name(1), nil},
		"cut off in a record":   {changed(func(b []byte) []byte { return b[:at[2]+30] }), first + 2, behind - 1, name(1), nil},
		"cut off behind one":    {changed(func(b []byte) []byte { return b[:at[2]] }), first + 2, behind - 1, name(1), nil},
		"zeros":                 {changed(func(b []byte) []byte { clear(b[at[1]:]); return b }), first + 1, behind - 1, name(1), nil},
		"more behind it":        {changed(func(b []byte) []byte { return append(b, "more"...) }), 0, 0, name(1), nil},
		"empty":                 {changed(func([]byte) []byte { return nil }), first, behind - 1, name(1), nil},
		"another stream's file": {func() { write(t, file(1), read(t, file(0))) }, first, behind - 1, name(1), nil},
	} {
		c.spoil()
		found, wanted := survey(t, dir, many, want), make(map[uint64]string)
		for n := c.from; n <= c.to; n++ {
			wanted[n] = c.of
		}
		for _, n := range c.besides {
			wanted[n] = c.of
		}
		if fmt.Sprint(found) != fmt.Sprint(wanted) {
			t.Errorf("%s: %v is damaged, and not %v", how, found, wanted)
		}
		write(t, file(1), sound)
	}
	for n, c := range []struct{ first, behind uint64 }{{1, first}, {first, behind}} {
		if err := os.Rename(file(n), file(n)+".away"); err != nil {
			t.Fatal(err)
		}
		if found := survey(t, dir, many, want); len(found) != int(c.behind-c.first) || found[c.first] != name(n) {
			t.Errorf("without block %d: %v", n+1, found)
		}
		if err := os.Rename(file(n)+".away", file(n)); err != nil {
			t.Fatal(err)
		}
	}
	if found := survey(t, dir, many, want); len(found) > 0 {
		t.Errorf("when all is mended: %v", found)
	}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if found := survey(t, dir, many, want); len(found) != many {
		t.Errorf("without the stream: %v", found)
	}
}

// What can be read when one looks again, or is not known to be as it should be, is not called damaged.
func TestNotAllThatCannotBeReadIsDamaged(t *testing.T) {
	s, dir, many := written(t)
	s.stop()
	first := filepath.Join(dir, blocksDir, "1"+blockEnd)
	sound := read(t, first)
	at := spots(sound)
	spoiled := slices.Clone(sound)
	spoiled[at[2]+headSize+40] ^= 1
	meta := filepath.Join(dir, "meta.inf")
	plainMeta, plainSum := read(t, meta), read(t, filepath.Join(dir, "meta.sum"))
	reading := func(heal func()) (*Damage, error) {
		write(t, first, spoiled)
		err := NewReader(dir, "g").Read(t.Context(), 1, uint64(many), func(m Message) bool {
			if m.Sequence == 1 && heal != nil {
				heal()
			}
			return true
		})
		var d *Damage
		errors.As(err, &d)
		return d, err
	}
	if d, err := reading(nil); d == nil || d.First != 3 || d.Last != 3 {
		t.Fatalf("what is damaged: %v", err)
	}
	// By then the reader has what was wrong in its buffer.
	if d, err := reading(func() { write(t, first, sound) }); d != nil || !errors.Is(err, errUnusual) {
		t.Errorf("what was mended meanwhile: %v", err)
	}
	if d, err := reading(func() {
		text := slices.Clone(sound)
		binary.LittleEndian.PutUint64(text[at[2]+4:], 3|1<<62)
		sum := hashFor("G-1")
		record := text[at[2]:at[3]]
		_, _ = sum.Write(record[4:20])
		found, _ := readRecord(hashFor("G-1"), sound[at[2]:at[3]])
		for _, part := range [][]byte{found.subject, found.headers, found.body} {
			_, _ = sum.Write(part)
		}
		copy(record[len(record)-hashSize:], sum.Sum(nil))
		write(t, first, text)
	}); d != nil || !errors.Is(err, errUnusual) {
		t.Errorf("what the server removed: %v", err)
	}
	write(t, filepath.Join(dir, encryptionKey), []byte("key"))
	if d, err := reading(nil); d != nil || !errors.Is(err, errUnusual) {
		t.Errorf("what is encrypted: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, encryptionKey)); err != nil {
		t.Fatal(err)
	}
	compressed := bytes.Replace(plainMeta, []byte(`"compression":"none"`), []byte(`"compression":"s2"`), 1)
	write(t, meta, compressed)
	write(t, filepath.Join(dir, "meta.sum"), fmt.Appendf(nil, "%x", sumOf("G", compressed)))
	if d, err := reading(nil); d != nil || !errors.Is(err, errUnusual) {
		t.Errorf("what is compressed: %v", err)
	}
	write(t, meta, plainMeta)
	write(t, filepath.Join(dir, "meta.sum"), plainSum)
	if d, err := reading(nil); d == nil {
		t.Errorf("what is damaged once more: %v", err)
	}
}
