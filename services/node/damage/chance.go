package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Target is what of a data directory is damaged.
type Target int

// The targets.
const (
	Entries Target = iota // the journal
	Anchor
	Views
	Personal    // the keys of personal texts
	Credentials // keys, codes and their counters
)

func (t Target) String() string {
	return [...]string{"the journal", "the anchor", "a view", "the stream PERSONAL", "the stream CREDENTIALS"}[t]
}

// ByChance damages one thing, and says what it did. It may turn out to have changed nothing that counts: a bit of
// room that is not used, an index that is made again.
func ByChance(rng *rand.Rand, p Place, what Target) (done string, err error) {
	switch what {
	case Anchor:
		done, err = p.damageFile(rng, fileOf(p.Dir, p.Name, anchor), fileOf(p.Earlier, p.Name, anchor), fileOf(p.Sound, p.Neighbour, anchor))
	case Views:
		done, err = p.damageView(rng)
	case Personal:
		done, err = p.damageStream(rng, "PERSONAL", "CREDENTIALS")
	case Credentials:
		done, err = p.damageStream(rng, "CREDENTIALS", "PERSONAL")
	default:
		done, err = p.damageStream(rng, p.Name.Stream(), p.Neighbour.Stream())
	}
	if err != nil {
		return "", fmt.Errorf("damage %s of %s: %w", what, p.Name, err)
	}
	return done, nil
}

// damageStream does something to a stream's files; half the time its index is lost with it, so that the server has
// to go by what stands in the blocks.
func (p Place) damageStream(rng *rand.Rand, stream, neighbour string) (string, error) {
	dir := StreamDir(p.Dir, stream)
	done, err := p.damageFiles(rng, dir, stream, neighbour)
	if err != nil || rng.IntN(2) == 0 {
		return done, err
	}
	err = os.Remove(filepath.Join(dir, index))
	if err == nil {
		done += ", its index lost"
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return done, err
}

func (p Place) damageFiles(rng *rand.Rand, dir, stream, neighbour string) (string, error) {
	switch rng.IntN(12) {
	case 0:
		return stream + " removed", os.RemoveAll(dir)
	case 1:
		return "an older " + stream, replaceDir(dir, StreamDir(p.Earlier, stream))
	case 2:
		return "the blocks of an older " + stream, replaceDir(filepath.Join(dir, "msgs"), filepath.Join(StreamDir(p.Earlier, stream), "msgs"))
	case 3:
		return neighbour + " in the place of " + stream, replaceDir(dir, StreamDir(p.Sound, neighbour))
	case 4:
		return "the blocks of " + neighbour + " in " + stream, replaceDir(filepath.Join(dir, "msgs"), filepath.Join(StreamDir(p.Sound, neighbour), "msgs"))
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		return "", fmt.Errorf("stream %s has no blocks (%w)", stream, err)
	}
	if len(blocks) > 1 && rng.IntN(4) == 0 {
		i := rng.IntN(len(blocks) - 1)
		return fmt.Sprintf("%s and the block after it swapped", relative(p.Dir, blocks[i])), swapFiles(blocks[i], blocks[i+1])
	}
	files := append(blocks, blocks...) // what matters most is met more often
	for _, name := range []string{meta, sum, index} {
		files = append(files, filepath.Join(dir, name))
	}
	file := files[rng.IntN(len(files))]
	return p.damageFile(rng, file, inDir(file, p.Dir, p.Earlier), "")
}

func (p Place) damageView(rng *rand.Rand) (string, error) {
	store := Stores()[rng.IntN(len(Stores()))]
	if rng.IntN(3) == 0 {
		all := View()
		kind := all[rng.IntN(len(all)-1)] // the last one needs another directory
		return "view " + store + ": " + kind.What, kind.Do(p.Dir, store, p.Earlier, p.Earlier)
	}
	files, err := filepath.Glob(filepath.Join(StoreDir(p.Dir, store), "*"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("view %s has no files (%w)", store, err)
	}
	file := files[rng.IntN(len(files))]
	return p.damageFile(rng, file, inDir(file, p.Dir, p.Earlier), "")
}

// damageFile does something to one file. earlier and other are what may be put in its place, if they are there.
func (p Place) damageFile(rng *rand.Rand, file, earlier, other string) (string, error) {
	name := relative(p.Dir, file)
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for _, from := range []string{earlier, other} {
		older, err := os.ReadFile(from)
		if err == nil && rng.IntN(6) == 0 {
			return fmt.Sprintf("%s in the place of %s", filepath.Base(from), name), os.WriteFile(file, older, 0o600)
		}
	}
	way := rng.IntN(10)
	if len(content) < 2 {
		way = 0
	}
	switch {
	case way == 0:
		return name + " removed", os.Remove(file)
	case way < 3:
		at := rng.IntN(len(content))
		return fmt.Sprintf("%s cut to %d of %d bytes", name, at, len(content)), os.Truncate(file, int64(at))
	case way < 5:
		size := 1 + rng.IntN(min(len(content)/2, 64<<10))
		a := rng.IntN(len(content) - 2*size + 1)
		b := a + size + rng.IntN(len(content)-a-2*size+1)
		part := append([]byte(nil), content[a:a+size]...)
		copy(content[a:], content[b:b+size])
		copy(content[b:], part)
		return fmt.Sprintf("%d bytes at %d and %d of %s swapped", size, a, b, name), os.WriteFile(file, content, 0o600)
	}
	bit := rng.IntN(8 * len(content))
	content[bit/8] ^= 1 << (bit % 8)
	return fmt.Sprintf("bit %d at byte %d of %d of %s", bit%8, bit/8, len(content), name), os.WriteFile(file, content, 0o600)
}

// replaceDir puts a copy of a directory in the place of another one.
func replaceDir(dir, from string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.CopyFS(dir, os.DirFS(from))
}

func swapFiles(a, b string) error {
	aside := a + ".aside"
	return errors.Join(os.Rename(a, aside), os.Rename(b, a), os.Rename(aside, b))
}

func relative(dir, file string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(file, dir), string(filepath.Separator))
	return filepath.ToSlash(name)
}

// inDir is where a file of one data directory is in another one.
func inDir(file, dir, other string) string { return filepath.Join(other, relative(dir, file)) }
