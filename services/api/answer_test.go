package api

import (
	"encoding/json"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

func sampleUse() *credit.UsageRecorded {
	return &credit.UsageRecorded{
		Meter: "ai_service", Quantity: 5, Cost: 300, Remaining: 1050, Debt: 1, Unpaid: 2,
		Draws: []credit.Draw{{Lot: "l1", Pool: "ai_quota", Amount: 200, Unit: "ai_service", Cycle: 1}, {Lot: "l2", Pool: "purchased", Amount: 300, Cycle: 1}},
	}
}

func sampleRefusal() *rules.Refusal {
	return &rules.Refusal{
		Code: rules.CodeInsufficientCredits, Detail: `"none" left`, BlockedBy: rules.BlockedByCredits, Short: 150,
		NextRenewal: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Contact: "ana@example.com", PendingPurchase: "p1",
	}
}

// RULES.md: of 5 services with 2 on quota the cost is 3, and the draws say who paid.
func TestUsageAnswer(t *testing.T) {
	text := (&recorded{used: sampleUse(), position: accounts.Position{Sequence: 7, Offset: 2}, scale: 2}).appendJSON(nil)
	var got UsageAnswer
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	want := `{"status":"recorded","position":"7.2","cost":"3","draws":[{"pool":"ai_quota","lot":"l1","amount":"2","unit":"ai_service","cycle":1},` +
		`{"pool":"purchased","lot":"l2","amount":"3","unit":"credit","cycle":1}],"remaining":"10.5","debt":"0.01","unpaid":"0.02","replayed":false}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestCheckAnswer(t *testing.T) {
	text := (&quoted{quote: rules.Quote{Remaining: 50, RemainingUnits: 3, Cost: 200, Refusal: sampleRefusal()}, position: accounts.Position{Sequence: 1}, scale: 2}).appendJSON(nil)
	want := `{"allowed":false,"cost":"2","remaining":"0.5","remaining_units":3,"draws":[],"code":"insufficient_credits","detail":"\"none\" left",` +
		`"blocked_by":"credits","short":"1.5","next_renewal":"2026-02-01T00:00:00Z","contact":"ana@example.com","pending_purchase":"p1","position":"1.0"}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// Names of lots and pools are the tenant's: they may hold anything.
func TestJSONText(t *testing.T) {
	for _, s := range []string{"plain", "é", `q"uote`, "back\\slash", "tab\t", "<script>", ""} {
		var back string
		if err := json.Unmarshal(appendJSONText(nil, s), &back); err != nil || back != s {
			t.Errorf("%q became %q: %v", s, back, err)
		}
	}
}
