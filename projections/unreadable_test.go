package projections_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/projections/internal/trial"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A block that turns out to be unreadable is in some view, of some journal. Who verifies is told which one, the standing
// of the views says the same, and a rebuild makes it anew: wherever in its tables the damage is.
func TestAnUnreadableViewIsNamedAndMadeAnew(t *testing.T) {
	nc := connect(t)
	writers := []*writer{
		newWriter(t, nc, acme, trial.New(1, 15)), newWriter(t, nc, journal.Name{Tenant: "other"}, trial.New(2, 15)),
	}
	sound := vfs.NewMem()
	stores := newStand(t, sound)
	for _, store := range stores.stores {
		store.UsualTables() // all in one: a view whose checkpoint is in a damaged block is noticed before anybody asks
	}
	for _, w := range writers {
		w.write(25, 15)
		stores.add(t, w, nil)
		stores.await(t, w)
	}
	stores.runner.Close()
	for _, store := range stores.stores {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	named := 0
	for i := range 9 {
		damaged, thousandth := folds[i%len(folds)].Name(), 60+100*i
		fs := flipped(t, sound, damaged, thousandth)
		t.Run(fmt.Sprintf("%s at %d", damaged, thousandth), func(t *testing.T) {
			if lookAtDamage(t, fs, writers, damaged) {
				named++
			}
		})
	}
	if named < 5 {
		t.Errorf("of 9 flipped bits %d were in records: the test does not reach what it is about", named)
	}
}

// lookAtDamage runs views of which one is damaged, and reports whether any of its records was unreadable.
func lookAtDamage(t *testing.T, fs vfs.FS, writers []*writer, damaged string) bool {
	t.Helper()
	s := newStand(t, fs)
	for _, w := range writers {
		s.add(t, w, nil)
	}
	for _, w := range writers { // one that is not served says so at once
		for _, fold := range folds {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := s.runner.WaitFor(ctx, fold.Name(), w.journal.Name(), w.journal.Head().Sequence); err != nil && fold.Name() != damaged {
				t.Error(err)
			}
			cancel()
		}
	}
	found := false
	for _, w := range writers {
		name := w.journal.Name()
		r := verify(t, s, w)
		if r.Lost+r.Different > 0 {
			t.Errorf("%s: lost %d, different %d: %+v", damaged, r.Lost, r.Different, r.Differences)
		}
		for _, view := range r.Views {
			broken := strings.HasPrefix(view.Records, "unreadable: ")
			status := standing(t, s, view.View, name)
			switch {
			case broken && view.View != damaged, !broken && view.Records != projections.RecordsEqual, broken == r.OK && view.View == damaged:
				t.Errorf("%s is damaged: %+v, sound: %v", damaged, view, r.OK)
			case broken != (status.Unreadable != ""), broken && !strings.Contains(view.Records, status.Unreadable):
				t.Errorf("verify says %q of %s, its standing %+v", view.Records, view.View, status)
			case broken && (view.Advice != projections.Remedy(damaged, name) || status.Advice != view.Advice):
				t.Errorf("advice: %q and %q", view.Advice, status.Advice)
			}
			if !broken {
				continue
			}
			found = true
			if s.runner.Unreadable()[damaged] == "" {
				t.Errorf("the store does not know: %v", s.runner.Unreadable())
			}
			rebuilt, err := s.runner.Rebuild(t.Context(), damaged, name, projections.RebuildOptions{})
			if err != nil || !rebuilt.Switched || rebuilt.Compared || rebuilt.Different > 0 {
				t.Errorf("%+v, %v", rebuilt, err)
			}
			if status := standing(t, s, damaged, name); status.Unreadable+status.Problem+status.Advice != "" {
				t.Errorf("after the rebuild: %+v", status)
			}
		}
		if r := verify(t, s, w); !r.OK {
			t.Errorf("%s, after the rebuild: %+v", damaged, r)
		}
	}
	return found
}

func standing(t *testing.T, s *stand, view string, name journal.Name) projections.Status {
	t.Helper()
	all, err := s.runner.Status()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].View == view && all[i].Tenant == name.Tenant {
			return all[i]
		}
	}
	t.Fatalf("%s has no view %s", name, view)
	return projections.Status{}
}

// flipped is a copy in which the tables of one store are damaged.
func flipped(t *testing.T, sound vfs.FS, store string, thousandth int) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	if _, err := vfs.Clone(sound, fs, "views", "views"); err != nil {
		t.Fatal(err)
	}
	flip(t, fs, "views/"+store, thousandth)
	return fs
}

// flip changes the bit that lies at so many thousandths of each table of a store.
func flip(t *testing.T, fs vfs.FS, dir string, thousandth int) {
	t.Helper()
	files, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, file := range files {
		if !strings.HasSuffix(file, ".sst") {
			continue
		}
		tables++
		path := fs.PathJoin(dir, file)
		in, err := fs.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil || in.Close() != nil {
			t.Fatal(err)
		}
		content[len(content)*thousandth/1000] ^= 4
		out, err := fs.Create(path, "test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(content); err != nil || out.Close() != nil {
			t.Fatal(err)
		}
	}
	if tables == 0 {
		t.Fatalf("no tables in %s", dir)
	}
}
