package explain

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

var update = flag.Bool("update", false, "write testdata/facts.txt anew")

// Every kind of event has a sentence of its own. The frozen examples of the journal's format are told one by one;
// testdata/facts.txt is what they say, for people to read.
func TestEveryFactIsTold(t *testing.T) {
	examples, err := filepath.Glob("../../events/credit/testdata/wire/*.json")
	if err != nil || len(examples) == 0 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	w := &walk{books: new(rules.Book), scale: 6}
	told := make(map[string]bool)
	var all strings.Builder
	for _, path := range examples {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var example []struct{ Data json.RawMessage }
		if err := json.Unmarshal(text, &example); err != nil || len(example) != 1 {
			t.Fatalf("%s: %v", path, err)
		}
		kind, _, _ := strings.Cut(filepath.Base(path), ".")
		e, err := new(credit.Decoder).Event(kind, example[0].Data)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		f := w.tell(e)
		told[kind] = f.says != kind+"."
		fmt.Fprintf(&all, "%s\n  %s\n", strings.TrimSuffix(filepath.Base(path), ".json"), f.says)
		if f.note != "" {
			fmt.Fprintf(&all, "  “%s”\n", f.note)
		}
		if len(f.lots) > 0 {
			fmt.Fprintf(&all, "  lots %s\n", strings.Join(f.lots, ", "))
		}
	}
	for _, kind := range credit.Kinds() {
		if !told[kind] && kind != "CatalogPublished" { // that is of no account
			t.Errorf("%s has no sentence", kind)
		}
	}
	const golden = "testdata/facts.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("the facts say\n%s\nand %s has\n%s", all.String(), golden, want)
	}
}
