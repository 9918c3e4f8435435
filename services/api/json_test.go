package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"creditstream/services/rules"
)

// What is sent is read strictly: whatever could be understood in two ways is refused.
func TestParseObjectRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, field, detail string }{
		{"no JSON", `{"a":1`, "", "not JSON"},
		{"two values", `{"a":1}{"a":2}`, "", "not JSON"},
		{"not an object", `[1]`, "", "one JSON object"},
		{"a name twice", `{"quantity":1,"quantity":2}`, "quantity", "twice"},
		{"a name twice, escaped", `{"quantity":1,"quantit\u0079":2}`, "quantity", "twice"},
		{"a name twice, deep", `{"attributes":{"a":[{"b":1,"b":2}]}}`, "b", "twice"},
		{"a name twice among many", `{` + strings.Repeat(`"x%":1,`, 0) + manyNames(40) + `,"n7":1}`, "n7", "twice"},
		{"bad UTF-8", "{\"a\":\"\xff\"}", "", "UTF-8"},
		{"half a pair", `{"a":"\ud800"}`, "", "surrogate"},
		{"half a pair, low", `{"a":"\udc00x"}`, "", "surrogate"},
		{"half a pair, then text", `{"a":"\ud800\u0041"}`, "", "surrogate"},
		{"too deep", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "", "nested"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseObject([]byte(test.text))
			var refusal *rules.Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if refusal.Code != rules.CodeInvalid || refusal.Field != test.field || !strings.Contains(refusal.Detail, test.detail) {
				t.Errorf("got %+v, want field %q and %q", refusal, test.field, test.detail)
			}
		})
	}
}

func manyNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = `"n` + string(rune('0'+i%10)) + strings.Repeat("x", i/10) + `":1`
	}
	return strings.Join(names, ",")
}

func TestParseObjectReads(t *testing.T) {
	o, err := parseObject([]byte(" {\"a\" : \"x\\u00e9\\n\\ud83d\\ude00\", \"b\":{ \"c\":[1, {\"d\":\"}\"} ] } ,\"e\":-1.5e3\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := o.get("a").unquote(); got != "xé\n😀" {
		t.Errorf("a is %q", got)
	}
	if got := string(o.get("b")); got != `{ "c":[1, {"d":"}"} ] }` {
		t.Errorf("b is %s", got)
	}
	if got := string(o.get("e")); got != "-1.5e3" {
		t.Errorf("e is %s", got)
	}
	if got := string(compact(o.get("b"))); got != `{"c":[1,{"d":"}"}]}` {
		t.Errorf("b compacted is %s", got)
	}
}

// The reader agrees with encoding/json wherever it accepts, and never panics.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}],"c":"\u0041\\\""}`, `{"a":1,"a":2}`, `[{"x":tru}]`, "\"\xff\"", `{"a":"\ud83d\ude00"}`, `{"":{}}`, `{"n":[-0,1.5e+10,0.1E-2,01,1.,-]}`, `{"a":1,}`, `[1,]`, `{"a" 1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := parseObject(text)
		if err != nil {
			var refusal *rules.Refusal
			if json.Valid(text) && errors.As(err, &refusal) && strings.Contains(refusal.Detail, "not JSON") {
				t.Fatalf("%q is JSON", text)
			}
			return
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("accepted %q", text)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if len(want) != len(o) {
			t.Fatalf("%d fields, encoding/json sees %d", len(o), len(want))
		}
		for _, m := range o {
			var a, b any
			if json.Unmarshal(m.value, &a) != nil || json.Unmarshal(want[m.name], &b) != nil {
				t.Fatalf("field %q is %q", m.name, m.value)
			}
		}
		contentHash(o, "fuzz")
	})
}
