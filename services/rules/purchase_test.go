package rules_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/rules"
)

var payday = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func bookOf(t *testing.T, tenant string) *rules.Book {
	t.Helper()
	source, err := os.ReadFile("../../deploy/catalogs/" + tenant + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := rules.ParseCatalog(source)
	if err != nil {
		t.Fatal(err)
	}
	return new(rules.Book).With(payday.AddDate(-1, 0, 0), catalog)
}

// carryOut decides and folds, and returns the refusal's code, or "".
func carryOut(t *testing.T, a *credit.Account, b *rules.Book, c rules.Command) rules.Code {
	t.Helper()
	facts, err := c.Decide(a, b, payday)
	for _, f := range facts {
		a.Evolve(f.Event, f.At)
	}
	var r *rules.Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatalf("%T is a fault and no refusal: %v", c, err)
	}
	if r == nil {
		return ""
	}
	return r.Code
}

func purchaseCommands() []rules.Command {
	return []rules.Command{
		rules.RequestPurchase{Purchase: "p2", Pack: "pack-50", Approved: "pin"},
		rules.ApprovePurchase{Purchase: "p9"},
		rules.UpdatePurchase{Purchase: "p9", Status: credit.Processing},
		rules.FailPurchase{Purchase: "p9"},
		rules.ConfirmPayment{Purchase: "p9"},
		rules.RefundPurchase{Purchase: "p9"},
	}
}

// Nobody who asks about an account that was never opened gets anything but unknown_account.
func TestPurchaseOfAnUnknownAccount(t *testing.T) {
	for _, c := range purchaseCommands() {
		if code := carryOut(t, credit.NewAccount("nobody"), bookOf(t, "tecpet"), c); code != rules.CodeUnknownAccount {
			t.Errorf("%T: refused with %q", c, code)
		}
	}
}

// A tenant may have accounts and no catalog: everything is refused or empty, nothing breaks.
func TestPurchaseWithoutACatalog(t *testing.T) {
	a := credit.NewAccount("ana")
	for _, b := range []*rules.Book{nil, {}} {
		if !a.Exists() {
			if code := carryOut(t, a, b, rules.PutAccount{}); code != "" {
				t.Fatalf("open: %s", code)
			}
		}
		for _, c := range purchaseCommands() {
			if code := carryOut(t, a, b, c); code != rules.CodeUnknownPack && code != rules.CodeUnknownPurchase {
				t.Errorf("%T: refused with %q", c, code)
			}
		}
		if q := rules.Check(a, b, "sticker", 1, payday); q.Allowed || q.Refusal == nil || q.Refusal.Code != rules.CodeUnknownMeter {
			t.Errorf("check: %+v", q)
		}
		if balance := rules.BalanceOf(a, b, payday); !balance.Close() || balance.Total != 0 {
			t.Errorf("balance: %+v", balance)
		}
	}
}

func TestRequestPurchaseRefusesNonsense(t *testing.T) {
	a, b := credit.NewAccount("ana"), bookOf(t, "wanclouds")
	method := rules.Set(credit.PaymentMethod{Provider: "sandbox", Reference: "pm_1", Label: "Visa"})
	if code := carryOut(t, a, b, rules.PutAccount{Plan: rules.Set("pro"), PaymentMethod: method}); code != "" {
		t.Fatal(code)
	}
	if code := carryOut(t, a, b, rules.RequestPurchase{Purchase: "p1", Pack: "usd-100"}); code != "" {
		t.Fatal(code)
	}
	usd := func(minor int64) credit.Money { return credit.Money{Currency: "USD", Minor: minor} }
	for name, c := range map[string]rules.RequestPurchase{
		"no id":             {Pack: "usd-100"},
		"an id in use":      {Purchase: "p1", Pack: "usd-100"},
		"nothing":           {Purchase: "p2"},
		"both":              {Purchase: "p2", Pack: "usd-100", TopUp: usd(10000)},
		"negative":          {Purchase: "p2", TopUp: usd(-10000)},
		"zero dollars":      {Purchase: "p2", TopUp: usd(0)},
		"the largest int64": {Purchase: "p2", TopUp: usd(1<<63 - 1)},
		"nested metadata":   {Purchase: "p2", Pack: "usd-100", Metadata: credit.Metadata{"a": []byte(`{"b":1}`)}},
	} {
		if code := carryOut(t, a, b, c); code != rules.CodeInvalid {
			t.Errorf("%s: refused with %q", name, code)
		}
	}
}

// A page that shows or hides the Buy button and the purchase itself agree.
func TestMayBuyAgreesWithARequest(t *testing.T) {
	method := rules.Set(credit.PaymentMethod{Provider: "sandbox", Reference: "pm_1", Label: "Visa"})
	for name, put := range map[string]rules.PutAccount{
		"free":               {Plan: rules.Set("free"), PaymentMethod: method},
		"pro":                {Plan: rules.Set("pro"), PaymentMethod: method},
		"pro without method": {Plan: rules.Set("pro")},
		"no plan":            {PaymentMethod: method},
	} {
		a, b := credit.NewAccount("ana"), bookOf(t, "wanclouds")
		for _, c := range []rules.Command{put, rules.CloseAccount{}, rules.ReopenAccount{}} {
			carryOut(t, a, b, c)
			var code rules.Code
			if r := rules.MayBuy(a, b, payday); r != nil {
				code = r.Code
			}
			if asked := carryOut(t, a.Clone(), b, rules.RequestPurchase{Purchase: "p1", Pack: "usd-100"}); asked != code {
				t.Errorf("%s after %T: may buy says %q, a request %q", name, c, code, asked)
			}
		}
	}
}

// What a provider sends beside the money never costs a customer the credits.
func TestConfirmPaymentKeepsWhatFits(t *testing.T) {
	a, b := credit.NewAccount("ana"), bookOf(t, "tecpet")
	for _, c := range []rules.Command{
		rules.PutAccount{},
		rules.RequestPurchase{Purchase: "p1", Pack: "pack-50", Approved: "pin"},
		rules.ConfirmPayment{
			Purchase: "p1", Paid: credit.Money{Currency: "BRL", Minor: 4900}, ReceiptURL: strings.Repeat("é", 2000),
			PaidAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		},
	} {
		if code := carryOut(t, a, b, c); code != "" {
			t.Fatalf("%T: %s", c, code)
		}
	}
	p := a.Purchase("p1")
	if p.Status != credit.Completed || len(p.ReceiptURL) != 1024 || !p.PaidAt.IsZero() {
		t.Errorf("status %s, receipt of %d bytes, paid at %s", p.Status, len(p.ReceiptURL), p.PaidAt)
	}
}

// However often a success is told, and whatever became of the purchase meanwhile, it gives its credits once.
func TestASecondSuccessGivesNothing(t *testing.T) {
	b := bookOf(t, "tecpet")
	a := credit.NewAccount("a")
	a.Evolve(&credit.AccountOpened{Timezone: "UTC", Anchor: payday, Cycle: credit.Cycle{Number: 1, From: payday, To: payday.AddDate(0, 1, 0)}}, payday)
	if code := carryOut(t, a, b, rules.RequestPurchase{Purchase: "p1", Pack: "pack-50", Approved: "pin"}); code != "" {
		t.Fatal(code)
	}
	paid := rules.ConfirmPayment{Purchase: "p1", Paid: a.Purchase("p1").Price}
	for _, c := range []rules.Command{paid, paid, rules.FailPurchase{Purchase: "p1"}, paid, rules.RefundPurchase{Purchase: "p1", Reason: "asked"}, paid} {
		carryOut(t, a, b, c)
		if len(a.Lots()) != 1 {
			t.Fatalf("after %T there are %d lots", c, len(a.Lots()))
		}
	}
}

// The provider's time is kept beside ours, in UTC.
func TestConfirmPaymentKeepsTheProvidersTime(t *testing.T) {
	a, b := credit.NewAccount("ana"), bookOf(t, "tecpet")
	paidAt := time.Date(2026, 3, 10, 8, 59, 0, 0, time.FixedZone("", -3*3600))
	carryOut(t, a, b, rules.PutAccount{})
	carryOut(t, a, b, rules.RequestPurchase{Purchase: "p1", Pack: "pack-50", Approved: "pin"})
	carryOut(t, a, b, rules.ConfirmPayment{Purchase: "p1", Paid: credit.Money{Currency: "BRL", Minor: 4900}, PaidAt: paidAt})
	p, lot := a.Purchase("p1"), a.Lots()[0]
	if p.PaidAt != paidAt.UTC() || lot.Starts != payday {
		t.Errorf("paid at %s, usable from %s", p.PaidAt, lot.Starts)
	}
}

// An account at the limit of what can be counted is refused more, before it pays for it.
func TestRequestPurchaseRefusesWhatCannotBeCounted(t *testing.T) {
	a, b := credit.NewAccount("ana"), bookOf(t, "tecpet")
	carryOut(t, a, b, rules.PutAccount{})
	if code := carryOut(t, a, b, rules.GrantCredits{Pool: "purchased", Credits: credit.MaxAmount, Reason: "all of it"}); code != "" {
		t.Fatal(code)
	}
	if code := carryOut(t, a, b, rules.RequestPurchase{Purchase: "p1", Pack: "pack-50", Approved: "pin"}); code != rules.CodeInvalid {
		t.Errorf("refused with %q", code)
	}
}
