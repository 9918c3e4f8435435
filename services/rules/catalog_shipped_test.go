package rules

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"creditstream/events/credit"
)

func shipped(t *testing.T, tenant string) *Catalog {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("..", "..", "deploy", "catalogs", tenant+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, string(src))
}

func parsed(t *testing.T, src string) *Catalog {
	t.Helper()
	c, err := ParseCatalog([]byte(src))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return c
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func credits(t *testing.T, c *Catalog, s string) credit.Amount {
	t.Helper()
	a, err := credit.ParseAmount(s, c.Scale)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func poolIDs(pools []*Pool) (ids []string) {
	for _, p := range pools {
		ids = append(ids, p.ID)
	}
	return ids
}

func costOf(t *testing.T, c *Catalog, meter string, units int64) string {
	t.Helper()
	cost, _, err := c.Meters[meter].Cost(units, 0)
	if err != nil {
		t.Fatal(err)
	}
	return cost.Format(c.Scale)
}

func TestTecpet(t *testing.T) {
	c := shipped(t, "tecpet")
	same(t, "timezone", c.Timezone, "America/Sao_Paulo")
	same(t, "location", c.Location.String(), "America/Sao_Paulo")
	same(t, "currency", c.Currency, "BRL")
	same(t, "language", c.Language, "pt")
	same(t, "meters", len(c.Meters), 2)
	same(t, "pools", poolIDs(c.PoolOrder), []string{"ai_quota", "purchased"})
	same(t, "T1 expiry", c.Pools["purchased"].Expiry, Expiry{Kind: ExpireMonths, N: 12})
	same(t, "T2 sticker", costOf(t, c, "sticker", 1), "1")
	same(t, "T7 ai_service", costOf(t, c, "ai_service", 3), "3")

	quota := c.Pools["ai_quota"]
	same(t, "T4 unit", quota.Unit, "ai_service")
	same(t, "T4 counts credits", quota.CountsCredits(), false)
	same(t, "T4 base allowance", c.Plans["base"].Allowances, nil)
	same(t, "T4 ai allowance", c.Plans["ai"].Allowance("ai_quota"), credits(t, c, "300"))
	same(t, "T5 expiry", quota.Expiry, Expiry{Kind: ExpireCycleEnd})
	same(t, "T5 rollover", quota.Rollover, Rollover{})
	same(t, "T6 sticker pools", poolIDs(c.PoolsFor("sticker")), []string{"purchased"})
	same(t, "T7 ai_service pools", poolIDs(c.PoolsFor("ai_service")), []string{"ai_quota", "purchased"})
	same(t, "T6 pays", c.Pays("ai_quota", "sticker"), false)
	same(t, "T9 any meter", c.Pools["purchased"].Meters, nil)
	same(t, "whole day", c.Plans["ai"].WholeDay, false)

	for _, plan := range []string{"", "base", "ai"} {
		same(t, "T10 purchase on "+plan, c.PlanOf(plan).Purchase, true)
		same(t, "grant purchased on "+plan, c.PlanOf(plan).MayGrant("purchased"), true)
		same(t, "T10 spend on "+plan, c.PlanOf(plan).MaySpend("purchased"), true)
		same(t, "sticker on "+plan, c.Usable(c.PlanOf(plan), "sticker"), true)
		same(t, "ai_service on "+plan, c.Usable(c.PlanOf(plan), "ai_service"), plan == "ai")
		same(t, "quota on "+plan, c.PlanOf(plan).MaySpend("ai_quota"), plan == "ai")
	}
	same(t, "sticker in both plans", c.Plans["base"].Includes("sticker") && c.Plans["ai"].Includes("sticker"), true)
	same(t, "upgrade", c.Plans["ai"].Rank > c.Plans["base"].Rank, true)
	same(t, "T13 approval", c.Approval, Approval{View: ApprovalPIN, Buy: ApprovalPIN, ViewFor: 15 * time.Minute})
	same(t, "T16 debt", c.Debt.Allowed(), false)
	same(t, "payment method", c.PaymentMethod, PaymentMethodNone)
	same(t, "reversal purchased", c.Pools["purchased"].ReplaceDays, 30)
	same(t, "reversal quota", quota.ReplaceDays, 0)
	wantPacks(t, c, []wantPack{
		{"pack-50", 4900, "50", "purchased"}, {"pack-200", 17900, "200", "purchased"}, {"pack-500", 39900, "500", "purchased"},
	})
	wantDefaults(t, c)
}

func TestAdtech(t *testing.T) {
	c := shipped(t, "adtech")
	same(t, "timezone", c.Timezone, "Europe/Madrid")
	same(t, "currency", c.Currency, "EUR")
	same(t, "pools", poolIDs(c.PoolOrder), []string{"allowance", "extra"})
	pro, standard := c.Plans["pro"], c.Plans["standard"]
	same(t, "P1", pro.Allowance("allowance"), credits(t, c, "2500"))
	same(t, "P2 allowance", standard.Allowances, nil)
	for meter := range c.Meters {
		same(t, "P2 "+meter, c.Usable(standard, meter), false)
		same(t, "P2 without a plan "+meter, c.Usable(c.NoPlan, meter), false)
		same(t, "P3 "+meter, c.Usable(pro, meter), true)
		same(t, "P3 P15 pools of "+meter, poolIDs(c.PoolsFor(meter)), []string{"allowance", "extra"})
	}
	same(t, "meters", len(c.Meters), 3)
	same(t, "P2 grant", standard.MayGrant("extra") || c.NoPlan.MayGrant("extra"), false)
	same(t, "P2 frozen", standard.MaySpend("extra"), false)
	same(t, "P7 grant", pro.MayGrant("extra"), true)
	same(t, "P5 expiry", c.Pools["allowance"].Expiry, Expiry{Kind: ExpireDayBeforeRenewal})
	same(t, "P5 whole day", pro.WholeDay, true)
	same(t, "P6 rollover", c.Pools["allowance"].Rollover, Rollover{})
	same(t, "P10", costOf(t, c, "dynamic_video", 1), "1")
	same(t, "P11 one", costOf(t, c, "custom_image", 1), "0.5")
	same(t, "P11 two", costOf(t, c, "custom_image", 2), "1")
	same(t, "P12", costOf(t, c, "feed_optimization", 101), "2.02")
	same(t, "P13 contact", pro.Contact != "" && standard.Contact != "", true)
	same(t, "P14", pro.Purchase || standard.Purchase || c.NoPlan.Purchase, false)
	same(t, "P14 packs", len(c.Packs), 0)
	same(t, "P14 top-up", c.TopUp, nil)
	same(t, "P15 expiry", c.Pools["extra"].Expiry, Expiry{Kind: ExpireMonths, N: 12})
	same(t, "reversal extra", c.Pools["extra"].ReplaceDays, 30)
	same(t, "reversal allowance", c.Pools["allowance"].ReplaceDays, 0)
	same(t, "upgrade", pro.Rank > standard.Rank, true)
	same(t, "approval", c.Approval.Buy, ApprovalOff)
	same(t, "T16 debt", c.Debt.Allowed(), false)
	wantDefaults(t, c)
}

func TestWanclouds(t *testing.T) {
	c := shipped(t, "wanclouds")
	same(t, "timezone", c.Timezone, "UTC")
	same(t, "currency", c.Currency, "USD")
	free, pro := c.Plans["free"], c.Plans["pro"]
	same(t, "W1 free", free.Purchase, false)
	same(t, "W1 upgrade", free.Upgrade != "", true)
	same(t, "W1 paid", pro.Purchase, true)
	same(t, "paid", []bool{free.Paid, pro.Paid}, []bool{false, true})
	same(t, "free allowance", free.Allowance("allowance"), credits(t, c, "1000000"))
	same(t, "pro allowance", pro.Allowance("allowance"), credits(t, c, "10000000"))
	wantPacks(t, c, []wantPack{
		{"usd-100", 10000, "8000000", "topup"}, {"usd-500", 50000, "40000000", "topup"},
		{"usd-1000", 100000, "80000000", "topup"}, {"usd-2000", 200000, "160000000", "topup"},
	})
	same(t, "W3 pool", c.TopUp.Pool, "topup")
	same(t, "W3 min", c.TopUp.Min, credit.Money{Currency: "USD", Minor: 500})
	same(t, "W3 max", c.TopUp.Max, credit.Money{Currency: "USD", Minor: 1000000})
	same(t, "W3 rate", c.TopUp.Rate, credits(t, c, "80000"))
	for _, pack := range c.PackOrder {
		got, err := c.TopUp.Credits(pack.Price)
		if err != nil || got != pack.Credits {
			t.Errorf("W2 %s at the rate: %v %v, want %v", pack.ID, got, err, pack.Credits)
		}
	}
	same(t, "W6 order", poolIDs(c.PoolsFor("assistant_token")), []string{"allowance", "topup"})
	same(t, "W7 expiry", c.Pools["topup"].Expiry, Expiry{Kind: ExpireCycleEnd})
	same(t, "W8", c.PaymentMethod, PaymentMethodRequired)
	same(t, "W12", c.Pools["allowance"].Expiry, Expiry{Kind: ExpireCycleEnd})
	same(t, "reversals", c.Pools["topup"].ReplaceDays+c.Pools["allowance"].ReplaceDays, 0)
	same(t, "price", costOf(t, c, "assistant_token", 7), "7")
	same(t, "T16 debt", c.Debt.Allowed(), false)
	wantDefaults(t, c)
}

type wantPack struct {
	id      string
	price   int64
	credits string
	pool    string
}

func wantPacks(t *testing.T, c *Catalog, want []wantPack) {
	t.Helper()
	var got []wantPack
	for _, p := range c.PackOrder {
		same(t, "currency of "+p.ID, p.Price.Currency, c.Currency)
		same(t, "time to pay for "+p.ID, p.PaysWithin, 24*time.Hour)
		got = append(got, wantPack{p.ID, p.Price.Minor, p.Credits.Format(c.Scale), p.Pool})
	}
	same(t, "packs", got, want)
	same(t, "packs by name", len(c.Packs), len(want))
}

func wantDefaults(t *testing.T, c *Catalog) {
	t.Helper()
	same(t, "version", c.Version, 0)
	same(t, "scale", c.Scale, 6)
	same(t, "late window", c.LateWindow, 35*24*time.Hour)
	same(t, "holds", c.Holds, HoldLimits{TTL: 15 * time.Minute, MaxTTL: time.Hour})
	same(t, "denials", c.Denials, false)
}

// A default that changes in this package must not change a catalog that was published before.
func TestSourceSpellsOutEverySetting(t *testing.T) {
	for _, tenant := range []string{"tecpet", "adtech", "wanclouds"} {
		c := shipped(t, tenant)
		again := parsed(t, string(c.Source))
		if !bytes.Equal(again.Source, c.Source) {
			t.Errorf("%s: parsing the source changes it:\n%s\nbecomes\n%s", tenant, c.Source, again.Source)
		}
		if !reflect.DeepEqual(again, c) {
			t.Errorf("%s: parsing the source gives another catalog", tenant)
		}
	}
	golden, err := os.ReadFile("testdata/catalogs/tecpet-source.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := shipped(t, "tecpet").Source; !bytes.Equal(got, golden) {
		t.Errorf("the source of tecpet has changed to:\n%s", got)
	}
}

func TestFirstCatalogInWords(t *testing.T) {
	want := []string{
		"meter ai_service added", "meter sticker added", "pool ai_quota added", "pool purchased added",
		"plan ai added", "plan base added", "pack pack-200 added", "pack pack-50 added", "pack pack-500 added",
	}
	if got := Diff(nil, shipped(t, "tecpet")); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
