package rules_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

// noon is when the tests of this file happen.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func crowdedBook(t *testing.T, changes ...string) *rules.Book {
	t.Helper()
	return (&rules.Book{}).With(noon, crowdedCatalog(t, changes...))
}

func crowdedCatalog(t *testing.T, changes ...string) *rules.Catalog {
	t.Helper()
	catalog, err := rules.ParseCatalog([]byte(strings.NewReplacer(changes...).Replace(crowded)))
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

func opened(t *testing.T, b *rules.Book, plan string) *credit.Account {
	t.Helper()
	a := credit.NewAccount("a")
	do(t, a, b, noon, rules.PutAccount{Plan: rules.Set(plan)})
	return a
}

func text(s string) string { return strings.Repeat(s, 1025) }

func TestWhatIsRefused(t *testing.T) {
	b := crowdedBook(t)
	open := opened(t, b, "basic")
	do(t, open, b, noon, rules.GrantCredits{Pool: "left", Credits: 500, Reason: "r"})
	do(t, open, b, noon, rules.PlaceHold{Meter: "video", Quantity: 1})
	do(t, open, b, noon, rules.ReleaseHold{Hold: "h1"})
	closed := opened(t, b, "basic")
	do(t, closed, b, noon, rules.PlaceHold{Meter: "video", Quantity: 1})
	do(t, closed, b, noon, rules.CloseAccount{Reason: "moved away"})
	none := credit.NewAccount("none")
	eur := func(minor int64) credit.Money { return credit.Money{Currency: "EUR", Minor: minor} }
	ends := func(t time.Time) rules.Field[time.Time] { return rules.Set(t) }
	use := &credit.UsageRecorded{Meter: "video", Quantity: 3, Cost: 300, Catalog: 1}

	for _, test := range []struct {
		name    string
		account *credit.Account
		command rules.Command
		code    rules.Code
		field   string
	}{
		{"use of nobody", none, rules.Use{Meter: "video", Quantity: 1}, rules.CodeUnknownAccount, ""},
		{"bad quantity comes before the account", none, rules.Use{Meter: "video"}, rules.CodeInvalid, "quantity"},
		{"negative quantity", open, rules.Use{Meter: "video", Quantity: -1}, rules.CodeInvalid, "quantity"},
		{"more than an amount holds", open, rules.Use{Meter: "page", Quantity: 1 << 62}, rules.CodeInvalid, "quantity"},
		{"the same, already used", open, rules.Use{Meter: "page", Quantity: 1 << 62, Intake: true}, rules.CodeInvalid, "quantity"},
		{"long description", open, rules.Use{Meter: "video", Quantity: 1, Description: text("x")}, rules.CodeInvalid, "description"},
		{"long attributes", open, rules.Use{Meter: "video", Quantity: 1, Attributes: json.RawMessage(text("1"))}, rules.CodeInvalid, "attributes"},
		{"unknown meter", open, rules.Use{Meter: "fax", Quantity: 1}, rules.CodeUnknownMeter, "meter"},
		{"unknown meter of a closed account", closed, rules.Use{Meter: "fax", Quantity: 1}, rules.CodeUnknownMeter, "meter"},
		{"use of a closed account", closed, rules.Use{Meter: "video", Quantity: 1}, rules.CodeAccountClosed, ""},
		{"the same, already used", closed, rules.Use{Meter: "video", Quantity: 1, Intake: true}, rules.CodeAccountClosed, ""},
		{"too far ahead", open, rules.Use{Meter: "video", Quantity: 1, Time: noon.Add(5*time.Minute + 1), Intake: true}, rules.CodeInvalid, "time"},
		{"out of this world", open, rules.Use{Meter: "video", Quantity: 1, Time: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), Intake: true}, rules.CodeInvalid, "time"},
		{"too late", open, rules.Use{Meter: "video", Quantity: 1, Time: noon.Add(-35*24*time.Hour - 1)}, rules.CodeLateEvent, "time"},

		{"hold for nobody", none, rules.PlaceHold{Meter: "video", Quantity: 1}, rules.CodeUnknownAccount, ""},
		{"hold for too long", open, rules.PlaceHold{Meter: "video", Quantity: 1, TTL: time.Hour + 1}, rules.CodeInvalid, "ttl"},
		{"hold for less than nothing", open, rules.PlaceHold{Meter: "video", Quantity: 1, TTL: -1}, rules.CodeInvalid, "ttl"},
		{"hold of an unknown meter", open, rules.PlaceHold{Meter: "fax", Quantity: 1}, rules.CodeUnknownMeter, "meter"},
		{"hold on a closed account", closed, rules.PlaceHold{Meter: "video", Quantity: 1}, rules.CodeAccountClosed, ""},
		{"hold of too much", open, rules.PlaceHold{Meter: "page", Quantity: 1 << 62}, rules.CodeInvalid, "quantity"},
		{"hold of more than there is", open, rules.PlaceHold{Meter: "ping", Quantity: 4000}, rules.CodeInsufficientCredits, ""},
		{"capture of an unknown hold", open, rules.CaptureHold{Hold: "h2"}, rules.CodeUnknownHold, ""},
		{"capture of nonsense", open, rules.CaptureHold{Hold: "h01"}, rules.CodeUnknownHold, ""},
		{"capture of less than nothing", open, rules.CaptureHold{Hold: "h1", Quantity: -1}, rules.CodeInvalid, "quantity"},
		{"capture after release", open, rules.CaptureHold{Hold: "h1"}, rules.CodeHoldClosed, ""},
		{"release of nobody's", none, rules.ReleaseHold{Hold: "h1"}, rules.CodeUnknownAccount, ""},
		{"release twice", open, rules.ReleaseHold{Hold: "h1"}, rules.CodeHoldClosed, ""},
		{"capture on a closed account", closed, rules.CaptureHold{Hold: "h1"}, rules.CodeAccountClosed, ""},

		{"reversal of nothing", open, rules.ReverseUsage{Usage: "u"}, rules.CodeUnknownUsage, ""},
		{"reversal of less than nothing", open, rules.ReverseUsage{Usage: "u", Quantity: -1, Original: use}, rules.CodeInvalid, "quantity"},
		{"reversal of more than was used", open, rules.ReverseUsage{Usage: "u", Quantity: 3, Original: use, Already: 1}, rules.CodeReversalExceedsUsage, "quantity"},
		{"reversal of what was reversed", open, rules.ReverseUsage{Usage: "u", Original: use, Already: 3}, rules.CodeReversalExceedsUsage, "quantity"},
		{"reversal with a long reason", open, rules.ReverseUsage{Usage: "u", Original: use, Reason: text("x")}, rules.CodeInvalid, "reason"},
		{"reversal on a closed account", closed, rules.ReverseUsage{Usage: "u", Original: use}, rules.CodeAccountClosed, ""},
		{"reversal for nobody", none, rules.ReverseUsage{Usage: "u", Original: use}, rules.CodeUnknownAccount, ""},

		{"grant of nothing", open, rules.GrantCredits{Pool: "left", Reason: "r"}, rules.CodeInvalid, "credits"},
		{"grant beyond all bounds", open, rules.GrantCredits{Pool: "left", Credits: credit.MaxAmount + 1, Reason: "r"}, rules.CodeInvalid, "credits"},
		{"grant that does not fit beside the rest", open, rules.GrantCredits{Pool: "left", Credits: credit.MaxAmount, Reason: "r"}, rules.CodeInvalid, "credits"},
		{"grant of half a unit", open, rules.GrantCredits{Pool: "quota", Credits: 150, Reason: "r"}, rules.CodeInvalid, "credits"},
		{"grant without a reason", open, rules.GrantCredits{Pool: "left", Credits: 1}, rules.CodeInvalid, "reason"},
		{"grant with a long reason", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: text("x")}, rules.CodeInvalid, "reason"},
		{"grant with a long invoice", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r", InvoiceRef: text("x")}, rules.CodeInvalid, "invoice_ref"},
		{"grant of another kind", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r", Kind: "purchase"}, rules.CodeInvalid, "kind"},
		{"grant that ends now", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r", Ends: ends(noon)}, rules.CodeInvalid, "expires"},
		{"grant until the stars go out", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r", Ends: ends(noon.AddDate(300, 0, 0))}, rules.CodeInvalid, "expires"},
		{"grant for a negative price", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r", Price: eur(-1)}, rules.CodeInvalid, "price"},
		{"grant in another currency", open, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r", Price: credit.Money{Currency: "USD", Minor: 1}}, rules.CodeInvalid, "price.currency"},
		{"grant into no pool", open, rules.GrantCredits{Pool: "sea", Credits: 1, Reason: "r"}, rules.CodeUnknownPool, "pool"},
		{"grant to nobody", none, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r"}, rules.CodeUnknownAccount, ""},
		{"grant to a closed account", closed, rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r"}, rules.CodeAccountClosed, ""},
		{"revoke without a reason", open, rules.RevokeLot{Lot: "l1"}, rules.CodeInvalid, "reason"},
		{"revoke at length", open, rules.RevokeLot{Lot: "l1", Reason: text("x")}, rules.CodeInvalid, "reason"},
		{"revoke no lot", open, rules.RevokeLot{Lot: "l7", Reason: "r"}, rules.CodeUnknownLot, ""},
		{"revoke nobody's", none, rules.RevokeLot{Lot: "l1", Reason: "r"}, rules.CodeUnknownAccount, ""},
		{"revoke on a closed account", closed, rules.RevokeLot{Lot: "l1", Reason: "r"}, rules.CodeAccountClosed, ""},

		{"close nobody", none, rules.CloseAccount{}, rules.CodeUnknownAccount, ""},
		{"reopen nobody", none, rules.ReopenAccount{}, rules.CodeUnknownAccount, ""},
		{"close at length", open, rules.CloseAccount{Reason: text("x")}, rules.CodeInvalid, "reason"},
		{"reopen at length", closed, rules.ReopenAccount{Reason: text("x")}, rules.CodeInvalid, "reason"},

		{"unknown plan", open, rules.PutAccount{Plan: rules.Set("gold")}, rules.CodeUnknownPlan, "plan"},
		{"no such zone", none, rules.PutAccount{Timezone: rules.Set("Mars/Olympus")}, rules.CodeInvalid, "timezone"},
		{"anchor out of range", none, rules.PutAccount{Anchor: rules.Set(time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC))}, rules.CodeInvalid, "anchor"},
		{"another anchor", open, rules.PutAccount{Anchor: rules.Set(noon.Add(1))}, rules.CodeInvalid, "anchor"},
		{"unknown approval", open, rules.PutAccount{Approval: rules.Set("smile")}, rules.CodeInvalid, "approval"},
		{"sometime", open, rules.PutAccount{Effective: "sometime"}, rules.CodeInvalid, "effective"},
		{"a card number", open, rules.PutAccount{PaymentMethod: rules.Set(credit.PaymentMethod{Label: "4242 4242 4242 4242"})}, rules.CodeInvalid, "payment_method.label"},
		{"a long method", open, rules.PutAccount{PaymentMethod: rules.Set(credit.PaymentMethod{Reference: text("x")})}, rules.CodeInvalid, "payment_method"},
		{"nested metadata", open, rules.PutAccount{Metadata: notes("crm", `{"a":1}`)}, rules.CodeInvalid, "metadata.crm"},
		{"broken metadata", open, rules.PutAccount{Metadata: notes("crm", `"a`)}, rules.CodeInvalid, "metadata.crm"},
		{"broken metadata of a new account", none, rules.PutAccount{Metadata: notes("crm", `[]`)}, rules.CodeInvalid, "metadata.crm"},
		{"long metadata", open, rules.PutAccount{Metadata: notes("crm", `"`+text("x")+`"`)}, rules.CodeInvalid, "metadata"},
		{"change of a closed account", closed, rules.PutAccount{Approval: rules.Set("pin")}, rules.CodeAccountClosed, ""},

		{"import of what exists", open, rules.ImportAccount{}, rules.CodeInvalid, "account"},
		{"import with an unknown plan", none, rules.ImportAccount{PutAccount: rules.PutAccount{Plan: rules.Set("gold")}}, rules.CodeUnknownPlan, "plan"},
		{"import with bad notes", none, rules.ImportAccount{PutAccount: rules.PutAccount{Metadata: notes("crm", `[]`)}}, rules.CodeInvalid, "metadata.crm"},
		{"import into no pool", none, lots(rules.OpeningLot{Pool: "left", Credits: 1}, rules.OpeningLot{Pool: "sea", Credits: 1}), rules.CodeUnknownPool, "lots[1].pool"},
		{"import of what starts later", none, lots(rules.OpeningLot{Pool: "left", Credits: 1, Starts: noon.Add(1)}), rules.CodeInvalid, "lots[0].starts"},
		{"import of what has ended", none, lots(rules.OpeningLot{Pool: "left", Credits: 1, Ends: noon}), rules.CodeInvalid, "lots[0].expires"},
		{"import of what has ended by its pool", none, lots(rules.OpeningLot{Pool: "right", Credits: 1, Starts: noon.AddDate(0, 0, -30)}), rules.CodeInvalid, "lots[0].expires"},
		{"import of nothing", none, lots(rules.OpeningLot{Pool: "left"}), rules.CodeInvalid, "lots[0].credits"},
		{"import of another kind", none, lots(rules.OpeningLot{Pool: "left", Credits: 1, Kind: "rollover"}), rules.CodeInvalid, "lots[0].kind"},
		{"import for a negative price", none, lots(rules.OpeningLot{Pool: "left", Credits: 1, Price: eur(-1)}), rules.CodeInvalid, "lots[0].price"},
	} {
		facts, err := test.command.Decide(test.account, b, noon)
		var r *rules.Refusal
		if !errors.As(err, &r) || r.Code != test.code || r.Field != test.field || r.Detail == "" || len(facts) > 0 {
			t.Errorf("%s: %d facts, refused with %+v, want %s of field %q", test.name, len(facts), err, test.code, test.field)
		}
	}
}

func notes(name, value string) rules.Field[map[string]json.RawMessage] {
	return rules.Set(map[string]json.RawMessage{name: json.RawMessage(value)})
}

func lots(all ...rules.OpeningLot) rules.ImportAccount { return rules.ImportAccount{Lots: all} }

// A tenant without a catalog has accounts all the same; everything that needs a rule is refused.
func TestWithoutACatalog(t *testing.T) {
	var b *rules.Book
	a := credit.NewAccount("a")
	do(t, a, b, noon, rules.PutAccount{Metadata: notes("crm", "7")})
	do(t, a, b, noon.AddDate(3, 0, 0), rules.CloseAccount{})
	do(t, a, b, noon.AddDate(3, 0, 0), rules.ReopenAccount{})
	if a.Cycle().Number != 37 || a.Timezone() != "UTC" {
		t.Errorf("%+v in %s, want cycle 37 in UTC", a.Cycle(), a.Timezone())
	}
	for _, command := range []rules.Command{
		rules.Use{Meter: "video", Quantity: 1}, rules.PlaceHold{Meter: "video", Quantity: 1},
		rules.GrantCredits{Pool: "left", Credits: 1, Reason: "r"}, rules.PutAccount{Plan: rules.Set("basic")},
		rules.ReverseUsage{Usage: "u"},
	} {
		var r *rules.Refusal
		if _, err := command.Decide(a, b, noon.AddDate(3, 0, 0)); !errors.As(err, &r) {
			t.Errorf("%+v: %v, want a refusal", command, err)
		}
	}
}

func TestPatch(t *testing.T) {
	b := crowdedBook(t)
	a := credit.NewAccount("a")
	card := credit.PaymentMethod{Provider: "acme", Reference: "pm_1", Label: "Visa •••• 4242"}
	put := rules.PutAccount{
		Plan: rules.Set("basic"), Timezone: rules.Set("Asia/Tokyo"), Approval: rules.Set("pin"), PaymentMethod: rules.Set(card),
		Metadata: rules.Set(map[string]json.RawMessage{"crm": json.RawMessage(` "x7" `), "gone": json.RawMessage("null")}),
	}
	do(t, a, b, noon, put)
	if a.Timezone() != "Asia/Tokyo" || a.Approval() != "pin" || a.PaymentMethod() != card || string(a.Metadata()["crm"]) != `"x7"` || len(a.Metadata()) != 1 {
		t.Errorf("opened with %s, %q, %+v, %s", a.Timezone(), a.Approval(), a.PaymentMethod(), a.Metadata())
	}
	for name, same := range map[string]rules.PutAccount{"the same": put, "nothing": {}, "its anchor": {Anchor: rules.Set(noon)}} {
		if facts := do(t, a, b, noon, same); len(facts) != 0 {
			t.Errorf("putting %s changes %s", name, mustJSON(facts))
		}
	}
	do(t, a, b, noon, rules.PutAccount{Metadata: notes("tier", "2")})
	do(t, a, b, noon, rules.PutAccount{
		Timezone: rules.Set(""), Approval: rules.Set(""), PaymentMethod: rules.Set(credit.PaymentMethod{}), Metadata: notes("crm", "null"),
	})
	if a.Approval() != "" || a.PaymentMethod() != (credit.PaymentMethod{}) || len(a.Metadata()) != 1 || string(a.Metadata()["tier"]) != "2" {
		t.Errorf("changed to %q, %+v, %s", a.Approval(), a.PaymentMethod(), a.Metadata())
	}
	if a.Timezone() != "Asia/Tokyo" || a.NextTimezone() != "Europe/Madrid" {
		t.Errorf("is in %s and then in %s, want the catalog's zone from the next boundary", a.Timezone(), a.NextTimezone())
	}
	rules.Settle(a, b, noon.AddDate(0, 1, 1))
	if a.Timezone() != "Europe/Madrid" {
		t.Errorf("is in %s after the boundary", a.Timezone())
	}
	do(t, a, b, noon.AddDate(0, 1, 1), rules.PutAccount{Metadata: notes("tier", "null")})
	if a.Metadata() != nil {
		t.Errorf("notes %s, want none", a.Metadata())
	}
}

// What an import brings in the pool of an allowance is what is left of this cycle's allowance.
func TestImport(t *testing.T) {
	b := crowdedBook(t)
	a := credit.NewAccount("a")
	anchor := noon.AddDate(0, -1, -5)
	do(t, a, b, noon, rules.ImportAccount{
		PutAccount: rules.PutAccount{Plan: rules.Set("basic"), Anchor: rules.Set(anchor)},
		Lots: []rules.OpeningLot{
			{Pool: "monthly", Credits: 1200},
			{Pool: "left", Credits: 700, Starts: anchor, Kind: credit.KindPurchase, Price: credit.Money{Currency: "EUR", Minor: 900}},
			{Pool: "always", Credits: 100},
		},
	})
	got := map[string]string{}
	for _, l := range a.Lots() {
		got[l.Pool] += l.Kind + " " + l.Remaining.Format(2)
	}
	for pool, want := range map[string]string{"monthly": "allowance 12", "quota": "allowance 8", "left": "purchase 7", "always": "opening 1"} {
		if got[pool] != want {
			t.Errorf("%s holds %q, want %q", pool, got[pool], want)
		}
	}
	for _, l := range a.Pool("left").Live() {
		if !l.Paid || !l.Ends.Equal(rules.AddMonths(anchor, 3, b.Current().Location)) {
			t.Errorf("an imported purchase: %+v", *l)
		}
	}
	do(t, a, b, noon, rules.PutAccount{Plan: rules.Set("grand")})
	if terms := a.Pool("monthly").Terms; terms.Expired != 1200 || terms.Remaining != 9000 {
		t.Errorf("an upgrade replaces the imported allowance: %+v", terms)
	}
}
