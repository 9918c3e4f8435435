package rules_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The scenarios in testdata/scenarios are scripts that a finance colleague can read. A line is
//
//	# a comment
//	== T1, T15: a title           a scenario; the rules that it holds stand before the colon
//	catalog tecpet                the shipped catalog, with changes: debt.limit=5 meters.x.per=3
//	buy pack-50                   a step (ledger_test.go lists them)
//	  purchased/l1 …              indented: exactly what the step answers
//
// A step without indented lines may answer anything except a refusal. Lines in front of the first
// scenario begin every scenario of the file. Amounts were worked out from the rules by hand; there is
// no way to have them written by the code that they judge.
type scenario struct {
	file  string
	line  int
	rules []string
	title string
	steps []step
}

type step struct {
	line     int
	text     string
	expected []string
}

// modes are ways of running the same script that must not make a difference: whether what falls due is
// booked by a sweep at once or by the next decision, and whether the account is kept in memory or read
// back before every step.
var modes = []struct {
	name          string
	swept, reload bool
}{
	{"swept", true, false},
	{"unswept", false, false},
	{"reloaded", false, true},
}

func TestScenarios(t *testing.T) {
	for _, s := range readScenarios(t) {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("%s/%s/%s", strings.TrimSuffix(s.file, ".txt"), s.title, mode.name), func(t *testing.T) {
				l := newLedger(t, mode.swept, mode.reload)
				for _, step := range s.steps {
					l.run(s.file, step)
				}
				l.refold()
			})
		}
	}
}

func readScenarios(t *testing.T) []scenario {
	t.Helper()
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var all []scenario
	for _, file := range files {
		all = append(all, readScript(t, file)...)
	}
	return all
}

func readScript(t *testing.T, file string) []scenario {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var head []step
	var all []scenario
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		steps := &head
		if len(all) > 0 {
			steps = &all[len(all)-1].steps
		}
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(line, "== "):
			numbers, title, ok := strings.Cut(line[3:], ": ")
			if !ok {
				t.Fatalf("%s:%d: a scenario is headed by the rules it holds and a title: == T1, T2: title", file, n)
			}
			all = append(all, scenario{file: filepath.Base(file), line: n, rules: strings.Split(numbers, ", "), title: title, steps: append([]step(nil), head...)})
		case line != trimmed && strings.HasPrefix(line, "  "):
			if len(*steps) == 0 {
				t.Fatalf("%s:%d: an answer without a step", file, n)
			}
			last := &(*steps)[len(*steps)-1]
			last.expected = append(last.expected, trimmed)
		default:
			*steps = append(*steps, step{line: n, text: trimmed})
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	return all
}

// TestRulesTable keeps docs/RULES-TABLE.md honest: every rule has a row, and the scenario file that the
// row names does hold the rule.
func TestRulesTable(t *testing.T) {
	held := map[string]map[string]bool{}
	for _, s := range readScenarios(t) {
		for _, rule := range s.rules {
			if held[rule] == nil {
				held[rule] = map[string]bool{}
			}
			held[rule][s.file] = true
		}
	}
	source, err := os.ReadFile("../../docs/RULES-TABLE.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, line := range strings.Split(string(source), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "rule" {
			continue
		}
		rule, where := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[4])
		rows[rule] = true
		if strings.HasPrefix(where, "page:") || strings.HasPrefix(where, "door:") || strings.HasPrefix(where, "test:") {
			continue
		}
		for _, file := range strings.Split(where, ", ") {
			if !held[rule][file] {
				t.Errorf("RULES-TABLE.md says that %s holds %s: it has no such scenario", file, rule)
			}
		}
	}
	for rule := range held {
		if !rows[rule] {
			t.Errorf("rule %s has scenarios and no row in RULES-TABLE.md", rule)
		}
	}
	for _, group := range []struct {
		letter string
		last   int
	}{{"T", 19}, {"P", 15}, {"W", 13}} {
		for n := 1; n <= group.last; n++ {
			if rule := fmt.Sprint(group.letter, n); !rows[rule] {
				t.Errorf("rule %s has no row in RULES-TABLE.md", rule)
			}
		}
	}
}
