package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

func TestAnchorFollowsTheJournal(t *testing.T) {
	nc := connect(t, startBus(t, bus.Config{}))
	cfg := journal.Config{Name: acme, Create: true, Anchor: filepath.Join(t.TempDir(), "anchor")}
	contains := func(text string) bool {
		content, err := os.ReadFile(cfg.Anchor)
		return err == nil && strings.Contains(string(content), text)
	}
	j := open(t, nc, cfg)
	if !contains(`"sequence":0,`) || !contains(j.Start().Journal) {
		t.Error("a new journal has no anchor at its start")
	}
	heads := fill(t, j, 3)
	eventually(t, "it is written while the journal is open", func() bool { return contains(heads[3].Hash.String()) })
	heads = fill(t, j, 2)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if !contains(`"sequence":5,`) || !contains(heads[2].Hash.String()) {
		t.Error("it is not written by Close")
	}
	if again := open(t, nc, cfg); again.Head() != heads[2] {
		t.Errorf("opened at %+v", again.Head())
	}
}

func TestOpenComparesTheAnchor(t *testing.T) {
	nc := connect(t, startBus(t, bus.Config{}))
	anchorOf := func(tenant string, commits int) string {
		path := filepath.Join(t.TempDir(), "anchor")
		j := open(t, nc, journal.Config{Name: journal.Name{Tenant: tenant}, Create: true, Anchor: path})
		fill(t, j, commits)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	sound, umbra := anchorOf("acme", 3), anchorOf("umbra", 3)
	for _, test := range []struct {
		what, anchor string
		accept       bool
		want         error
	}{
		{"sound", sound, false, nil},
		{"another journal's", umbra, false, journal.ErrOtherJournal},
		{"another id", strings.Replace(sound, `"journal":"`, `"journal":"0`, 1), false, journal.ErrDamaged},
		{"ahead", strings.Replace(sound, `"sequence":3`, `"sequence":4`, 1), false, journal.ErrDamaged},
		{"ahead, and lost ones accepted", strings.Replace(sound, `"sequence":3`, `"sequence":4`, 1), true, journal.ErrDamaged},
		{"another hash", strings.Replace(sound, `"sequence":3`, `"sequence":2`, 1), false, journal.ErrDamaged},
		{"cut off", sound[:20], false, journal.ErrAnchorLost},
		{"empty", "", false, journal.ErrAnchorLost},
		{"something else", `{"format":2}`, false, journal.ErrAnchorLost},
		{"absent", "-", false, journal.ErrAnchorLost},
		{"cut off, and accepted", sound[:20], true, nil},
		{"absent, and accepted", "-", true, nil},
	} {
		path := filepath.Join(t.TempDir(), "anchor")
		if test.anchor != "-" {
			if err := os.WriteFile(path, []byte(test.anchor), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := tryOpen(t, nc, journal.Config{Name: acme, Anchor: path, AcceptLostAnchor: test.accept})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
		if content, _ := os.ReadFile(path); test.want == nil && string(content) != sound {
			t.Errorf("%s: the anchor is now %q", test.what, content)
		}
	}
}

func TestJournalThatIsGoneIsNotStartedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anchor")
	cfg := journal.Config{Name: acme, Create: true, Anchor: path}
	j := open(t, connect(t, startBus(t, bus.Config{})), cfg)
	fill(t, j, 3)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	empty := connect(t, startBus(t, bus.Config{}))
	cfg.AcceptLostAnchor = true
	if _, err := tryOpen(t, empty, cfg); !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), "commit 3") {
		t.Errorf("an empty store with an anchor of a journal: %v", err)
	}
	if _, err := tryOpen(t, empty, journal.Config{Name: acme}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("the refused journal was created all the same: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if other := open(t, empty, cfg); other.Head().Sequence != 0 {
		t.Errorf("started at %+v", other.Head())
	}
}
