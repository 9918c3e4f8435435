package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// MaxCatalogBytes is the largest catalog that ParseCatalog reads, as written and spelled out.
const MaxCatalogBytes = 256 << 10

// maxDepth is more than any setting needs.
const maxDepth = 12

// reader turns one YAML document into settings and collects everything that is wrong with it.
type reader struct {
	problems
	scale    int
	currency string
}

// document parses src up to its one mapping. It returns nil after a problem that leaves nothing
// to read.
func (r *reader) document(src []byte) *yaml.Node {
	if len(src) > MaxCatalogBytes {
		r.add(0, "", "the catalog has %d bytes, at most %d are allowed", len(src), MaxCatalogBytes)
		return nil
	}
	if !r.characters(src) {
		return nil
	}
	if json.Valid(src) {
		src = joinSurrogates(src)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	if err := decodeNode(decoder, &doc); errors.Is(err, io.EOF) {
		r.add(0, "", "the catalog is empty")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := decodeNode(decoder, &second); err == nil {
		r.add(second.Line, "", "a catalog is one YAML document: remove the second one and the line --- before it")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.add(doc.Line, "", "a catalog is a mapping of settings, such as name, pools and meters")
		return nil
	}
	r.plain(doc.Content[0], 1)
	return doc.Content[0]
}

// decodeNode turns a panic inside the YAML library into an error: the text comes from outside.
func decodeNode(decoder *yaml.Decoder, node *yaml.Node) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("yaml: the text cannot be read: %v", v)
		}
	}()
	return decoder.Decode(node)
}

// syntax reports a text that is not YAML, on the line where it goes wrong, and where what it
// goes wrong in begins.
func (r *reader) syntax(err error) {
	const advice = "(indent with spaces, quote texts that contain “: ” or “ #”)"
	var load *yaml.LoadError
	switch {
	case !errors.As(err, &load):
		r.add(0, "", "not valid YAML: %v %s", err, advice)
	case load.ContextMsg != "" && load.ContextMark.Line > 0 && load.ContextMark.Line != load.Mark.Line:
		r.add(load.Mark.Line, "", "not valid YAML: %s, %s that begins on line %d %s",
			load.Message, load.ContextMsg, load.ContextMark.Line, advice)
	default:
		r.add(load.Mark.Line, "", "not valid YAML: %s %s", load.Message, advice)
	}
}

// characters refuses bytes that are no text. It names the line, which the YAML library does not.
func (r *reader) characters(src []byte) bool {
	for i, c := range string(src) {
		if c == utf8.RuneError || unicode.IsControl(c) && !strings.ContainsRune("\n\r\t", c) {
			r.add(1+bytes.Count(src[:i], []byte("\n")), "", "has a character that is not text: save the catalog as UTF-8, without control characters")
			return false
		}
	}
	return true
}

// plain refuses what makes a document mean something else than it shows.
func (r *reader) plain(node *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		r.add(node.Line, "", "settings are nested more than %d deep", maxDepth)
		return
	case node.Kind == yaml.AliasNode:
		r.add(node.Line, "", "aliases (*%s) are not read in a catalog: write the value out", brief(node.Value))
		return
	case node.Anchor != "":
		r.add(node.Line, "", "anchors (&%s) are not read in a catalog: write the value out where it is needed", brief(node.Anchor))
	case node.Style&yaml.TaggedStyle != 0:
		r.add(node.Line, "", "tags (%s) are not read in a catalog: remove it", brief(node.Tag))
	}
	for _, child := range node.Content {
		r.plain(child, depth+1)
	}
}

var surrogates = regexp.MustCompile(`\\*\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)

// joinSurrogates replaces the one thing in JSON that YAML cannot read: a character outside the
// basic plane that is escaped as two halves. Lines stay where they are.
func joinSurrogates(src []byte) []byte {
	return surrogates.ReplaceAllFunc(src, func(match []byte) []byte {
		pair := match[len(match)-12:]
		if (len(match)-len(pair))%2 == 1 {
			return match // the first backslash is itself escaped
		}
		high, _ := strconv.ParseUint(string(pair[2:6]), 16, 32)
		low, _ := strconv.ParseUint(string(pair[8:12]), 16, 32)
		joined := utf16.DecodeRune(rune(high), rune(low))
		return append(slices.Clone(match[:len(match)-len(pair)]), string(joined)...)
	})
}

// section is one mapping of a document. Each setting is asked for by name; done then reports
// those that nobody asked for.
type section struct {
	*reader
	path  string
	line  int
	keys  []*yaml.Node
	value map[string]*yaml.Node
	asked []string
}

// section reads a mapping; anything else is a problem and reads as an empty one.
func (r *reader) section(path string, node *yaml.Node) *section {
	s := &section{reader: r, path: path, line: node.Line, value: map[string]*yaml.Node{}}
	if node.Kind != yaml.MappingNode {
		if node.Kind != yaml.AliasNode {
			r.add(node.Line, path, "must be a mapping of settings, such as “name: …”")
		}
		return s
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.add(key.Line, path, "the name of a setting must be a plain word")
			continue
		}
		if line, twice := lines[key.Value]; twice {
			r.add(key.Line, s.at(key.Value), "is given twice, first on line %d: keep one of them", line)
			continue
		}
		lines[key.Value] = key.Line
		s.keys = append(s.keys, key)
		s.value[key.Value] = value
	}
	return s
}

func (s *section) at(name string) string {
	if s.path == "" {
		return brief(name)
	}
	return s.path + "." + brief(name)
}

// take returns the value of a setting; nil when it is absent, null or already refused.
func (s *section) take(name string) *yaml.Node {
	s.asked = append(s.asked, name)
	if node := s.value[name]; !s.absent(name) && node.Kind != yaml.AliasNode {
		return node
	}
	return nil
}

// absent reports whether a setting is not there, or is there with nothing behind it.
func (s *section) absent(name string) bool {
	node := s.value[name]
	return node == nil || node.Kind == yaml.ScalarNode && node.Tag == "!!null"
}

// missing reports a setting that must be there; want is an example of it.
func (s *section) missing(name, want string) {
	if node := s.value[name]; node != nil && node.Kind == yaml.AliasNode {
		return
	}
	s.add(s.line, s.path, "%s is missing: write “%s: %s”", name, name, want)
}

// done reports the settings that nobody asked for, with the nearest name that exists.
func (s *section) done() {
	for _, key := range s.keys {
		if slices.Contains(s.asked, key.Value) {
			continue
		}
		s.add(key.Line, s.at(key.Value), "unknown setting%s", s.advise(key.Value, s.asked))
	}
}

// entries calls read for each entry of a mapping from names to mappings, in order.
func (s *section) entries(name string, read func(id string, entry *section)) {
	node := s.take(name)
	if node == nil {
		return
	}
	list := s.section(s.at(name), node)
	if n := len(list.keys); n > maxEntries {
		s.add(node.Line, list.path, "has %d entries, at most %d are allowed", n, maxEntries)
		list.keys = list.keys[:maxEntries]
	}
	for _, key := range list.keys {
		if !idPattern.MatchString(key.Value) || slices.Contains(reservedNames, key.Value) {
			s.add(key.Line, list.at(key.Value),
				"cannot be a name: use up to 64 of a-z, 0-9, - and _, starting with a letter or digit, and none of %s",
				strings.Join(reservedNames, ", "))
		}
		value := list.value[key.Value]
		if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
			value = &yaml.Node{Kind: yaml.MappingNode, Line: key.Line}
		}
		entry := s.section(list.at(key.Value), value)
		entry.line = key.Line
		read(key.Value, entry)
		entry.done()
	}
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// reservedNames would be ambiguous as the name of a pool, meter, plan or pack.
var reservedNames = []string{"all", "none", UnitCredit}

// advise names the nearest of the names that exist, or lists them when none is near.
func (r *reader) advise(name string, exist []string) string {
	if r.full() || len(exist) == 0 {
		return ""
	}
	best, distance := "", 3
	if len(name) <= 64 {
		for _, candidate := range exist {
			if d := editDistance(name, candidate); d < distance && d < len(name) {
				best, distance = candidate, d
			}
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	names := slices.Sorted(slices.Values(exist))
	if len(names) > 24 {
		return fmt.Sprintf(": there are %s, … (%d in all)", strings.Join(names[:24], ", "), len(names))
	}
	return ": there are " + strings.Join(names, ", ")
}

// editDistance counts the letters to insert, delete or replace to get from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func brief(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
