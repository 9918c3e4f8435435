package damage

import (
	"fmt"
	"os"
	"path/filepath"
)

// Stores are the views, each of which has a store of its own.
func Stores() []string { return []string{"accounts", "statement", "usage"} }

// StoreDir is where a view's files are.
func StoreDir(dir, store string) string { return filepath.Join(dir, "views", store) }

// ViewKind is something that can happen to the store of a view. A view can be made again, so all of it heals.
type ViewKind struct {
	What string
	// Do does it to a store of a data directory. earlier and other are data directories that lend theirs: of the
	// same journals before, and of others.
	Do func(dir, store, earlier, other string) error
}

// View is every kind of damage to a view.
func View() []ViewKind {
	return []ViewKind{
		{"tables removed", each("*.sst", gone)},
		{"tables cut", each("*.sst", cutTo(50))},
		{"bit in the data", each("*.sst", Flip(100))},
		{"bit in the middle", each("*.sst", Flip(500))},
		{"bit in the footer", each("*.sst", Flip(995))},
		{"manifest removed", each("MANIFEST-*", gone)},
		{"manifest cut", each("MANIFEST-*", cutTo(60))},
		{"bit in the manifest", each("MANIFEST-*", Flip(300))},
		{"bit at its end", each("MANIFEST-*", Flip(900))},
		{"manifest marker removed", each("marker.manifest.*", gone)},
		{"format marker removed", each("marker.format*", gone)},
		{"options removed", each("OPTIONS-*", gone)},
		{"bit in the options", each("OPTIONS-*", Flip(200))},
		{"store removed", func(dir, store, _, _ string) error { return os.RemoveAll(StoreDir(dir, store)) }},
		{"an older view", func(dir, store, earlier, _ string) error { return whole(dir, earlier, store) }},
		{"another journal's view", func(dir, store, _, other string) error { return whole(dir, other, store) }},
	}
}

// whole puts another directory's store in the place of this one's.
func whole(dir, from, store string) error {
	if err := os.RemoveAll(StoreDir(dir, store)); err != nil {
		return err
	}
	return os.CopyFS(StoreDir(dir, store), os.DirFS(StoreDir(from, store)))
}

// each changes every file of a store whose name fits.
func each(pattern string, how func([]byte) []byte) func(dir, store, earlier, other string) error {
	return func(dir, store, _, _ string) error {
		files, err := filepath.Glob(filepath.Join(StoreDir(dir, store), pattern))
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("view %s has no %s", store, pattern)
		}
		for _, file := range files {
			if err != nil {
				return err
			}
			err = Rewrite(file, func(content []byte) []byte {
				if len(content) == 0 && how(make([]byte, 1000)) != nil {
					return content // nothing in it can be changed
				}
				return how(content)
			})
		}
		return err
	}
}
