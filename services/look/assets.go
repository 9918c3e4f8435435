package look

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"time"
)

// AssetPath is where the files of all pages are served.
const AssetPath = "/look/"

// sources are the files that pages load, by the names that templates use.
var sources = [...]struct{ name, file string }{
	{"look.css", "assets/look.css"},
	{"look.js", "assets/look.js"},
	{"chart.js", "assets/chart.js"},
	{"icon.svg", "assets/icon.svg"},
	{"htmx.js", "assets/htmx/htmx.min.js"},
	{"sse.js", "assets/htmx/sse.min.js"},
	{"uplot.js", "assets/uplot/uPlot.iife.min.js"},
	{"uplot.css", "assets/uplot/uPlot.min.css"},
}

// mediaTypes are by a file's extension: the system's own table may say otherwise or nothing.
var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// asset is one file.
type asset struct {
	path, media string
	content     []byte
}

func (l *Look) readAssets() error {
	l.assets, l.paths = make(map[string]*asset), make(map[string]*asset)
	for _, source := range sources {
		content, err := files.ReadFile(source.file)
		if err != nil {
			return fmt.Errorf("read asset %s: %w", source.name, err)
		}
		l.AddAsset(source.name, content)
	}
	return nil
}

// AddAsset serves a file of one package's own under /look/. Its name ends in .css, .js or .svg. It is
// called before the Look is in use.
func (l *Look) AddAsset(name string, content []byte) {
	sum := sha256.Sum256(content)
	a := &asset{path: AssetPath + hex.EncodeToString(sum[:6]) + "/" + name, media: mediaTypes[path.Ext(name)], content: content}
	if a.media == "" {
		panic("look: asset of unknown type: " + name)
	}
	l.assets[name], l.paths[a.path] = a, a
}

// Asset is the path of a file by its name. It holds a hash of the content, so it may be kept for ever.
func (l *Look) Asset(name string) (string, error) {
	if a := l.assets[name]; a != nil {
		return a.path, nil
	}
	return "", fmt.Errorf("there is no asset %q", name)
}

// Handler serves the files under AssetPath.
func (l *Look) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := l.paths[r.URL.Path]
		if a == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		header := w.Header()
		header.Set("Content-Type", a.media)
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
	})
}
