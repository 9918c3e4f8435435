package look

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
)

//go:embed assets templates texts
var files embed.FS

// Look is the shared part of all pages. It may be used concurrently.
type Look struct {
	assets map[string]*asset // by name
	paths  map[string]*asset // by the path that they are served under
	texts  map[string]Texts  // by language
}

// New reads what is embedded. An error is a fault of the build.
func New() (*Look, error) {
	l := &Look{}
	var err error
	if l.texts, err = ReadTexts(files, "texts"); err != nil {
		return nil, err
	}
	if err := l.readAssets(); err != nil {
		return nil, err
	}
	return l, nil
}

// Frame is what the layout shows around a page's own content. A page's data embeds one.
type Frame struct {
	L *Locale
	// Title is the document's title, without the brand.
	Title string
	// Brand is the name at the top left, Home where it leads; no link when Home is "".
	Brand, Home string
	// Tabs are the parts of the page; none: no tabs.
	Tabs []Tab
	// Live is the address of the page's server-sent events, "" for a page that stands still.
	Live string
	// Switch says in which languages the page can be had; the layout links to them with ?lang=.
	Switch []Language
	// Styles are assets of the page's own; Charts loads what draws charts.
	Styles []string
	Charts bool
	// Wide gives tables room, Slim is for a page with one question.
	Wide, Slim bool
}

// Tab is a link to a part of the page.
type Tab struct {
	Name, Path string
	Current    bool
}

// Pages are the templates of one package together with those of the layout.
type Pages struct{ templates *template.Template }

// Pages parses the templates under dir of a package. Each page is a template that calls "head" first and
// "foot" last; fragments for htmx are templates like any other.
func (l *Look) Pages(own fs.FS, dir string, funcs template.FuncMap) (*Pages, error) {
	t := template.New("").Funcs(l.funcs()).Funcs(funcs)
	t, err := t.ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	if t, err = t.ParseFS(own, dir+"/*.html"); err != nil {
		return nil, fmt.Errorf("parse the templates of %s: %w", dir, err)
	}
	return &Pages{templates: t.Option("missingkey=error")}, nil
}

// Write executes a template and sends what came of it: all of it or, on an error, nothing.
func (p *Pages) Write(w http.ResponseWriter, status int, name string, content any) error {
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, name, content); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	_, err := w.Write(out.Bytes())
	return err
}

// Text executes a template: for what is part of something else, as in server-sent events.
func (p *Pages) Text(name string, content any) (string, error) {
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, name, content); err != nil {
		return "", fmt.Errorf("write part %s: %w", name, err)
	}
	return out.String(), nil
}

func (l *Look) funcs() template.FuncMap {
	return template.FuncMap{
		"asset": l.Asset,
		"icon":  icon,
		"dict":  dict,
	}
}

// dict makes the data of a part from pairs of name and value.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict wants pairs of name and value")
	}
	d := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		d[name] = pairs[i+1]
	}
	return d, nil
}
