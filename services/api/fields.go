package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// Limits of what may be sent (RULES.md "privacy"), in bytes.
const (
	maxID         = 128
	maxKey        = 255
	maxText       = 1 << 10
	maxAttributes = 1 << 10
)

// maxQuantity is the largest quantity of one request.
const maxQuantity = 1_000_000_000_000

// fields reads the fields of one object, each by name and type. The first fault stays: read all, then
// ask err once.
type fields struct {
	object object
	prefix string // "data." in front of the names that faults give
	fault  *rules.Refusal
}

// fieldsOf starts reading. A field that is not known is refused, with the name that was probably meant.
func fieldsOf(o object, prefix string, known ...string) fields {
	f := fields{object: o, prefix: prefix}
	for i := range o {
		if !slices.Contains(known, o[i].name) {
			f.refuse(clip(o[i].name), "there is no such field"+suggestion(o[i].name, known))
			break
		}
	}
	return f
}

func (f *fields) refuse(name, detail string) {
	if f.fault == nil {
		f.fault = invalid(f.prefix+name, detail)
	}
}

// err is the first fault, or nil.
func (f *fields) err() error {
	if f.fault != nil {
		return f.fault
	}
	return nil
}

// sent returns a field that is there and not null.
func (f *fields) sent(name string) (value, bool) {
	v := f.object.get(name)
	return v, v != nil && !v.isNull()
}

// isNull reports whether the field was sent as null.
func (f *fields) isNull(name string) bool { return f.object.get(name).isNull() }

// has reports whether the field was sent at all, null included.
func (f *fields) has(name string) bool { return f.object.get(name) != nil }

func (f *fields) require(name string) (value, bool) {
	v, ok := f.sent(name)
	if !ok {
		f.refuse(name, "this field is required")
	}
	return v, ok
}

// optional reads a text of at most most bytes; "" when it is absent.
func (f *fields) optional(name string, most int) string {
	v, ok := f.sent(name)
	if !ok {
		return ""
	}
	return f.text(name, v, most)
}

// required reads a text that has to be there and not empty.
func (f *fields) required(name string, most int) string {
	v, ok := f.require(name)
	if !ok {
		return ""
	}
	s := f.text(name, v, most)
	if strings.TrimSpace(s) == "" {
		f.refuse(name, "this field must not be empty")
	}
	return s
}

func (f *fields) text(name string, v value, most int) string {
	if !v.isString() {
		f.refuse(name, "a text is expected")
		return ""
	}
	s := v.unquote()
	if len(s) > most {
		f.refuse(name, fmt.Sprintf("at most %d bytes, this has %d", most, len(s)))
		return ""
	}
	if hasControl(s, most > maxID) {
		f.refuse(name, "control characters are not allowed here")
		return ""
	}
	return s
}

// id reads a required name of at most 128 bytes.
func (f *fields) id(name string) string { return f.required(name, maxID) }

// quantity reads a number of units, a JSON integer from 1 to 10^12. Absent is 0, unless required.
func (f *fields) quantity(name string, required bool) int64 {
	v, ok := f.sent(name)
	if !ok {
		if required {
			f.refuse(name, "this field is required")
		}
		return 0
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 1 || n > maxQuantity || v[0] == '+' {
		f.refuse(name, "a whole number from 1 to 1000000000000 is expected, written without quotes, point or exponent")
		return 0
	}
	return n
}

// integer reads a whole number from least to most; absent is byDefault.
func (f *fields) integer(name string, least, most, byDefault int) int {
	v, ok := f.sent(name)
	if !ok {
		return byDefault
	}
	n, err := strconv.Atoi(string(v))
	if err != nil || n < least || n > most {
		f.refuse(name, fmt.Sprintf("a whole number from %d to %d is expected", least, most))
	}
	return n
}

// time reads an instant; the zero time when it is absent.
func (f *fields) time(name string) time.Time {
	v, ok := f.sent(name)
	if !ok {
		return time.Time{}
	}
	if !v.isString() {
		f.refuse(name, expectTime)
		return time.Time{}
	}
	t, err := parseTime(v.unquote())
	if err != nil {
		f.refuse(name, err.Error())
	}
	return t
}

// duration reads a time span such as "15m"; 0 when it is absent.
func (f *fields) duration(name string) time.Duration {
	s := f.optional(name, 32)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		f.refuse(name, `a time span above zero such as "15m" or "1h30m" is expected`)
	}
	return d
}

// amount reads credits, a decimal text at the tenant's scale; above zero when it is there.
func (f *fields) amount(name string, scale int, required bool) credit.Amount {
	v, ok := f.sent(name)
	switch {
	case !ok && required:
		f.refuse(name, "this field is required")
		return 0
	case !ok:
		return 0
	case !v.isString():
		f.refuse(name, `an amount is a text such as "2.5"`)
		return 0
	}
	amount, err := credit.ParseAmount(v.unquote(), scale)
	if err != nil {
		f.refuse(name, err.Error())
	} else if amount == 0 {
		f.refuse(name, "an amount above zero is expected")
	}
	return amount
}

// money reads {"currency","amount"}; the zero value when it is absent.
func (f *fields) money(name string) credit.Money {
	v, ok := f.sent(name)
	if !ok {
		return credit.Money{}
	}
	if !v.isObject() {
		f.refuse(name, `{"currency","amount"} is expected`)
		return credit.Money{}
	}
	in := fieldsOf(v.members(), f.prefix+name+".", "currency", "amount")
	currency, amount := in.required("currency", maxID), in.required("amount", maxID)
	if in.fault == nil {
		if _, err := rules.MinorDigits(currency); err != nil {
			in.refuse("currency", err.Error())
		} else if money, err := rules.ParseMoney(currency, amount); err != nil {
			in.refuse("amount", err.Error())
		} else {
			return money
		}
	}
	if f.fault == nil {
		f.fault = in.fault
	}
	return credit.Money{}
}

// flag reads true or false; absent is false.
func (f *fields) flag(name string) bool {
	v, ok := f.sent(name)
	if ok && v[0] != 't' && v[0] != 'f' {
		f.refuse(name, "true or false is expected")
	}
	return ok && v[0] == 't'
}

// attributes reads an object of at most 1 KiB, compacted, as text of its own.
func (f *fields) attributes(name string) json.RawMessage {
	v, ok := f.sent(name)
	if !ok {
		return nil
	}
	if !v.isObject() {
		f.refuse(name, "an object is expected")
		return nil
	}
	if len(v) > maxAttributes {
		f.refuse(name, fmt.Sprintf("at most %d bytes, this has %d", maxAttributes, len(v)))
		return nil
	}
	return compact(v)
}

// compact copies a value without the space between its parts.
func compact(v value) json.RawMessage {
	dst := make(json.RawMessage, 0, len(v))
	for i := 0; i < len(v); {
		switch v[i] {
		case ' ', '\n', '\t', '\r':
			i++
		case '"':
			end := skip(v, i)
			dst = append(dst, v[i:end]...)
			i = end
		default:
			dst = append(dst, v[i])
			i++
		}
	}
	return dst
}

// metadata reads names to JSON scalars; null stays null, for a merge.
func (f *fields) metadata(name string) map[string]json.RawMessage {
	v, ok := f.sent(name)
	if !ok {
		return nil
	}
	if !v.isObject() {
		f.refuse(name, "an object is expected")
		return nil
	}
	if len(v) > maxAttributes {
		f.refuse(name, fmt.Sprintf("at most %d bytes, this has %d", maxAttributes, len(v)))
		return nil
	}
	noted := make(map[string]json.RawMessage)
	for _, m := range v.members() {
		if m.value.isObject() || m.value.isArray() {
			f.refuse(name+"."+clip(m.name), "a text, a number, true, false or null is expected")
			return nil
		}
		if m.name == "" || len(m.name) > maxID || hasControl(m.name, false) {
			f.refuse(name, "names have 1 to 128 bytes and no control characters")
			return nil
		}
		noted[m.name] = slices.Clone(json.RawMessage(m.value))
	}
	return noted
}

// texts reads a list of 1 to most ids.
func (f *fields) texts(name string, most int) []string {
	v, ok := f.require(name)
	if !ok {
		return nil
	}
	if !v.isArray() {
		f.refuse(name, "a list of texts is expected")
		return nil
	}
	elements := v.elements()
	if len(elements) == 0 || len(elements) > most {
		f.refuse(name, fmt.Sprintf("1 to %d are expected, these are %d", most, len(elements)))
		return nil
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		list[i] = f.text(fmt.Sprintf("%s[%d]", name, i), e, maxID)
	}
	return list
}

// suggestion names the known field nearest to a misspelt one.
func suggestion(name string, known []string) string {
	best, distance := "", 1+len(name)/2
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return ": known are " + strings.Join(known, ", ")
}

// editDistance counts the insertions, deletions and replacements between two short texts.
func editDistance(a, b string) int {
	if len(a) > maxID {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
