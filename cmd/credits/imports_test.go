package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "creditstream"

// mayImport says what of ours a package may import; a name that ends in /... stands for all below it.
// A package that is not listed is not allowed: whoever adds one says here where it belongs.
var mayImport = map[string][]string{
	"events/credit":              {},
	"events/bus":                 {"events/bus/index"},
	"events/bus/index":           {},
	"events/journal":             {"events/credit"},
	"services/rules":             {"events/credit"},
	"services/credentials":       {},
	"services/explain":           {"events/credit", "projections", "projections/statement", "services/rules"},
	"services/personal":          {"events/credit", "services/accounts"},
	"services/accounts":          {"events/credit", "events/journal", "services/rules", "services/vitals", "projections/accounts"},
	"services/backup":            {"events/journal"},
	"services/cycles":            {"events/credit", "services/accounts", "services/rules"},
	"services/purchases":         {"events/credit", "services/accounts", "services/credentials", "services/rules"},
	"services/intake":            {"events/credit", "services/accounts", "services/rules"},
	"services/api":               {"events/credit", "events/journal", "projections/...", "services/accounts", "services/credentials", "services/explain", "services/intake", "services/personal", "services/purchases", "services/rules", "services/web"},
	"services/web":               {"events/credit", "services/accounts", "services/credentials", "services/rules"},
	"services/pages":             {"events/credit", "events/journal", "projections/...", "services/accounts", "services/api", "services/credentials", "services/look", "services/purchases", "services/rules"},
	"services/look":              {"events/credit", "services/rules"},
	"services/vitals":            {},
	"services/front":             {},
	"services/console":           {"events/...", "projections/...", "services/accounts", "services/api", "services/credentials", "services/explain", "services/look", "services/rules", "services/vitals"},
	"services/internal/browser":  {},                                                // what tests of pages stand on
	"services/internal/model":    {},                                                // a second opinion
	"services/internal/trial":    {"events/...", "projections/...", "services/..."}, // what tests stand on
	"services/node/damage":       {"events/bus", "events/journal"},                  // what happens to files, for tests
	"services/node":              {"events/...", "projections/...", "services/..."},
	"projections":                {"events/credit", "events/journal"},
	"projections/accounts":       {"events/credit", "projections"},
	"projections/statement":      {"events/credit", "projections"},
	"projections/usage":          {"events/credit", "projections"},
	"projections/internal/trial": {"events/credit", "projections"},
	"deploy":                     {},
	"cmd/credits":                {"..."},
	"cmd/internal/chart":         {},
	"cmd/internal/load":          {"..."},
	"cmd/internal/machine":       {},
	"cmd/internal/peers":         {"cmd/internal/load", "events/bus", "events/journal", "projections"},
	"cmd/internal/scale":         {"cmd/internal/chart", "cmd/internal/load"},
	"cmd/measure":                {"cmd/internal/..."},
	"cmd/internal/faultfs":       {},
	"cmd/soak":                   {"..."},
}

// mayUse says who may import two libraries that would otherwise be everywhere.
var mayUse = map[string][]string{
	"github.com/nats-io/": {
		"events/journal", "events/bus", "events/bus/index", "services/credentials", "services/intake", "services/personal", "services/api",
		"services/internal/trial", "services/node", "cmd/...",
	},
	"github.com/cockroachdb/pebble": {"projections/...", "cmd/..."},
}

// pure are the packages whose outcome depends on their arguments alone.
var pure = map[string]bool{"events/credit": true, "services/rules": true}

// impure are the ways to ask for something else: a clock, the machine, chance. What is pure may use
// none of these packages, and of package time not these functions.
var (
	impurePackages = []string{"os", "os/exec", "io/ioutil", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog"}
	impureOfTime   = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
)

// sourced is a package as go list describes it.
type sourced struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// packages lists all packages of the module with what their code, not their tests, imports.
func packages(t *testing.T) []sourced {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports", module+"/...")
	command.Stderr = t.Output()
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []sourced
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p sourced
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("read the answer of go list: %v", err)
		}
		list = append(list, p)
	}
}

func within(name string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		if parent, all := strings.CutSuffix(pattern, "..."); all {
			return strings.HasPrefix(name+"/", parent)
		}
		return name == pattern
	})
}

func TestImports(t *testing.T) {
	list := packages(t)
	if len(list) < len(mayImport)/2 {
		t.Fatalf("go list found %d packages only", len(list))
	}
	for _, p := range list {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s is a new package: say in the table of this test what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok && !within(ours, allowed) {
				t.Errorf("%s imports %s, but may import of ours only %v", name, ours, allowed)
			}
			for library, users := range mayUse {
				if strings.HasPrefix(imported, library) && !within(name, users) {
					t.Errorf("%s imports %s, which only %v may", name, imported, users)
				}
			}
			if pure[name] && slices.Contains(impurePackages, imported) {
				t.Errorf("%s imports %s, but its outcome may depend on its arguments only", name, imported)
			}
		}
	}
}

// TestPurePackagesReadNoClock holds what the fold and the rules promise: the same facts and the same
// command give the same outcome, whenever they are asked.
func TestPurePackagesReadNoClock(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		if !pure[strings.TrimPrefix(p.ImportPath, module+"/")] {
			continue
		}
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			checked++
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if from, ok := call.X.(*ast.Ident); ok && from.Name == "time" && from.Obj == nil && slices.Contains(impureOfTime, call.Sel.Name) {
					t.Errorf("%s: time.%s in a package that has no clock", set.Position(call.Pos()), call.Sel.Name)
				}
				return true
			})
		}
	}
	if checked == 0 {
		t.Error("no file was checked")
	}
}
