// Package damage is what can happen to the files of a stopped server: bits that flip, files that are cut short or
// lost, blocks that change places, older copies that are put back, another tenant's files in the place of one's own.
//
// It is for tests (services/node tries each kind once; `task soak` picks by chance, for as long as it is let)
// and part of no server. Whoever uses it decides what has to become of a server that is started on what is left.
//
// It may import events/bus and events/journal, for where their files are. Start at Journal, the kinds of damage to a
// tenant's journal, then View, and random.go for damage by chance.
package damage

import (
	"fmt"
	"os"
	"path/filepath"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

// Place is whose files are damaged, and where others are that can be put in their place.
type Place struct {
	// Dir is the data directory of a stopped server, which is damaged.
	Dir string
	// Earlier is a copy of it as it was before the last entries; nothing in it is changed.
	Earlier string
	// Sound is a copy of it as it was before any damage; nothing in it is changed.
	Sound string
	// Name is the journal that is damaged, Neighbour one of another tenant that lends its files.
	Name, Neighbour journal.Name
}

// Kind is something that can happen to a tenant's journal.
type Kind struct {
	// What says in words what is done.
	What string
	// Do does it.
	Do func(Place) error
	// Harmless says that nothing which counts is damaged: everything has to be as it was.
	Harmless bool
	// Either says that it depends on the bit whether anything is damaged.
	Either bool
	// Nameless: what is damaged is not the journal, so there is no commit to name.
	Nameless bool
}

// Files of a tenant, as the kinds name them; all but the anchor are in the stream's directory.
const (
	block  = "msgs/1.blk"
	index  = "msgs/index.db"
	meta   = "meta.inf"
	sum    = "meta.sum"
	anchor = "anchor"
)

// StreamDir is where a stream's files are.
func StreamDir(dir, stream string) string {
	return filepath.Join(dir, "nats", "jetstream", bus.InternalAccount, "streams", stream)
}

func fileOf(dir string, name journal.Name, file string) string {
	if file == anchor {
		return filepath.Join(dir, "anchors", fmt.Sprintf("%s_%d.json", name.Tenant, name.Shard))
	}
	return filepath.Join(StreamDir(dir, name.Stream()), file)
}

// Rewrite replaces what is in a file; nil removes it.
func Rewrite(path string, how func([]byte) []byte) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if content = how(content); content == nil {
		return os.Remove(path)
	}
	return os.WriteFile(path, content, 0o600)
}

// Flip changes the bit that lies at so many thousandths of the content.
func Flip(thousandth int) func([]byte) []byte {
	return func(content []byte) []byte {
		bit := 8 * len(content) * thousandth / 1000
		content[bit/8] ^= 1 << (bit % 8)
		return content
	}
}

func cutTo(percent int) func([]byte) []byte {
	return func(content []byte) []byte { return content[:len(content)*percent/100] }
}

func gone([]byte) []byte { return nil }

func change(file string, how func([]byte) []byte) func(Place) error {
	return func(p Place) error { return Rewrite(fileOf(p.Dir, p.Name, file), how) }
}

func both(do ...func(Place) error) func(Place) error {
	return func(p Place) error {
		for _, d := range do {
			if err := d(p); err != nil {
				return err
			}
		}
		return nil
	}
}

// earlier puts the files of the same journal back that were there before.
func earlier(files ...string) func(Place) error {
	return take(files, func(p Place, file string) string { return fileOf(p.Earlier, p.Name, file) })
}

// neighbours puts another tenant's files in the place of this one's.
func neighbours(files ...string) func(Place) error {
	return take(files, func(p Place, file string) string { return fileOf(p.Sound, p.Neighbour, file) })
}

func take(files []string, from func(Place, string) string) func(Place) error {
	return func(p Place) error {
		for _, file := range files {
			content, err := os.ReadFile(from(p, file))
			if err == nil {
				err = Rewrite(fileOf(p.Dir, p.Name, file), func([]byte) []byte { return content })
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func removeStream(p Place) error { return os.RemoveAll(StreamDir(p.Dir, p.Name.Stream())) }

// Journal is every kind of damage to a journal of one block, or to its anchor. The first one is none.
func Journal() []Kind {
	all := []Kind{
		{What: "nothing", Do: both(), Harmless: true},
		{What: "block removed", Do: change(block, gone)},
		{What: "block cut to nothing", Do: change(block, cutTo(0))},
		{What: "block cut in half", Do: change(block, cutTo(50))},
		{What: "block cut in half, index lost", Do: both(change(block, cutTo(50)), change(index, gone))},
		{What: "last commit cut off, index lost", Do: both(change(block, cutTo(97)), change(index, gone))},
		{What: "index removed", Do: change(index, gone), Harmless: true},
		{What: "index cut in half", Do: change(index, cutTo(50)), Harmless: true},
		{What: "meta.inf removed", Do: change(meta, gone)},
		{What: "meta.inf cut in half", Do: change(meta, cutTo(50))},
		{What: "meta.sum removed", Do: change(sum, gone)},
		{What: "meta.sum cut in half", Do: change(sum, cutTo(50))},
		{What: "anchor removed", Do: change(anchor, gone), Nameless: true},
		{What: "anchor cut in half", Do: change(anchor, cutTo(50)), Nameless: true},
		{What: "stream removed", Do: removeStream},
		{What: "stream and anchor removed", Do: both(removeStream, change(anchor, gone))},
		{What: "another tenant's block in its place", Do: neighbours(block)},
		{What: "another tenant's block, index lost", Do: both(neighbours(block), change(index, gone))},
		{What: "another tenant's journal in its place", Do: neighbours(block, index, meta, sum)},
		{What: "another tenant's anchor in its place", Do: neighbours(anchor), Nameless: true},
		{What: "an older journal", Do: earlier(block, index)},
		{What: "an older journal with its anchor", Do: earlier(block, index, anchor)},
		{What: "an older anchor", Do: earlier(anchor), Harmless: true},
	}
	for i := range 9 {
		at := 7 + i*119
		all = append(all, Kind{What: fmt.Sprintf("bit at %d ‰ of the block", at), Do: change(block, Flip(at))},
			Kind{What: fmt.Sprintf("bit at %d ‰ of the block, index lost", at+3), Do: both(change(block, Flip(at+3)), change(index, gone))})
	}
	for i := range 3 {
		at := 111 + i*333
		all = append(all, Kind{What: fmt.Sprintf("bit at %d ‰ of meta.inf", at), Do: change(meta, Flip(at))},
			Kind{What: fmt.Sprintf("bit at %d ‰ of meta.sum", at), Do: change(sum, Flip(at))},
			Kind{What: fmt.Sprintf("bit at %d ‰ of the index", at), Do: change(index, Flip(at)), Harmless: true},
			Kind{What: fmt.Sprintf("bit at %d ‰ of the anchor", at), Do: change(anchor, Flip(at)), Either: true, Nameless: true})
	}
	return all
}
