package rules

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// problemsOf parses a catalog that must be refused and returns its problems, one a line.
func problemsOf(t *testing.T, src string) string {
	t.Helper()
	c, err := ParseCatalog([]byte(src))
	var invalid *CatalogError
	if c != nil || !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
		t.Fatalf("got catalog %v and error %v, want a CatalogError", c, err)
	}
	lines := make([]string, len(invalid.Problems))
	for i, p := range invalid.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	src, err := os.ReadFile("testdata/catalogs/bad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/catalogs/bad-problems.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := problemsOf(t, string(src)); got != string(want) {
		t.Errorf("got\n%s", got)
	}
}

// small is the least that is a catalog; tests add to it.
const small = `name: Small
timezone: UTC
currency: USD
scale: 2
meters:
  m: {price: 1}
pools:
  p: {priority: 1, expires: never}
`

func TestRefusedDocuments(t *testing.T) {
	for _, test := range []struct{ name, src, want string }{
		{"empty", "", "the catalog is empty"},
		{"comment", "# nothing\n", "the catalog is empty"},
		{"null", "null\n", "a catalog is a mapping of settings"},
		{"list", "- a\n", "line 1: a catalog is a mapping of settings"},
		{"scalar", "hello", "a catalog is a mapping of settings"},
		{"two documents", small + "---\n" + small, "line 9: a catalog is one YAML document"},
		{"bad second document", small + "---\n{", "not valid YAML"},
		{"syntax", "name: a: b\n", "line 1: not valid YAML"},
		{"tab", "meters:\n\tm: 1\n", "line 2: not valid YAML"},
		{"unknown alias", "name: *x\n", "not valid YAML"},
		{"self alias", "name: &x [*x]\n", "not read in a catalog"},
		{"merge", small + "<<: {name: x}\n", "line 9: <<: unknown setting"},
		{"tag", small + "record_denials: !!str true\n", "line 9: tags (!!str) are not read in a catalog"},
		{"large", small + "# " + strings.Repeat("x", MaxCatalogBytes), "at most 262144 are allowed"},
		{"deep", small + "x: " + strings.Repeat("[", 50) + strings.Repeat("]", 50), "nested more than 12 deep"},
		{"very deep", "x: " + strings.Repeat("{a: ", 20000), "not valid YAML"},
		{"list key", small + "[a]: 1\n", "line 9: the name of a setting must be a plain word"},
		{"section is a word", small + "plans: none\n", "line 9: plans: must be a mapping of settings"},
		{"entry is a word", small + "plans:\n  a: none\n", "line 10: plans.a: must be a mapping of settings"},
		{"nothing behind a pack's pool", small + "packs:\n  a:\n    price: 1\n    credits: 1\n    pool:\n", "line 10: packs.a: pool is missing"},
		{"nothing behind a priority", strings.Replace(small, "priority: 1", "priority: ", 1), "line 8: pools.p: priority is missing"},
		{"name is a list", strings.Replace(small, "Small", "[a]", 1), "line 1: name: must be a single value"},
		{"latin-1", "name: x\nlanguage: Caf\xe9\n", "line 2: has a character that is not text"},
		{"control", "name: x\n\x00", "line 2: has a character that is not text"},
		{"open quote", "name: \"a\nscale: 2\n", "line 3: not valid YAML: found unexpected end of stream, while scanning a quoted scalar that begins on line 1"},
		{"open bracket", "name: [a\nscale: 2\n", "line 2: not valid YAML: did not find expected ',' or ']'"},
		{"nothing to sell", "name: x\ntimezone: UTC\ncurrency: USD\n", "meters is missing"},
		{"local zone", strings.Replace(small, "UTC", "Local", 1), `line 2: timezone: unknown time zone "Local"`},
		{"zone outside", strings.Replace(small, "UTC", "../../etc/passwd", 1), "line 2: timezone: unknown time zone"},
		{"coin too small", small + "topup: {pool: p, rate: 0.5, min: 1, max: 2}\n", "topup.rate: 0.5 per USD is not exact"},
		{"top-up overflow", small + "topup: {pool: p, rate: 1000000000000, min: 1, max: 1000000}\n", "topup.max: buys more credits"},
		{"free meter", strings.Replace(small, "price: 1", "price: 0.00", 1), "meters.m.price: is 0: it must be more than 0"},
		{"scale", strings.Replace(small, "scale: 2", "scale: 10", 1), "scale: \"10\" is not a whole number from 0 to 9"},
		{"exact at scale", strings.Replace(small, "price: 1", "price: 1, per: 8", 1), "1 per 8 is not exact with 2 decimals"},
		{"price decimals", small + "packs: {a: {price: 1.005, credits: 1, pool: p}}\n", "packs.a.price: amount of USD: \"1.005\" has more than 2 decimals"},
		{"exponent", small + "packs: {a: {price: 1e3, credits: 1, pool: p}}\n", "packs.a.price: amount of USD: \"1e3\" is not a decimal number"},
		{"frozen allowance", small + "plans: {a: {rank: 1, meters: [], allowances: {p: 1}}}\n", "no meter of plan a is paid by pool p"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := problemsOf(t, test.src); !strings.Contains(got, test.want) {
				t.Errorf("got\n%swant %s", got, test.want)
			}
		})
	}
}

// The problems of a hostile document stay readable and cheap.
func TestProblemsAreBounded(t *testing.T) {
	src := small + "plans:\n" + strings.Repeat("  a: {b: c, d: [e]}\n", 5000)
	_, err := ParseCatalog([]byte(src))
	var invalid *CatalogError
	if !errors.As(err, &invalid) || len(invalid.Problems) != maxProblems+1 {
		t.Fatalf("got %d problems", len(invalid.Problems))
	}
	if last := invalid.Problems[maxProblems].Message; last != "4903 further problems are not listed" {
		t.Errorf("the last problem is %q", last)
	}
}

func TestTooManyEntries(t *testing.T) {
	var src strings.Builder
	src.WriteString("name: x\ntimezone: UTC\ncurrency: USD\npools: {p: {priority: 1, expires: never}}\nmeters:\n")
	for i := range maxEntries + 1 {
		src.WriteString("  m" + strings.Repeat("x", i/26) + string(rune('a'+i%26)) + ": {price: 1}\n")
	}
	if got := problemsOf(t, src.String()); got != "line 6: meters: has 501 entries, at most 500 are allowed\n" {
		t.Errorf("got %s", got)
	}
}
