package rules_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"creditstream/services/rules"
)

// A pool that was dropped cannot come back counted in something else: its old lots are still there.
func TestBookAccepts(t *testing.T) {
	source, err := os.ReadFile("../../deploy/catalogs/wanclouds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shipped := string(source)
	gift := "  gift: {priority: 5, expires: never}\n"
	parse := func(extra string) *rules.Catalog {
		c, err := rules.ParseCatalog([]byte(strings.Replace(shipped, "pools:\n", "pools:\n"+extra, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var book *rules.Book
	for _, c := range []*rules.Catalog{parse(gift), parse(""), parse(gift)} {
		if err := book.Accepts(c); err != nil {
			t.Fatalf("refused: %v", err)
		}
		book = book.With(payday, c)
	}
	book = book.With(payday, parse(""))
	err = book.Accepts(parse("  gift: {priority: 5, expires: never, unit: assistant_token}\n"))
	var refused *rules.CatalogError
	if !errors.As(err, &refused) || len(refused.Problems) != 1 || refused.Problems[0].Path != "pools.gift.unit" {
		t.Errorf("got %v", err)
	}
}
