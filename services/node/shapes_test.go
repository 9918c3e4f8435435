package node_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// has demands fields of the object at path: "name:type …", where a question mark says that the field may be
// absent or null. Fields that are not named may be there, too.
func (a answer) has(t *testing.T, path, fields string) answer {
	t.Helper()
	if path != "" {
		path += "."
	}
	for field := range strings.FieldsSeq(fields) {
		name, kind, _ := strings.Cut(field, ":")
		kind, optional := strings.CutSuffix(kind, "?")
		v := a.value(path + name)
		if v == nil && optional {
			continue
		}
		if check, ok := kinds[kind]; !ok || !check(v) {
			t.Errorf("%v\n  %s%s is %v, want a %s", a, path, name, v, kind)
		}
	}
	return a
}

var kinds = map[string]func(any) bool{
	"string": func(v any) bool { s, ok := v.(string); return ok && s != "" },
	"bool":   func(v any) bool { _, ok := v.(bool); return ok },
	"list":   func(v any) bool { _, ok := v.([]any); return ok },
	"object": func(v any) bool { _, ok := v.(map[string]any); return ok },
	"int":    func(v any) bool { n, ok := v.(json.Number); return ok && !strings.ContainsAny(n.String(), ".eE") },
	"amount": func(v any) bool { s, ok := v.(string); return ok && decimal.MatchString(s) },
	"money": func(v any) bool {
		m, ok := v.(map[string]any)
		if !ok || len(m) != 2 {
			return false
		}
		currency, _ := m["currency"].(string)
		amount, _ := m["amount"].(string)
		return currencyCode.MatchString(currency) && moneyAmount.MatchString(amount)
	},
	"time": func(v any) bool {
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	},
}

var (
	currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
	moneyAmount  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

// The shapes of the interface.
const (
	accountShape  = "account:string status:string plan:string? pending:object? cycle:object timezone:string payment_method:object? metadata:object"
	periodShape   = "from:time to:time"
	termsShape    = "total:amount used:amount held:amount expired:amount revoked:amount frozen:amount remaining:amount "
	balanceShape  = termsShape + "account:string at:time position:string cycle:object debt:amount pools:list"
	poolShape     = termsShape + "pool:string unit:string expires:time? meters:list lots:list"
	lotShape      = "lot:string remaining:amount starts:time expires:time?"
	entryShape    = "position:string time:time recorded:time type:string meter:string? quantity:int? credits:amount unit:string description:string? actor:string key:string? attributes:object? draws:list remaining:amount"
	drawShape     = "pool:string lot:string amount:amount unit:string cycle:int"
	checkShape    = "allowed:bool cost:amount remaining:amount remaining_units:int code:string? draws:list"
	recordedShape = "status:string position:string cost:amount draws:list remaining:amount replayed:bool"
	holdShape     = "hold:string cost:amount draws:list expires:time position:string"
	purchaseShape = "purchase:string status:string credits:amount price:money pays_until:time checkout_url:string?"
	problemShape  = "type:string title:string status:int detail:string code:string"
)
