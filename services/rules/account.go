package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"creditstream/events/credit"
)

// PutAccount opens an account, or changes it as a merge patch: a field that is not set stays as it is.
type PutAccount struct {
	Plan     Field[string]    // "" is none
	Timezone Field[string]    // acts at the next boundary; "" is the catalog's
	Anchor   Field[time.Time] // set once; default now; a past one starts in the cycle that contains now
	// Approval is the sort of code that guards the account: "pin", "totp" or "". The secret never comes here.
	Approval      Field[string]
	PaymentMethod Field[credit.PaymentMethod] // the zero value removes it
	Metadata      Field[map[string]json.RawMessage]
	// Effective says when a change of plan acts: "now", "next_cycle", or "" for upgrades now and every
	// other change at the next boundary.
	Effective string
}

// When a change of plan acts (PutAccount.Effective).
const (
	EffectiveNow       = "now"
	EffectiveNextCycle = "next_cycle"
)

// Bounds of what a tenant may note on an account.
const (
	maxMetadata = 64 // names
	maxPanShown = 8  // digits in the label of a payment method: more might be a card number
)

// Decide states AccountOpened, AccountChanged, PlanChanged and PlanChangeScheduled, as far as they say
// something new; no change is no facts.
func (c PutAccount) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	catalog := b.At(now)
	if r := c.badRequest(catalog); r != nil {
		return nil, r
	}
	if !a.Exists() {
		facts, r := c.open(catalog, now, nil)
		if r != nil {
			return nil, r
		}
		return facts, nil
	}
	if c.Anchor.Set && !c.Anchor.Value.IsZero() && !c.Anchor.Value.Equal(a.Anchor()) {
		return nil, invalid("anchor", "is set once, when the account is opened")
	}
	changed, r := c.change(a, catalog)
	if r != nil {
		return nil, r
	}
	planned, r := c.plan(a, catalog, now)
	if r != nil {
		return nil, r
	}
	var facts []credit.Fact
	if changed != nil {
		facts = append(facts, credit.Fact{At: now, Event: changed})
	}
	if planned != nil {
		facts = append(facts, credit.Fact{At: now, Event: planned})
	}
	if len(facts) > 0 && a.Closed() {
		return nil, accountClosed(a)
	}
	return withRepayment(a, catalog, now, facts...), nil
}

func (c PutAccount) badRequest(catalog *Catalog) *Refusal {
	switch c.Effective {
	case "", EffectiveNow, EffectiveNextCycle:
	default:
		return invalid("effective", "must be now or next_cycle")
	}
	if c.Timezone.Set && c.Timezone.Value != "" {
		if _, err := LoadZone(c.Timezone.Value); err != nil {
			return invalid("timezone", err.Error())
		}
	}
	if c.Anchor.Set && !c.Anchor.Value.IsZero() && !inRange(c.Anchor.Value) {
		return invalid("anchor", "must be between the years 1970 and 2200")
	}
	switch c.Approval.Value {
	case "", string(ApprovalPIN), string(ApprovalTOTP):
	default:
		return invalid("approval", "must be a pin, totp or null")
	}
	if r := badMethod(c.PaymentMethod.Value); r != nil {
		return r
	}
	if c.Plan.Set && c.Plan.Value != "" && (catalog == nil || catalog.Plans[c.Plan.Value] == nil) {
		return &Refusal{Code: CodeUnknownPlan, Field: "plan", Detail: fmt.Sprintf("there is no plan %.64q", c.Plan.Value)}
	}
	return nil
}

func badMethod(m credit.PaymentMethod) *Refusal {
	if len(m.Provider)+len(m.Reference)+len(m.Label) > maxText {
		return invalid("payment_method", fmt.Sprintf("is longer than %d bytes", maxText))
	}
	digits := 0
	for _, r := range m.Label {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits > maxPanShown {
		return invalid("payment_method.label", "must be masked: show the last four digits at most")
	}
	return nil
}

// open states a new account. brought are the pools whose allowance of the first cycle an import brings
// itself.
func (c PutAccount) open(catalog *Catalog, now time.Time, brought map[string]bool) ([]credit.Fact, *Refusal) {
	opened := &credit.AccountOpened{Timezone: zoneChosen(c.Timezone.Value, catalog), Anchor: now}
	if c.Anchor.Set && !c.Anchor.Value.IsZero() {
		opened.Anchor = c.Anchor.Value.UTC()
	}
	metadata, r := merged(nil, c.Metadata.Value)
	if r != nil {
		return nil, r
	}
	opened.Metadata = metadata
	plan, loc := planOf(catalog, c.Plan.Value), location(opened.Timezone, catalog)
	atOnce := c.Plan.Value != "" && c.Effective != EffectiveNextCycle
	step, from, to := CycleAt(opened.Anchor, now, loc, atOnce && plan.WholeDay)
	opened.Cycle = credit.Cycle{Number: 1, Step: step, From: from.UTC(), To: to.UTC()}
	facts := []credit.Fact{{At: now, Event: opened}}
	if c.Approval.Value != "" || c.PaymentMethod.Value != (credit.PaymentMethod{}) {
		e := &credit.AccountChanged{}
		if c.Approval.Value != "" {
			e.Approval = &c.Approval.Value
		}
		if c.PaymentMethod.Value != (credit.PaymentMethod{}) {
			e.PaymentMethod = &c.PaymentMethod.Value
		}
		facts = append(facts, credit.Fact{At: now, Event: e})
	}
	switch {
	case atOnce:
		e := &credit.PlanChanged{Plan: c.Plan.Value, Catalog: catalog.Version, Anchor: opened.Anchor, Cycle: opened.Cycle}
		for _, g := range allowances(credit.NewAccount(""), plan, catalog, opened.Cycle, loc, now, 0) {
			if !brought[g.Pool] {
				g.Lot = credit.NewAccount("").NextLot(len(e.Granted))
				e.Granted = append(e.Granted, g)
			}
		}
		facts = append(facts, credit.Fact{At: now, Event: e})
	case c.Plan.Value != "":
		facts = append(facts, credit.Fact{At: now, Event: &credit.PlanChangeScheduled{Plan: c.Plan.Value, Due: opened.Cycle.To}})
	}
	return facts, nil
}

func zoneChosen(name string, catalog *Catalog) string {
	switch {
	case name != "":
		return name
	case catalog != nil && catalog.Timezone != "":
		return catalog.Timezone
	}
	return "UTC"
}

// change is what the patch says of everything but the plan, nil when nothing is new.
func (c PutAccount) change(a *credit.Account, catalog *Catalog) (*credit.AccountChanged, *Refusal) {
	e, news := &credit.AccountChanged{}, false
	if c.Timezone.Set {
		if name := zoneChosen(c.Timezone.Value, catalog); name != a.NextTimezone() {
			e.Timezone, news = &name, true
		}
	}
	if c.Approval.Set && c.Approval.Value != a.Approval() {
		e.Approval, news = &c.Approval.Value, true
	}
	if c.PaymentMethod.Set && c.PaymentMethod.Value != a.PaymentMethod() {
		e.PaymentMethod, news = &c.PaymentMethod.Value, true
	}
	if c.Metadata.Set {
		metadata, r := merged(a.Metadata(), c.Metadata.Value)
		if r != nil {
			return nil, r
		}
		if !sameMetadata(metadata, a.Metadata()) {
			e.Metadata, news = &metadata, true
		}
	}
	if !news {
		return nil, nil
	}
	return e, nil
}

// merged applies a merge patch: null removes a name (RFC 7396 for one level).
func merged(old credit.Metadata, patch map[string]json.RawMessage) (credit.Metadata, *Refusal) {
	if len(patch) == 0 {
		return old, nil
	}
	all := make(credit.Metadata, len(old)+len(patch))
	for name, value := range old {
		all[name] = value
	}
	for name, value := range patch {
		text := bytes.TrimSpace(value)
		switch {
		case len(name) == 0 || len(name) > maxText || len(text) > maxText && !sealedValue(text):
			return nil, invalid("metadata", fmt.Sprintf("names and values are at most %d bytes", maxText))
		case len(text) == 0 || string(text) == "null":
			delete(all, name)
			continue
		case text[0] == '{' || text[0] == '[' || !json.Valid(text):
			return nil, invalid("metadata."+name, "must be a string, a number or a truth value")
		}
		all[name] = text
	}
	if len(all) > maxMetadata {
		return nil, invalid("metadata", fmt.Sprintf("has more than %d names", maxMetadata))
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

func sameMetadata(m, o credit.Metadata) bool {
	if len(m) != len(o) {
		return false
	}
	for name, value := range m {
		if other, ok := o[name]; !ok || !bytes.Equal(value, other) {
			return false
		}
	}
	return true
}

// plan is what the patch says of the plan: a change at once, one at the next boundary, a scheduled one
// taken back, or nil.
func (c PutAccount) plan(a *credit.Account, catalog *Catalog, now time.Time) (credit.Event, *Refusal) {
	pending := a.Pending()
	switch {
	case !c.Plan.Set:
		return nil, nil
	case c.Plan.Value == a.Plan() && pending == nil:
		return nil, nil
	case c.Plan.Value == a.Plan():
		return &credit.PlanChangeScheduled{Plan: pending.Plan, Due: pending.Due, Cancelled: true}, nil
	case c.atOnce(a, catalog):
		if catalog == nil {
			catalog = &Catalog{LateWindow: defaultLateWindow}
		}
		return planChange(a, catalog, c.Plan.Value, now), nil
	case pending != nil && pending.Plan == c.Plan.Value:
		return nil, nil
	}
	return &credit.PlanChangeScheduled{Plan: c.Plan.Value, Due: a.Cycle().To}, nil
}

// atOnce reports whether a change of plan acts now: an upgrade does, and what the request says.
func (c PutAccount) atOnce(a *credit.Account, catalog *Catalog) bool {
	if c.Effective != "" {
		return c.Effective == EffectiveNow
	}
	if c.Plan.Value == "" {
		return false
	}
	old := catalog.Plans[a.Plan()]
	return old == nil || catalog.Plans[c.Plan.Value].Rank > old.Rank
}

// CloseAccount freezes the account's lots; time goes on, and only confirmations and refunds still write.
type CloseAccount struct{ Reason string }

// Decide states AccountClosed; closing a closed account states nothing.
func (c CloseAccount) Decide(a *credit.Account, _ *Book, now time.Time) ([]credit.Fact, error) {
	if tooLong(c.Reason) {
		return nil, invalid("reason", fmt.Sprintf("is longer than %d bytes", maxText))
	}
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	if a.Closed() {
		return nil, nil
	}
	return []credit.Fact{{At: now, Event: &credit.AccountClosed{Reason: c.Reason}}}, nil
}

// ReopenAccount undoes CloseAccount.
type ReopenAccount struct{ Reason string }

// Decide states AccountReopened, and the debt that what thaws repays; reopening an open account states
// nothing.
func (c ReopenAccount) Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	if tooLong(c.Reason) {
		return nil, invalid("reason", fmt.Sprintf("is longer than %d bytes", maxText))
	}
	if !a.Exists() {
		return nil, unknownAccount(a)
	}
	if !a.Closed() {
		return nil, nil
	}
	return withRepayment(a, b.At(now), now, credit.Fact{At: now, Event: &credit.AccountReopened{Reason: c.Reason}}), nil
}
