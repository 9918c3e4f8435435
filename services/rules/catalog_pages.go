package rules

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// languages are those that pages can be had in.
var languages = []string{"en", "pt"}

// maxOrigins bounds the sites that may show the indicator.
const maxOrigins = 50

// Translation is what pages call things in a language that is not the catalog's own: names by id. What it
// leaves out keeps the name of the catalog.
type Translation struct {
	Meters, Units, Pools, Plans, Packs map[string]string
	// Contacts are the plans' own contact or way to upgrade, by plan.
	Contacts map[string]string
	Words    map[string]string // by type of history line
}

// groups are the parts of a translation. Words name types of history lines; the others anything that the
// catalog has or had: an account may still hold a lot of a pool that was dropped.
func (t *Translation) groups() []translated {
	return []translated{
		{"meters", &t.Meters}, {"units", &t.Units}, {"pools", &t.Pools}, {"plans", &t.Plans}, {"packs", &t.Packs},
		{"contacts", &t.Contacts}, {"words", &t.Words},
	}
}

type translated struct {
	name  string
	words *map[string]string
}

// pages reads what only pages need: names in other languages, and where the indicator may be shown.
func (s *section) pages(c *Catalog) {
	all := s.sub("translations")
	for _, language := range languages {
		node := all.take(language)
		if node == nil {
			continue
		}
		if language == c.Language {
			s.add(node.Line, all.at(language), "is the catalog's own language: its names stand where things are defined")
			continue
		}
		t := &Translation{}
		in := s.section(all.at(language), node)
		for _, group := range t.groups() {
			in.translated(group)
		}
		in.done()
		if c.Translations == nil {
			c.Translations = map[string]*Translation{}
		}
		c.Translations[language] = t
	}
	all.done()
	indicator := s.sub("indicator")
	c.IndicatorOrigins = indicator.origins("origins")
	indicator.done()
}

func (s *section) translated(group translated) {
	in := s.sub(group.name)
	for i, key := range in.keys {
		switch {
		case i == maxEntries:
			s.add(key.Line, in.path, "has %d entries, at most %d are allowed", len(in.keys), maxEntries)
			return
		case group.name == "words" && !slices.Contains(historyTypes, key.Value):
			s.add(key.Line, in.at(key.Value), "there is no such type of line%s", s.advise(key.Value, historyTypes))
		case !idPattern.MatchString(key.Value):
			s.add(key.Line, in.at(key.Value), "cannot be a name: use up to 64 of a-z, 0-9, - and _, starting with a letter or digit")
		default:
			if word := in.text(key.Value, ""); word != "" {
				if *group.words == nil {
					*group.words = map[string]string{}
				}
				(*group.words)[key.Value] = word
			}
		}
	}
}

// origins reads a list of web origins: scheme and host, without a path.
func (s *section) origins(name string) []string {
	node := s.take(name)
	if node == nil {
		return nil
	}
	var list []string
	for i, item := range node.Content {
		switch {
		case i >= maxOrigins:
			s.add(item.Line, s.at(name), "has %d entries, at most %d are allowed", len(node.Content), maxOrigins)
			return list
		case !isOrigin(item.Value):
			s.add(item.Line, fmt.Sprintf("%s[%d]", s.at(name), i), "%q is no origin of a site: write its scheme and host alone, such as https://app.example.com", brief(item.Value))
		case !slices.Contains(list, item.Value):
			list = append(list, item.Value)
		}
	}
	if len(node.Content) == 0 {
		s.add(node.Line, s.at(name), "must be a list such as [https://app.example.com]")
	}
	slices.Sort(list)
	return list
}

// isOrigin reports whether a text is an origin as browsers send it (RFC 6454 §6.2). What it holds goes into a
// header: nothing but letters, digits and what hosts are made of.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || len(text) > maxSettingText {
		return false
	}
	host := strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]")
	return host == "" && text == u.Scheme+"://"+u.Host
}

// writePages writes what pages reads.
func (c *Catalog) writePages(w *source) {
	w.block("translations", len(c.Translations), func() {
		for _, language := range slices.Sorted(maps.Keys(c.Translations)) {
			t := c.Translations[language]
			w.entry(language, func() {
				for _, group := range t.groups() {
					w.block(group.name, len(*group.words), func() {
						for _, id := range slices.Sorted(maps.Keys(*group.words)) {
							w.text(word(id), (*group.words)[id])
						}
					})
				}
			})
		}
	})
	if len(c.IndicatorOrigins) > 0 {
		w.entry("indicator", func() {
			quoted := make([]string, len(c.IndicatorOrigins))
			for i, origin := range c.IndicatorOrigins {
				quoted[i] = strconv.Quote(origin)
			}
			w.line("origins: [%s]", strings.Join(quoted, ", "))
		})
	}
}

// describePages adds to a description what pages reads.
func (c *Catalog) describePages(d settings) {
	for language, t := range c.Translations {
		d["translation "+language] = value{member: true}
		for _, group := range t.groups() {
			for id, word := range *group.words {
				d["in "+language+", "+group.name+" "+id] = value{words: strconv.Quote(word)}
			}
		}
	}
	for _, origin := range c.IndicatorOrigins {
		d["indicator at "+origin] = value{member: true}
	}
}
