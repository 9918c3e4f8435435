package rules

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestDiffInWords(t *testing.T) {
	before := shippedText(t, "tecpet")
	old := parsed(t, before)
	for _, test := range []struct {
		name        string
		replace, by string
		want        []string
	}{
		{"nothing", "", "", nil},
		{"comment", "# T", "# t", nil},
		{"price", "price: 1\n    needs_plan", "price: 2\n    needs_plan", []string{"sticker: 1 → 2 credits"}},
		{"price per", "units: atendimentos\n    price: 1", "units: atendimentos\n    price: 3\n    per: 2", []string{"ai_service: 1 → 3 per 2 credits"}},
		{"needs plan", "needs_plan: false", "needs_plan: true", []string{"meter sticker: needs plan false → true"}},
		{"allowance", "ai_quota: 300", "ai_quota: 500", []string{"plan ai: allowance ai_quota 300 → 500"}},
		{"allowance gone", "    allowances:\n      ai_quota: 300", "    paid: false", []string{"plan ai: allowance ai_quota 300 removed", "plan ai: paid true → false"}},
		{"meter of plan", "meters: [sticker, ai_service]", "meters: [ai_service]", []string{"plan ai: meter sticker removed"}},
		{"grants", "grants: [ai_quota, purchased]", "grants: [ai_quota]", []string{"plan ai: grants to purchased removed"}},
		{"no plan", "purchase: true\n", "purchase: false\n", []string{"accounts without a plan: purchase true → false"}},
		{"pack price", "49.00", "59", []string{"pack pack-50: price 49.00 → 59.00 BRL"}},
		{"pack renamed", "  pack-50:", "  pack-60:", []string{"order of packs [pack-50, pack-200, pack-500] → [pack-60, pack-200, pack-500]", "pack pack-50 removed", "pack pack-60 added"}},
		{"expiry", "expires: 12 months", "expires: 6 months", []string{"pool purchased: expires 12 months → 6 months"}},
		{"any meter", "expires: 12 months", "expires: 12 months\n    meters: [sticker]", []string{"pool purchased: meter sticker added", "pool purchased: pays any meter removed"}},
		{"approval", "buy: pin", "buy: off", []string{"approval to buy pin → off"}},
		{"late window", "35 days", "36 days", []string{"late window 35 days → 36 days"}},
		{"debt", "debt: off", "debt: {limit: 50}", []string{"debt off → {limit: 50}"}},
		{"word", "Recarga", "Compra", []string{`word for purchase "Recarga" → "Compra"`}},
		{"contact", "grants: [ai_quota, purchased]", "grants: [ai_quota, purchased]\n    contact: Ana", []string{`plan ai: contact "" → "Ana"`}},
		{"top-up", "debt: off", "debt: off\ntopup: {pool: purchased, rate: 1, min: 1, max: 2}", []string{"top-up added"}},
		{"currency", "currency: BRL", "currency: USD", []string{
			"currency BRL → USD", "pack pack-200: price 179.00 BRL → 179.00 USD", "pack pack-50: price 49.00 BRL → 49.00 USD", "pack pack-500: price 399.00 BRL → 399.00 USD",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(before, test.replace) {
				t.Fatalf("the catalog has no %q", test.replace)
			}
			changed := parsed(t, strings.Replace(before, test.replace, test.by, 1))
			if got := Diff(old, changed); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if sameSource := string(old.Source) == string(changed.Source); sameSource != (len(test.want) == 0) {
				t.Errorf("the same source: %v", sameSource)
			}
		})
	}
}

func shippedText(t *testing.T, tenant string) string {
	t.Helper()
	src, err := os.ReadFile("../../deploy/catalogs/" + tenant + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

func TestTopUpDiff(t *testing.T) {
	before := shippedText(t, "wanclouds")
	after := strings.NewReplacer("rate: 80_000", "rate: 90_000", "max: 10_000.00", "max: 20000").Replace(before)
	want := []string{"top-up: most 10000.00 → 20000.00 USD", "top-up: rate 80000 → 90000 credits per USD"}
	if got := Diff(parsed(t, before), parsed(t, after)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	lines := Diff(parsed(t, before), shipped(t, "adtech"))
	if !slices.Contains(lines, "top-up removed") || !slices.Contains(lines, "plan free removed") || !slices.Contains(lines, "plan standard added") {
		t.Errorf("from one programme to another: %q", lines)
	}
}

func TestWhatMustStay(t *testing.T) {
	old := shipped(t, "tecpet")
	if err := old.Follows(nil); err != nil {
		t.Errorf("a first catalog: %v", err)
	}
	if err := shipped(t, "tecpet").Follows(old); err != nil {
		t.Errorf("the same catalog: %v", err)
	}
	text := shippedText(t, "tecpet")
	changed := parsed(t, strings.NewReplacer("scale: 6", "scale: 4", "    unit: ai_service\n", "    meters: [ai_service]\n").Replace(text))
	err := changed.Follows(old)
	var invalid *CatalogError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 2 {
		t.Fatalf("got %v", err)
	}
	same(t, "scale", invalid.Problems[0].Path, "scale")
	same(t, "unit", invalid.Problems[1].Path, "pools.ai_quota.unit")
}
