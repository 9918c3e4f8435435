package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A chart is a well-formed SVG that says what it shows, and leaves out what an axis cannot show.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "both.svg")
	lines := []Series{{Name: "first line", Points: []Point{{0, 1}, {1, 10}, {100, 1000}}}, {Name: "flat", Points: []Point{{1, 5}, {100, 5}}}}
	err := Write(file,
		Chart{Title: "logarithmic", X: "accounts", Y: "µs", LogX: true, LogY: true, Series: lines},
		Chart{Title: "linear", X: "seconds", Y: "events/s", TicksX: []Tick{{0, "start"}, {100, "end"}}, Series: lines})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"logarithmic", "linear", "first line", "accounts", "events/s", ">start<", ">1000<"} {
		if !strings.Contains(string(text), word) {
			t.Errorf("the picture does not say %q", word)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
}

func TestWriteRefusesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.svg")
	for name, charts := range map[string][]Chart{
		"no chart":          nil,
		"no point":          {{Title: "empty", Series: []Series{{Name: "none"}}}},
		"no point above 0":  {{Title: "zero", LogX: true, Series: []Series{{Name: "zero", Points: []Point{{0, 1}}}}}},
		"directory missing": {{Title: "lost", Series: []Series{{Name: "one", Points: []Point{{0, 1}, {1, 2}}}}}},
	} {
		to := file
		if name == "directory missing" {
			to = filepath.Join(file, "x.svg")
		}
		if err := Write(to, charts...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
