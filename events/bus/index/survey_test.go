package index

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What is damaged in a directory that no server has open is found in the file where it is, with what is sound around it; what has
// nothing sound behind it is nobody's damage.
func TestASurveyFindsWhatIsDamagedBeforeASoundMessage(t *testing.T) {
	s, dir, many := written(t)
	s.stop()
	blocks := filepath.Join(dir, blocksDir)
	numbers, err := blockNumbers(blocks)
	if err != nil || len(numbers) < 3 {
		t.Fatal(numbers, err)
	}
	path := func(i int) string { return blockFile{number: numbers[i]}.path(blocks) }
	begin := func(i int) uint64 {
		first, err := NewReader(dir, "g").first(numbers[i])
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	sound := make(map[string][]byte)
	for i := range numbers {
		sound[path(i)] = read(t, path(i))
	}
	flip := func(i int, records ...int) func() {
		return func() {
			text := slices.Clone(sound[path(i)])
			at := spots(text)
			for _, record := range records {
				text[at[(record+len(at))%len(at)]+headSize+40] ^= 0x10
			}
			write(t, path(i), text)
		}
	}
	type place struct {
		file        string
		first, last uint64
	}
	end, last := len(numbers)-1, uint64(many)
	for what, c := range map[string]struct {
		spoil func()
		last  uint64
		want  []place
	}{
		"nothing":       {func() {}, last, nil},
		"one":           {flip(0, 1), last, []place{{path(0), 2, 2}}},
		"two":           {flip(1, 0, 2), last, []place{{path(1), begin(1), begin(1)}, {path(1), begin(1) + 2, begin(1) + 2}}},
		"in two blocks": {func() { flip(0, 1)(); flip(1, 0)() }, last, []place{{path(0), 2, 2}, {path(1), begin(1), begin(1)}}},
		"the last":      {flip(end, -1), last - 1, nil},
		"torn":          {func() { write(t, path(end), sound[path(end)][:len(sound[path(end)])-3]) }, last - 1, nil},
		"one, and torn": {func() { flip(0, 1)(); write(t, path(end), sound[path(end)][:len(sound[path(end)])-3]) }, last - 1, []place{{path(0), 2, 2}}},
		"more behind":   {func() { write(t, path(0), append(slices.Clone(sound[path(0)]), "more"...)) }, last, []place{{path(0), begin(1), begin(1) - 1}}},
		"more at last":  {func() { write(t, path(end), append(slices.Clone(sound[path(end)]), "more"...)) }, last, nil},
		"one missing": {func() {
			if err := os.Remove(path(1)); err != nil {
				t.Fatal(err)
			}
		}, last, []place{{path(1), begin(1), begin(2) - 1}}},
	} {
		c.spoil()
		var told []int
		found, err := Survey(t.Context(), dir, "g", func(read, all int) {
			if all != len(sound) && what != "one missing" || all < read {
				t.Errorf("%s: %d of %d files were read, there are %d", what, read, all, len(sound))
			}
			told = append(told, read)
		})
		if want := len(sound); what != "one missing" && (len(told) < 2 || told[len(told)-1] != want) || !slices.IsSorted(told) || len(slices.Compact(slices.Clone(told))) != len(told) {
			t.Errorf("%s: told of %v files, want each once, up to %d", what, told, want)
		}
		var places []place
		for _, d := range found.Damaged {
			places = append(places, place{d.File, d.First, d.Last})
		}
		if err != nil || found.Last != c.last || !slices.Equal(places, c.want) {
			t.Errorf("%s: up to %d, %v, %v", what, found.Last, places, err)
		}
		for path, text := range sound {
			write(t, path, text)
		}
	}
	ended, end2 := context.WithCancel(t.Context())
	end2()
	if found, err := Survey(ended, dir, "g", nil); !errors.Is(err, context.Canceled) || found.Last > 0 {
		t.Errorf("when nobody waits any more: %+v, %v", found, err)
	}
	flip(0, 1)()
	write(t, filepath.Join(dir, encryptionKey), []byte("key"))
	if found, err := Survey(t.Context(), dir, "g", nil); !errors.Is(err, errUnusual) || len(found.Damaged) > 0 {
		t.Errorf("what is encrypted: %+v, %v", found, err)
	}
	if found, err := Survey(t.Context(), dir+"-not", "g", nil); found.Last > 0 || len(found.Damaged) > 0 {
		t.Errorf("what is not there: %+v, %v", found, err)
	}
}

// What was sound and is not any more is counted, and nothing else.
func TestWhatIsGoneSinceASurvey(t *testing.T) {
	damaged := func(places ...uint64) (all []*Damage) {
		for i := 0; i < len(places); i += 2 {
			all = append(all, &Damage{First: places[i], Last: places[i+1]})
		}
		return all
	}
	before := Found{20, damaged(5, 5, 6, 5, 9, 10)}
	for what, c := range map[string]struct {
		now                Found
		count, first, last uint64
	}{
		"nothing":            {before, 0, 0, 0},
		"cut off":            {Found{4, nil}, 13, 6, 20},
		"a block is cut off": {Found{20, damaged(5, 12)}, 5, 6, 12},
		"the end":            {Found{18, damaged(5, 5, 9, 10)}, 2, 19, 20},
		"all":                {Found{}, 17, 1, 20},
		"more than before":   {Found{25, nil}, 0, 0, 0},
	} {
		if count, first, last := before.Gone(&c.now); count != c.count || first != c.first || last != c.last {
			t.Errorf("%s: %d, from %d to %d", what, count, first, last)
		}
	}
}
