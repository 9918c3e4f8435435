package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/projections/accounts"
	"creditstream/services/api"
	"creditstream/services/rules"
)

// maxCatalog bounds the form of the editor in bytes: the source once more percent-encoded.
const maxCatalog = 3 << 20

// version is one catalog that was published.
type version struct {
	Version uint32
	At      time.Time
	Lines   int
}

// catalogPage is the versions and one of them in full.
type catalogPage struct {
	Versions []version // newest first
	Current  uint32
	Shown    uint32
	Source   []string // its lines
	Done     string
}

// published are the tenant's catalogs, newest first.
func (v *visit) published() ([]accounts.PublishedCatalog, error) {
	all, err := v.tenant.Shards()[0].View().Catalogs()
	if err != nil {
		return nil, fmt.Errorf("read the catalogs of %s: %w", v.tenant.Name(), err)
	}
	slices.Reverse(all)
	return all, nil
}

func (v *visit) catalogs() error {
	all, err := v.published()
	if err != nil {
		return err
	}
	data := catalogPage{}
	if text := v.r.URL.Query().Get("published"); text != "" {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			data.Done = fmt.Sprintf("Version %d is in force.", n)
		}
	}
	wanted := v.r.URL.Query().Get("version")
	for i, c := range all {
		data.Versions = append(data.Versions, version{c.Version, c.At, strings.Count(c.Source, "\n")})
		if i == 0 {
			data.Current = c.Version
		}
		if data.Shown == 0 && (wanted == "" || wanted == strconv.FormatUint(uint64(c.Version), 10)) {
			data.Shown, data.Source = c.Version, splitLines(c.Source)
		}
	}
	return v.write(http.StatusOK, "catalog", "Catalog", data)
}

// diffPage compares two versions, in words and line by line.
type diffPage struct {
	Versions []version
	From, To uint32
	Words    []string
	Hunks    []hunk
	Added    int
	Removed  int
}

func (v *visit) diff() error {
	all, err := v.published()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return v.goTo(home + "/t/" + v.tenant.Name() + "/catalog")
	}
	data := diffPage{To: all[0].Version, From: all[min(1, len(all)-1)].Version}
	for _, c := range all {
		data.Versions = append(data.Versions, version{Version: c.Version, At: c.At})
	}
	for name, into := range map[string]*uint32{"from": &data.From, "to": &data.To} {
		if n, err := strconv.ParseUint(v.r.URL.Query().Get(name), 10, 32); err == nil {
			*into = uint32(n)
		}
	}
	from, to := v.tenant.Books().Version(data.From), v.tenant.Books().Version(data.To)
	if from == nil || to == nil {
		return &rules.Refusal{Code: rules.CodeInvalid, Detail: "one of these versions was never published"}
	}
	data.Words = rules.Diff(from, to)
	lines := compareLines(string(from.Source), string(to.Source))
	for _, l := range lines {
		switch l.Op {
		case "+":
			data.Added++
		case "-":
			data.Removed++
		}
	}
	data.Hunks = hunks(lines)
	return v.write(http.StatusOK, "diff", fmt.Sprintf("Catalog %d to %d", data.From, data.To), data)
}

// editor is a catalog that is being written.
type editor struct {
	Source   string
	Base     uint32 // the version that it was begun from
	Current  uint32
	Problems []rules.Problem
	Marked   string // the lines with problems, separated by spaces
	Fault    string
	Checked  bool // it is valid: Changes say what it would change
	Changes  []string
}

func (v *visit) editCatalog() error {
	data := editor{}
	if c := v.tenant.Books().Current(); c != nil {
		data.Source, data.Base, data.Current = string(c.Source), c.Version, c.Version
	}
	return v.write(http.StatusOK, "catalog-edit", "New catalog version", data)
}

// publishCatalog checks a catalog, or publishes it. What is wrong is told with its lines.
func (v *visit) publishCatalog() error {
	form, err := v.form(maxCatalog)
	if err != nil {
		return err
	}
	data := editor{Source: strings.ReplaceAll(form.Get("source"), "\r\n", "\n")}
	base, _ := strconv.ParseUint(form.Get("base"), 10, 32) // 0 is none: then it has to be the first
	data.Base = uint32(base)
	if c := v.tenant.Books().Current(); c != nil {
		data.Current = c.Version
	}
	publish := form.Get("do") == "publish"
	if publish && data.Base != data.Current {
		data.Fault = fmt.Sprintf("Version %d was published since you began with version %d. Compare them, and check your text against it.", data.Current, data.Base)
		data.Base = data.Current
		return v.write(http.StatusConflict, "catalog-edit", "New catalog version", data)
	}
	ask := question{method: http.MethodPut, path: v.of("catalog"), media: "application/yaml", body: []byte(data.Source)}
	if !publish {
		ask.query = url.Values{"dry_run": {"true"}}
	}
	var answer api.CatalogPublished
	if err := v.ask(ask, &answer); err != nil {
		return v.writeProblems(data, err)
	}
	if publish {
		return v.goTo(home + "/t/" + v.tenant.Name() + "/catalog?published=" + strconv.FormatUint(uint64(answer.Version), 10))
	}
	data.Checked, data.Changes = true, answer.Diff
	return v.write(http.StatusOK, "catalog-edit", "New catalog version", data)
}

func (v *visit) writeProblems(data editor, err error) error {
	var refused *refusal
	if !errors.As(err, &refused) {
		return err
	}
	if data.Problems = refused.Problems; len(data.Problems) == 0 {
		data.Fault = refused.Detail
	}
	var marked []string
	for _, p := range data.Problems {
		if p.Line > 0 {
			marked = append(marked, strconv.Itoa(p.Line))
		}
	}
	data.Marked = strings.Join(marked, " ")
	return v.write(refused.Status, "catalog-edit", "New catalog version", data)
}
