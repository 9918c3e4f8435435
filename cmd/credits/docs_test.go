package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandLine is a command of this program as the documents write it: at the start of a line, with or
// without a prompt.
var commandLine = regexp.MustCompile(`(?m)^(?:\$ )?credits ([^\n]*)$`)

// link is a link to a file of this repository.
var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// documents are the pages whose commands and links have to be true.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := make(map[string]string)
	for _, name := range []string{"../../README.md", "../../docs/OPERATIONS.md", "../../docs/GLOSSARY.md", "../../docs/INTEGRATING.md", "../../docs/REPLAYING.md", "../../docs/CATALOGS.md", "../../docs/INVARIANTS.md", "../../docs/PERSONAL.md", "../../docs/PERFORMANCE.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	return pages
}

// TestDocumentsNameCommandsAndFilesThatExist parses every command line of the documents with the
// commands' own flags, and follows every link.
func TestDocumentsNameCommandsAndFilesThatExist(t *testing.T) {
	p := program{t, map[string]string{}}
	commands := 0
	for name, text := range documents(t) {
		for _, match := range commandLine.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(match[1], " #")
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " > ")
			line = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(line), "&"), `\`)
			line = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(line, "text")
			found, rest, err := p.app(io.Discard, io.Discard).root().Find(strings.Fields(line))
			if err != nil || !found.Runnable() {
				t.Errorf("%s: credits %s: %v", name, line, err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: credits %s: %v", name, line, err)
				continue
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: credits %s: %v", name, line, err)
			}
			commands++
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, match[1], err)
			}
		}
	}
	if commands < 15 {
		t.Errorf("only %d commands were found in the documents", commands)
	}
}

// TestREADMEFirstCommandsRun runs the README's own first commands against a new server.
func TestREADMEFirstCommandsRun(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	p.serve(filepath.Join(t.TempDir(), "data"), "--dev", "--catalogs", "../../deploy/catalogs")
	text := documents(t)["../../README.md"]
	ran := 0
	for _, match := range regexp.MustCompile(`(?m)^\$ credits (.*)\n(.*)\n`).FindAllStringSubmatch(text, -1) {
		out := p.must(splitQuoted(match[1])...)
		// Times, names of purchases and widths differ from run to run; the first words do not.
		if want := strings.Fields(match[2])[0]; !strings.Contains(out, want) {
			t.Errorf("credits %s prints %q, the README says %q", match[1], out, match[2])
		}
		ran++
	}
	if ran != 5 {
		t.Errorf("the README shows %d commands with their output, not the first five", ran)
	}
}

// splitQuoted splits a command line as a shell does that knows only spaces and double quotes.
func splitQuoted(line string) []string {
	var words []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
