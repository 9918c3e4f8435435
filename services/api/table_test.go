package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// Every endpoint says which scope it needs; those that need none are few and named here.
func TestEveryRouteHasAScope(t *testing.T) {
	public := map[string]bool{"healthz": true, "readyz": true, "metrics": true, "openapi": true, "docs": true, "docsAssets": true}
	ids := make(map[string]bool)
	for _, rt := range (&API{}).routes() {
		if ids[rt.id] {
			t.Errorf("two operations are called %s", rt.id)
		}
		ids[rt.id] = true
		switch {
		case rt.scope == open && !public[rt.id] && rt.tag() != "server" && !strings.Contains(rt.path, "/payments/"):
			t.Errorf("%s is open to everybody", rt.id)
		case rt.scope == 0 || rt.scope != open && len(credentials.ScopesOf(rt.scope).Names()) != 1:
			t.Errorf("%s needs scope %q, want one", rt.id, rt.scope)
		}
		if strings.HasPrefix(rt.path, adminPath) && rt.scope != credentials.Admin {
			t.Errorf("%s is the operator's and needs %s", rt.id, rt.scope)
		}
		if rt.summary == "" && !rt.hidden || rt.handle == nil {
			t.Errorf("%s is not complete", rt.id)
		}
	}
}

// A route without a scope is nobody's.
func TestAForgottenScopeIsClosed(t *testing.T) {
	a := New(Config{Dev: true})
	forgotten := &route{id: "forgotten", handle: func(*call) (reply, error) { return ok(Nothing{}) }}
	r, err := http.NewRequest(http.MethodGet, "http://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:1"
	c := &call{API: a, r: r, route: forgotten}
	if err := c.authenticate(); err != nil {
		t.Fatal(err)
	}
	if c.authorize() == nil {
		t.Error("a route without a scope was opened")
	}
}

// Every code of package rules has a status.
func TestEveryCodeHasAStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../rules/rules.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		code := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if _, known := statusOf[rules.Code(code)]; !known {
			t.Errorf("code %s has no status", code)
		}
		codes++
		return true
	})
	if codes < 20 {
		t.Errorf("only %d codes were found", codes)
	}
}

// The endpoints that write their answers by hand write what the document says.
func TestHandWrittenAnswersHaveTheirFields(t *testing.T) {
	for name, test := range map[string]struct {
		text []byte
		into any
	}{
		"usage":  {(&recorded{used: sampleUse(), replayed: true, scale: 2}).appendJSON(nil), new(UsageAnswer)},
		"check":  {(&quoted{quote: rules.Quote{Allowed: true, Cost: 5, Draws: sampleUse().Draws}, scale: 2}).appendJSON(nil), new(CheckAnswer)},
		"denied": {(&quoted{quote: rules.Quote{Refusal: sampleRefusal()}, scale: 2}).appendJSON(nil), new(CheckAnswer)},
	} {
		o, err := parseObject(test.text)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, test.text, err)
		}
		known := jsonNames(reflect.TypeOf(test.into).Elem())
		for _, m := range o {
			if !known[m.name] {
				t.Errorf("%s writes %q, which the document does not have", name, m.name)
			}
		}
		for field, required := range requiredNames(reflect.TypeOf(test.into).Elem()) {
			if required && o.get(field) == nil {
				t.Errorf("%s does not write %q", name, field)
			}
		}
	}
}

func jsonNames(t reflect.Type) map[string]bool {
	names := make(map[string]bool)
	for name := range requiredNames(t) {
		names[name] = true
	}
	return names
}

func requiredNames(t reflect.Type) map[string]bool {
	names := make(map[string]bool)
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names[name] = !strings.Contains(options, "omitempty")
	}
	return names
}
