package rules_test

import (
	"os"
	"strings"
	"testing"

	"creditstream/services/rules"
)

// What only pages need is checked like everything else, survives canonical form, and shows in a diff.
func TestCatalogForPages(t *testing.T) {
	shipped, err := os.ReadFile("../../deploy/catalogs/wanclouds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parse := func(more string) (*rules.Catalog, error) { return rules.ParseCatalog([]byte(string(shipped) + more)) }
	plain, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(`
translations: {pt: {meters: {assistant_token: Assistente}, pools: {dropped: Antigo}, words: {usage: Uso}}}
indicator: {origins: [https://app.example.com, "http://localhost:3000", https://app.example.com]}
`)
	if err != nil {
		t.Fatal(err)
	}
	if pt := c.Translations["pt"]; pt.Meters["assistant_token"] != "Assistente" || pt.Words["usage"] != "Uso" || pt.Pools["dropped"] != "Antigo" {
		t.Errorf("the translation is %+v", pt)
	}
	if got := strings.Join(c.IndicatorOrigins, " "); got != "http://localhost:3000 https://app.example.com" {
		t.Errorf("the origins are %s", got)
	}
	again, err := rules.ParseCatalog(c.Source)
	if err != nil || string(again.Source) != string(c.Source) {
		t.Errorf("the canonical form reads as another one: %v\n%s", err, again.Source)
	}
	diff := strings.Join(rules.Diff(plain, c), "\n")
	for _, want := range []string{"Assistente", "https://app.example.com"} {
		if !strings.Contains(diff, want) {
			t.Errorf("the difference does not name %s:\n%s", want, diff)
		}
	}
	for more, want := range map[string]string{
		"translations: {en: {meters: {assistant_token: X}}}":        "is the catalog's own language",
		"translations: {fr: {}}":                                    "unknown setting",
		"translations: {pt: {words: {usages: X}}}":                  "did you mean usage?",
		"translations: {pt: {meters: {Bad Name: X}}}":               "cannot be a name",
		"translations: {pt: {meters: [a]}}":                         "must be a mapping",
		"indicator: {origins: [https://a.example/path]}":            "is no origin of a site",
		"indicator: {origins: [app.example.com]}":                   "is no origin of a site",
		`indicator: {origins: ["https://a.example; script-src *"]}`: "is no origin of a site",
		`indicator: {origins: ["https://*.example.com"]}`:           "is no origin of a site",
		"indicator: {origins: https://a.example}":                   "must be a list",
		"indicator: {sites: []}":                                    "unknown setting",
	} {
		if _, err := parse("\n" + more + "\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", more, err, want)
		}
	}
}
