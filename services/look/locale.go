package look

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// Language is one that pages can be had in.
type Language struct {
	// Code is that of a catalog: en or pt; Tag that of HTML; Name its own name for itself.
	Code, Tag, Name string
	tag             language.Tag
}

// Languages lists them; the first is the one of whoever asks for none of them.
func Languages() []Language {
	return []Language{
		{"en", "en", "English", language.English},
		{"pt", "pt-BR", "Português", language.BrazilianPortuguese},
	}
}

// languageCookie keeps the choice of a visitor.
const languageCookie = "creditstream_lang"

// Texts are what a package says in one language, by key. A text may have places for values (%s), and two
// forms for one and many, separated by a bar.
type Texts map[string]string

// ReadTexts reads dir/en.json and dir/pt.json. All languages have the same keys.
func ReadTexts(from fs.FS, dir string) (map[string]Texts, error) {
	all := make(map[string]Texts)
	for _, l := range Languages() {
		name := path.Join(dir, l.Code+".json")
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("read texts: %w", err)
		}
		var texts Texts
		if err := json.Unmarshal(content, &texts); err != nil {
			return nil, fmt.Errorf("read texts %s: %w", name, err)
		}
		all[l.Code] = texts
	}
	first := all[Languages()[0].Code]
	for code, texts := range all {
		for key := range first {
			if _, there := texts[key]; !there {
				return nil, fmt.Errorf("texts %s/%s.json lack %q", dir, code, key)
			}
		}
		if len(texts) != len(first) {
			return nil, fmt.Errorf("texts %s/%s.json have %d keys, those of %s %d", dir, code, len(texts), Languages()[0].Code, len(first))
		}
	}
	return all, nil
}

// Choose finds the language of a request: the visitor's choice (?lang=, kept in a cookie), what the
// browser asks for, or the given one.
func Choose(r *http.Request, byDefault string) Language {
	if l, ok := languageOf(r.URL.Query().Get("lang")); ok {
		return l
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		if l, ok := languageOf(c.Value); ok {
			return l
		}
	}
	all := Languages()
	if wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language")); err == nil && len(wanted) > 0 {
		tags := make([]language.Tag, len(all))
		for i := range all {
			tags[i] = all[i].tag
		}
		if _, i, confidence := language.NewMatcher(tags).Match(wanted...); confidence >= language.High {
			return all[i]
		}
	}
	if l, ok := languageOf(byDefault); ok {
		return l
	}
	return all[0]
}

func languageOf(code string) (Language, bool) {
	for _, l := range Languages() {
		if l.Code == code {
			return l, true
		}
	}
	return Language{}, false
}

// KeepLanguage remembers the choice of a request that has one, and sends the visitor on to the address
// without it. It reports whether it has answered.
func KeepLanguage(w http.ResponseWriter, r *http.Request) bool {
	l, ok := languageOf(r.URL.Query().Get("lang"))
	if !ok || r.Method != http.MethodGet {
		return false
	}
	http.SetCookie(w, Cookie(r, http.Cookie{Name: languageCookie, Value: l.Code, Path: "/", MaxAge: 365 * 24 * 3600}))
	values := r.URL.Query()
	values.Del("lang")
	to := *r.URL
	to.RawQuery = values.Encode()
	http.Redirect(w, r, to.RequestURI(), http.StatusSeeOther)
	return true
}

// Locale says things in one language, with times in one zone.
type Locale struct {
	Language
	Zone  *time.Location
	texts []Texts
}

// Locale is a language with the texts of the layout and those of a package.
func (l *Look) Locale(in Language, zone *time.Location, own map[string]Texts) *Locale {
	if zone == nil {
		zone = time.UTC
	}
	return &Locale{Language: in, Zone: zone, texts: []Texts{own[in.Code], l.texts[in.Code]}}
}

// Has reports whether there is a text for the key.
func (l *Locale) Has(key string) bool {
	_, ok := l.lookup(key)
	return ok
}

func (l *Locale) lookup(key string) (string, bool) {
	for _, texts := range l.texts {
		if text, ok := texts[key]; ok {
			return text, true
		}
	}
	return "", false
}

// T is the text of a key with its values. A key without a text shows as itself: the tests find it.
func (l *Locale) T(key string, values ...any) string {
	text, ok := l.lookup(key)
	if !ok {
		return key
	}
	if len(values) > 0 {
		return fmt.Sprintf(text, values...)
	}
	return text
}

// N is T for a number of things: the form for one, or the one for many. The number itself is not one of
// the values.
func (l *Locale) N(key string, n int64, values ...any) string {
	text, ok := l.lookup(key)
	if !ok {
		return key
	}
	one, many, _ := strings.Cut(text, "|")
	if n != 1 {
		one = many
	}
	if len(values) > 0 {
		return fmt.Sprintf(one, values...)
	}
	return one
}
