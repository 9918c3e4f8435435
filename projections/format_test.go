package projections

import (
	"strings"
	"testing"
)

// A store of a newer layout is refused; what an older program left is thrown away, and views start anew.
func TestFormatOfAStore(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), View: "usage"}
	name := Name{Tenant: "shop"}
	for _, c := range []struct {
		format  uint32
		refused bool
		kept    bool
	}{{Format, false, true}, {Format + 1, true, false}, {0, false, false}} {
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.View(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		b := v.NewBatch()
		if err := b.Put(append(b.Key(), 'x'), []byte("record")); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(Head{Journal: "j", Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		if err := s.setNumber(formatKey, c.format); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(cfg); err != nil {
			if !c.refused || !strings.Contains(err.Error(), "use the program that wrote it") {
				t.Errorf("format %d: %v", c.format, err)
			}
			cfg.Dir = t.TempDir()
			continue
		}
		if c.refused {
			t.Errorf("format %d is taken", c.format)
		}
		if v, err = s.View(name, 1); err != nil {
			t.Fatal(err)
		}
		if _, kept, err := v.Get(nil, []byte("x")); err != nil || kept != c.kept {
			t.Errorf("format %d: the record is there: %v (%v)", c.format, kept, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
