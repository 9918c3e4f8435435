package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a fenced block of a guide, with the output that the block after it shows, if any.
type snippet struct{ language, text, shows string }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```\n")

func snippets(t *testing.T, guide string) []snippet {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", guide))
	if err != nil {
		t.Fatal(err)
	}
	var found []snippet
	for _, match := range fence.FindAllStringSubmatch(string(text), -1) {
		if n := len(found); match[1] == "text" && n > 0 && !strings.HasPrefix(match[2], "export ") {
			found[n-1].shows = match[2]
			continue
		}
		found = append(found, snippet{language: match[1], text: match[2]})
	}
	return found
}

// interpreters say how a snippet of each language is run; %s is its file.
var interpreters = map[string][]string{
	"sh": {"bash", "-euo", "pipefail"}, "python": {"python3"}, "js": {"node"}, "go": {"go", "run"},
}

var extensions = map[string]string{"sh": ".sh", "python": ".py", "js": ".mjs", "go": ".go"}

// The programs of the guides run as they stand, one after another on a server of their own, and print what
// the guides say.
func TestGuidesRun(t *testing.T) {
	ran := map[string]int{}
	for _, guide := range []string{"INTEGRATING.md", "REPLAYING.md"} {
		p := program{t, map[string]string{}}
		p.serve(filepath.Join(t.TempDir(), "data"), "--dev", "--catalogs", "../../deploy/catalogs")
		var key struct{ Key string }
		p.decoded(&key, "key", "create", "--tenant", "tecpet", "--actor", "you@example.com", "--person", "--scope", "usage,read,purchase,grant,admin")
		env := append(os.Environ(), "CREDITS_URL="+p.env["CREDITS_SERVER"], "CREDITS_NATS="+p.env["NATS"], "CREDITS_KEY="+key.Key)
		for i, s := range snippets(t, guide) {
			command := interpreters[s.language]
			if command == nil {
				continue
			}
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Logf("%s: a %s program is left out: %s is not installed", guide, s.language, command[0])
				continue
			}
			file := filepath.Join(t.TempDir(), "guide"+extensions[s.language])
			if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), command[0], append(command[1:len(command):len(command)], file)...)
			run.Env = env
			var complaints strings.Builder
			run.Stderr = &complaints
			out, err := run.Output()
			if err != nil {
				t.Errorf("%s, block %d (%s): %v\n%s%s", guide, i, s.language, err, out, complaints.String())
				continue
			}
			if s.shows != "" && string(out) != s.shows {
				t.Errorf("%s, block %d (%s) prints\n%s\nand not\n%s", guide, i, s.language, out, s.shows)
			}
			ran[s.language]++
		}
	}
	if ran["sh"] < 5 || ran["go"] < 2 {
		t.Errorf("ran only %v", ran)
	}
}

// The catalog that the guide builds is one.
func TestCatalogGuideIsValid(t *testing.T) {
	p := program{t, map[string]string{}}
	for _, s := range snippets(t, "CATALOGS.md") {
		if s.language != "yaml" {
			continue
		}
		file := filepath.Join(t.TempDir(), "pictures.yaml")
		if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.must("catalog", "validate", file)
		return
	}
	t.Error("the guide shows no catalog")
}
