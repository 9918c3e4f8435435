package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"creditstream/events/credit"
)

// Limits of single settings, far beyond what a programme needs.
const (
	maxSettingText = 1024
	maxMonths      = 1200
	maxDays        = 36500
)

// scalar returns a setting that is one value.
func (s *section) scalar(name string) (*yaml.Node, bool) {
	node := s.take(name)
	if node == nil {
		return nil, false
	}
	if node.Kind != yaml.ScalarNode {
		s.add(node.Line, s.at(name), "must be a single value, not a list or a mapping")
		return nil, false
	}
	return node, true
}

// text returns a line of text for people; an empty one counts as absent.
func (s *section) text(name, otherwise string) string {
	node, ok := s.scalar(name)
	if !ok || node.Value == "" {
		return otherwise
	}
	if len(node.Value) > maxSettingText {
		s.add(node.Line, s.at(name), "has %d bytes, at most %d are allowed", len(node.Value), maxSettingText)
		return otherwise
	}
	if strings.ContainsFunc(node.Value, func(c rune) bool { return unicode.IsControl(c) || c == unicode.ReplacementChar }) {
		s.add(node.Line, s.at(name), "must be one line of text, without control characters")
		return otherwise
	}
	return node.Value
}

// choice returns one of a few words.
func (s *section) choice(name, otherwise string, words ...string) string {
	node, ok := s.scalar(name)
	if !ok {
		return otherwise
	}
	if !slices.Contains(words, node.Value) {
		s.add(node.Line, s.at(name), "%q is none of %s", brief(node.Value), strings.Join(words, ", "))
		return otherwise
	}
	return node.Value
}

func (s *section) flag(name string, otherwise bool) bool {
	word := s.choice(name, strconv.FormatBool(otherwise), "true", "false")
	return word == "true"
}

// integer returns a whole number between low and high.
func (s *section) integer(name string, otherwise, low, high int) int {
	node, ok := s.scalar(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(strings.ReplaceAll(node.Value, "_", ""))
	if err != nil || n < low || n > high {
		s.add(node.Line, s.at(name), "%q is not a whole number from %d to %d", brief(node.Value), low, high)
		return otherwise
	}
	return n
}

// requiredInteger is integer for a setting that has no default.
func (s *section) requiredInteger(name, want string, low, high int) int {
	if s.absent(name) {
		s.missing(name, want)
	}
	return s.integer(name, low, low, high)
}

// amount returns a positive number of credits; 0 after a problem.
func (s *section) amount(name, want string) credit.Amount {
	node := s.take(name)
	if node == nil {
		s.missing(name, want)
		return 0
	}
	return s.amountOf(s.at(name), node)
}

// amountOf reads a positive amount at the catalog's scale. Underscores may group its digits.
func (r *reader) amountOf(path string, node *yaml.Node) credit.Amount {
	if node.Kind != yaml.ScalarNode {
		if node.Kind != yaml.AliasNode {
			r.add(node.Line, path, "must be a number such as 2.5")
		}
		return 0
	}
	if strings.HasPrefix(node.Value, "-") {
		r.add(node.Line, path, "%s is negative: it must be more than 0", brief(node.Value))
		return 0
	}
	amount, err := credit.ParseAmount(ungroup(node.Value), r.scale)
	if err != nil {
		r.add(node.Line, path, "%v (the catalog's scale is %d)", err, r.scale)
		return 0
	}
	if amount == 0 {
		r.add(node.Line, path, "is 0: it must be more than 0")
	}
	return amount
}

// wholeUnits refuses parts of a meter's unit in a pool that counts them.
func (r *reader) wholeUnits(path string, node *yaml.Node, pool *Pool, amount credit.Amount) {
	if unit := wholeUnit(r.scale); !pool.CountsCredits() && amount%unit != 0 {
		r.add(node.Line, path, "%s is not a whole number, but pool %s counts units of %s",
			amount.Format(r.scale), pool.ID, pool.Unit)
	}
}

func wholeUnit(scale int) credit.Amount {
	unit := credit.Amount(1)
	for range scale {
		unit *= 10
	}
	return unit
}

var grouped = regexp.MustCompile(`^[0-9]{1,3}(_[0-9]{3})+(\.[0-9]+)?$`)

// ungroup removes underscores that separate thousands, as in 10_000_000.
func ungroup(s string) string {
	if len(s) < 64 && grouped.MatchString(s) {
		return strings.ReplaceAll(s, "_", "")
	}
	return s
}

// price returns a positive amount of the catalog's currency.
func (s *section) price(name, want string) credit.Money {
	node, ok := s.scalar(name)
	if !ok {
		if s.value[name] == nil {
			s.missing(name, want)
		}
		return credit.Money{}
	}
	if s.currency == "" {
		return credit.Money{} // the currency is a problem of its own
	}
	money, err := ParseMoney(s.currency, ungroup(node.Value))
	switch {
	case strings.HasPrefix(node.Value, "-"):
		s.add(node.Line, s.at(name), "%s is negative: it must be more than 0", brief(node.Value))
	case err != nil:
		s.add(node.Line, s.at(name), "%v", err)
	case money.Minor == 0:
		s.add(node.Line, s.at(name), "is 0: it must be more than 0")
	}
	return money
}

var durationPattern = regexp.MustCompile(`^([0-9]{1,9}) ?([a-z]+)$`)

// duration returns a time span of whole seconds between low and high.
func (s *section) duration(name string, otherwise, low, high time.Duration) time.Duration {
	node, ok := s.scalar(name)
	if !ok {
		return otherwise
	}
	d, ok := parseDuration(node.Value)
	if !ok {
		s.add(node.Line, s.at(name), "%q is not a time span: write one such as 15m, 24h or 35 days", brief(node.Value))
		return otherwise
	}
	if d < low || d > high {
		s.add(node.Line, s.at(name), "%s is outside of %s to %s", brief(node.Value), formatDuration(low), formatDuration(high))
		return otherwise
	}
	return d
}

func parseDuration(text string) (time.Duration, bool) {
	m := durationPattern.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	unit, ok := map[string]time.Duration{
		"s": time.Second, "second": time.Second, "seconds": time.Second,
		"m": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hour": time.Hour, "hours": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	}[m[2]]
	n, err := strconv.Atoi(m[1])
	if !ok || err != nil || time.Duration(n) > 100*365*24*time.Hour/unit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// formatDuration writes a time span in the largest unit that fits it exactly.
func formatDuration(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= u.size && d%u.size == 0 {
			return count(int(d/u.size), u.name)
		}
	}
	return count(int(d/time.Second), "second")
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// names returns a list of names that must exist, sorted; the word "all" stands for every one.
// ok is false when the setting is absent.
func (s *section) names(name, kind string, exist []string, mayAll bool) (list []string, ok bool) {
	node := s.take(name)
	if node == nil {
		return nil, false
	}
	if mayAll && node.Kind == yaml.ScalarNode && node.Value == "all" {
		return slices.Sorted(slices.Values(exist)), true
	}
	if node.Kind != yaml.SequenceNode {
		want := "a list such as [a, b]"
		if mayAll {
			want += ", or all"
		}
		s.add(node.Line, s.at(name), "must be %s", want)
		return nil, true
	}
	for i, item := range node.Content {
		path := fmt.Sprintf("%s[%d]", s.at(name), i)
		switch {
		case item.Kind != yaml.ScalarNode:
			if item.Kind != yaml.AliasNode {
				s.add(item.Line, path, "must be the name of a %s", kind)
			}
		case slices.Contains(list, item.Value):
			s.add(item.Line, path, "%s is listed twice", brief(item.Value))
		case s.known(item, path, kind, exist):
			list = append(list, item.Value)
		}
	}
	slices.Sort(list)
	return list, true
}

// known reports whether a value is one of the names that exist, with a problem when it is not.
func (r *reader) known(node *yaml.Node, path, kind string, exist []string) bool {
	if slices.Contains(exist, node.Value) {
		return true
	}
	r.add(node.Line, path, "unknown %s %q%s", kind, brief(node.Value), r.advise(node.Value, exist))
	return false
}
