package projections

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// usedKeys finds the keys that were used more than once, however many there are. To look each of them up among all
// others would be most of the work of a verification, so nothing is looked up: of each use is noted a print of the key,
// 128 bits of SHA-256, and where it was; and when all are noted they are sorted. Prints with the same first byte are
// one part, and are sorted by themselves.
type usedKeys struct {
	dir     string
	parts   [256]keyPart
	waiting int // bytes of prints that are in memory
	limits  keyLimits
	text    []byte // of one key, used again
}

// keyPart is all prints with one first byte, as prints are written: those in the file first.
type keyPart struct {
	file    *os.File // nil until the prints of all parts do not fit into memory
	waiting []byte
}

// keyLimits say what is in memory, in bytes: of prints that wait to be written, and of those that are sorted at a time.
type keyLimits struct{ waiting, sorted int }

// usedKeyLimits are those of every verification. A part is larger than what is sorted at a time when there are more than
// 170 million keys; it is then gone over several times.
var usedKeyLimits = keyLimits{waiting: 4 << 20, sorted: 16 << 20}

// keyUse is one use of a key.
type keyUse struct {
	print [2]uint64
	place uint64 // see placeOf
}

// printBytes is what a use takes in a part.
const printBytes = 24

// entryBits are those of a place that say which entry of its commit it is: a commit has at most journal.MaxBody bytes,
// and so less than a million entries.
const entryBits = 20

func placeOf(at Position) uint64 { return at.Sequence<<entryBits | uint64(at.Offset) }
func positionOf(place uint64) Position {
	return Position{place >> entryBits, uint32(place & (1<<entryBits - 1))}
}

func newUsedKeys(dir string) *usedKeys { return &usedKeys{dir: dir, limits: usedKeyLimits} }

// use notes that an account's key was used.
func (k *usedKeys) use(at Position, account, key string) error {
	k.text = append(AppendText(k.text[:0], account), key...)
	print := sha256.Sum256(k.text)
	part := &k.parts[print[0]]
	part.waiting = binary.BigEndian.AppendUint64(append(part.waiting, print[:16]...), placeOf(at))
	if k.waiting += printBytes; k.waiting < k.limits.waiting {
		return nil
	}
	return k.write()
}

// write brings what waits to the disk.
func (k *usedKeys) write() error {
	for i := range k.parts {
		part := &k.parts[i]
		if part.file == nil {
			file, err := os.Create(filepath.Join(k.dir, "keys-"+strconv.Itoa(i)))
			if err != nil {
				return fmt.Errorf("note keys: %w", err)
			}
			part.file = file
		}
		if _, err := part.file.Write(part.waiting); err != nil {
			return fmt.Errorf("note keys: %w", err)
		}
		part.waiting = part.waiting[:0]
	}
	k.waiting = 0
	return nil
}

// repeated counts the uses of a key that had been used before, and says where the first of them are, in the order of
// the journal, up to a number.
func (k *usedKeys) repeated(most int) (count uint64, first []Position, err error) {
	var places, uses = []uint64{}, []keyUse{}
	for i := range k.parts {
		part := &k.parts[i]
		size, err := part.size()
		if err != nil {
			return 0, nil, err
		}
		passes := uint64(size/k.limits.sorted + 1)
		for pass := range passes {
			if uses, err = part.uses(uses[:0], passes, pass); err != nil {
				return 0, nil, err
			}
			slices.SortFunc(uses, func(a, b keyUse) int {
				return cmp.Or(cmp.Compare(a.print[0], b.print[0]), cmp.Compare(a.print[1], b.print[1]), cmp.Compare(a.place, b.place))
			})
			for n := 1; n < len(uses); n++ {
				if uses[n].print == uses[n-1].print {
					count++
					places = append(places, uses[n].place)
				}
			}
			slices.Sort(places)
			places = places[:min(len(places), most)]
		}
	}
	for _, place := range places {
		first = append(first, positionOf(place))
	}
	return count, first, nil
}

// size is how many bytes of prints a part has.
func (p *keyPart) size() (int, error) {
	if p.file == nil {
		return len(p.waiting), nil
	}
	info, err := p.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("read the keys that were used: %w", err)
	}
	return int(info.Size()) + len(p.waiting), nil
}

// uses reads those of a part's prints that are the turn of one of several passes.
func (p *keyPart) uses(to []keyUse, passes, pass uint64) ([]keyUse, error) {
	var prints io.Reader = bytes.NewReader(p.waiting)
	if p.file != nil {
		if _, err := p.file.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read the keys that were used: %w", err)
		}
		prints = io.MultiReader(p.file, prints)
	}
	buffer := make([]byte, 4096*printBytes)
	for {
		n, err := io.ReadFull(prints, buffer)
		if n%printBytes != 0 {
			return nil, fmt.Errorf("read the keys that were used: %d bytes are no prints", n)
		}
		for b := buffer[:n]; len(b) >= printBytes; b = b[printBytes:] {
			use := keyUse{[2]uint64{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, binary.BigEndian.Uint64(b[16:])}
			if use.print[1]%passes == pass {
				to = append(to, use)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return to, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the keys that were used: %w", err)
		}
	}
}

// close closes the files; they go with the directory.
func (k *usedKeys) close() error {
	var faults []error
	for i := range k.parts {
		if file := k.parts[i].file; file != nil {
			faults = append(faults, file.Close())
		}
	}
	return errors.Join(faults...)
}
