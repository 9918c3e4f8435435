package rules

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// asJSON writes a YAML text as JSON with all that a JSON encoder may do to it.
func asJSON(t *testing.T, src string, indent bool) string {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(src), &tree); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(tree)
	if indent {
		out, err = json.MarshalIndent(tree, "", "\t")
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestCatalogInJSON(t *testing.T) {
	// Canonical sources have no floats that a JSON encoder would write another way, and packs
	// whose order by name is their order.
	src := string(parsed(t, strings.NewReplacer("pack-50:", "pack-1:", "49.00", "49").Replace(shippedText(t, "tecpet"))).Source)
	want := parsed(t, src)
	for _, indent := range []bool{false, true} {
		got := parsed(t, asJSON(t, src, indent))
		if !bytes.Equal(got.Source, want.Source) {
			t.Errorf("indented %v: got\n%s\nwant\n%s", indent, got.Source, want.Source)
		}
	}
}

func TestJSONEscapes(t *testing.T) {
	src := `{"name": "Pet \ud83d\udc36 \u00e9 \\ud83d\\udc36 \/ \"x\"", "timezone": "UTC", "currency": "USD",
		"meters": {"m": {"price": 1}}, "pools": {"p": {"priority": 1, "expires": "never", "unit": null}}, "packs": null}`
	c := parsed(t, src)
	same(t, "name", c.Name, `Pet 🐶 é \ud83d\udc36 / "x"`)
	same(t, "name of the source", parsed(t, string(c.Source)).Name, c.Name)
	if got := problemsOf(t, strings.Replace(src, `"priority": 1`, `"prioritee": 1`, 1)); !strings.Contains(got, "line 2: pools.p.prioritee: unknown setting: did you mean priority?") {
		t.Errorf("got %s", got)
	}
}

func TestDefaults(t *testing.T) {
	c := parsed(t, strings.Replace(small, "scale: 2\n", "", 1)+"plans: {a: {rank: 1, meters: all}}\npacks: {k: {price: 1, credits: 1, pool: p}}\n")
	wantDefaults(t, c)
	same(t, "language", c.Language, "en")
	same(t, "approval", c.Approval, Approval{View: ApprovalOff, Buy: ApprovalOff, ViewFor: 15 * time.Minute})
	same(t, "payment method", c.PaymentMethod, PaymentMethodNone)
	same(t, "debt", c.Debt, Debt{})
	same(t, "alerts", c.Alerts, Alerts{})
	same(t, "meter", c.Meters["m"], &Meter{ID: "m", Name: "m", Price: 1_000_000, Per: 1, Rounding: RoundExact, NeedsPlan: true})
	same(t, "pool replaces", c.Pools["p"].ReplaceDays, 30)
	same(t, "pool unit", c.Pools["p"].Unit, UnitCredit)
	a := c.Plans["a"]
	same(t, "plan", []bool{a.Paid, a.Purchase, a.Includes("m"), a.MayGrant("p"), a.MaySpend("p"), a.WholeDay}, []bool{true, true, true, true, true, false})
	n := c.NoPlan
	same(t, "no plan", []bool{n.Purchase, n.Includes("m"), n.MayGrant("p"), n.MaySpend("p")}, []bool{false, false, false, false})
	same(t, "pack", c.Packs["k"].PaysWithin, 24*time.Hour)
}

func TestEverySetting(t *testing.T) {
	c := parsed(t, `name: Full
language: pt
timezone: Asia/Kuwait
currency: KWD
scale: 3
payment_method: required
record_denials: true
late_window: 90d
debt: {limit: 1_000.5}
approval: {view: totp, buy: pin, view_minutes: 5}
holds: {ttl: 30s, max_ttl: 24 hours}
alerts: {low_balance: [5, 100], expiring_days: 3}
words: {usage: "Uso", denied: 'Recusado: "não"'}
meters:
  a: {name: A, description: "Um: dois", units: as, price: 0.5, per: 4, rounding: exact}
  b: {price: 3, per: 7, rounding: accumulate, needs_plan: false}
  "null": {price: 1, per: 10, rounding: ceil}
pools:
  late: {priority: 5, expires: never, reversal: expire}
  any: {priority: 1, expires: 45 days, reversal: 1 day}
  only: {priority: 1, meters: [b, a], expires: cycle_end, rollover: {up_to: 10, cycles: 2}}
  units: {priority: 1, unit: "null", expires: day_before_renewal, rollover: all}
plans:
  p: {rank: 3, paid: false, meters: ["null"], allowances: {units: 12, any: 1.5}, purchase: false, grants: all, contact: Ana, upgrade: Ligue}
  "1": {rank: 2, meters: all, grants: []}
packs:
  z: {name: Z, price: 1.234, credits: 10, pool: any, pays_within: 2h}
  y: {price: 2, credits: 20, pool: late}
topup: {pool: any, rate: 2, min: 1, max: 50, pays_within: 90 minutes}
`)
	same(t, "late window", c.LateWindow, 90*24*time.Hour)
	same(t, "debt", c.Debt.Limit, 1_000_500)
	same(t, "approval", c.Approval, Approval{View: ApprovalTOTP, Buy: ApprovalPIN, ViewFor: 5 * time.Minute})
	same(t, "holds", c.Holds, HoldLimits{TTL: 30 * time.Second, MaxTTL: 24 * time.Hour})
	same(t, "low balance", joinAmounts(c.Alerts.LowBalance, 3), "100, 5")
	same(t, "expiring", c.Alerts.ExpiringDays, 3)
	same(t, "words", c.Words, map[string]string{"usage": "Uso", "denied": `Recusado: "não"`})
	same(t, "burn order", poolIDs(c.PoolOrder), []string{"only", "units", "any", "late"})
	same(t, "pools of a", poolIDs(c.PoolsFor("a")), []string{"only", "any", "late"})
	same(t, "pools of null", poolIDs(c.PoolsFor("null")), []string{"units", "any", "late"})
	same(t, "pools of nothing", c.PoolsFor("nothing"), nil)
	same(t, "pays", []bool{c.Pays("only", "a"), c.Pays("only", "null"), c.Pays("units", "null"), c.Pays("units", "a"), c.Pays("late", "b"), c.Pays("late", "gone"), c.Pays("gone", "a")},
		[]bool{true, false, true, false, true, false, false})
	same(t, "rollover", c.Pools["only"].Rollover, Rollover{On: true, UpTo: 10_000, Cycles: 2})
	same(t, "rollover all", c.Pools["units"].Rollover, Rollover{On: true})
	same(t, "reversals", []int{c.Pools["late"].ReplaceDays, c.Pools["any"].ReplaceDays, c.Pools["only"].ReplaceDays}, []int{0, 1, 0})
	p := c.Plans["p"]
	same(t, "allowances", p.Allowances, []Allowance{{"any", 1500}, {"units", 12_000}})
	same(t, "whole day", p.WholeDay, true)
	same(t, "spends", []bool{p.MaySpend("only"), p.MaySpend("units"), c.NoPlan.MaySpend("only"), c.NoPlan.MaySpend("units")}, []bool{true, true, true, false})
	same(t, "usable", []bool{c.Usable(p, "a"), c.Usable(p, "b"), c.Usable(nil, "b"), c.Usable(nil, "a"), c.Usable(p, "gone")}, []bool{false, true, true, false, false})
	same(t, "unknown plan", c.PlanOf("gone"), nil)
	same(t, "plans by rank", []string{c.PlanOrder[0].ID, c.PlanOrder[1].ID}, []string{"1", "p"})
	same(t, "packs as listed", []string{c.PackOrder[0].ID, c.PackOrder[1].ID}, []string{"z", "y"})
	same(t, "pack", FormatMoney(c.Packs["z"].Price)+" "+c.Packs["z"].PaysWithin.String(), "1.234 2h0m0s")
	same(t, "top-up", c.TopUp.PaysWithin, 90*time.Minute)
	again := parsed(t, string(c.Source))
	if !reflect.DeepEqual(again, c) {
		t.Errorf("parsing the source gives another catalog:\n%s\nbecomes\n%s", c.Source, again.Source)
	}
}

// FuzzParseCatalog: no input panics; what is accepted is spelled out in a source that is
// accepted too and says the same.
func FuzzParseCatalog(f *testing.F) {
	for _, seed := range []string{small, small + "packs: {a: {price: 1, credits: 1, pool: }}", "", "a: *b", "x: &x [*x, {? [a] : b}]", `{"name":"\ud83d\udc36"}`, "- - -", "%YAML 9\n---\n", "a: |2\n  b", "\xff\xfe", "!!binary x"} {
		f.Add([]byte(seed))
	}
	for _, file := range []string{"../../deploy/catalogs/tecpet.yaml", "../../deploy/catalogs/adtech.yaml", "../../deploy/catalogs/wanclouds.yaml", "testdata/catalogs/bad.yaml"} {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := ParseCatalog(src)
		if err != nil {
			if invalid, ok := err.(*CatalogError); !ok || len(invalid.Problems) == 0 || c != nil {
				t.Fatalf("got %v and %v", c, err)
			}
			return
		}
		again, err := ParseCatalog(c.Source)
		if err != nil || !bytes.Equal(again.Source, c.Source) {
			t.Fatalf("the source\n%s\nbecomes %v, %v", c.Source, again, err)
		}
		if lines := Diff(c, again); len(lines) > 0 {
			t.Fatalf("the source differs: %q", lines)
		}
	})
}
