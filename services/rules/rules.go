package rules

import (
	"time"

	"creditstream/events/credit"
)

// Command is what somebody wants to happen to one account.
type Command interface {
	// Decide states the facts that carrying out the command means, or returns a *Refusal. It changes
	// nothing: the caller folds the facts. The account has been settled up to now (Settle). A fact
	// carries its instant and its event; the caller gives it its id.
	Decide(a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error)
}

// Decide is what carrying out a command with an idempotency key means: one that has nothing to change
// says so, because its key has to be remembered (DESIGN.md §2). A command without a key states nothing then.
func Decide(c Command, keyed bool, a *credit.Account, b *Book, now time.Time) ([]credit.Fact, error) {
	facts, err := c.Decide(a, b, now)
	if keyed && err == nil && len(facts) == 0 {
		facts = []credit.Fact{{At: now, Event: &credit.NothingChanged{}}}
	}
	return facts, err
}

// Due is what fell due at one instant: facts with a key of their own ("cycle/3", "expiry/l2",
// "lapse/h1", "unpaid-purchase/<id>", "expiring/l2", "rollover/l2"), which become an entry of their own in front of the command's.
type Due struct {
	Key   string
	Facts []credit.Fact
}

// Code is the stable name of why a command was not carried out. The HTTP status of each is in the
// table of services/api.
type Code string

// The codes of API.md that rules decide.
const (
	CodeInsufficientCredits   Code = "insufficient_credits"
	CodePaymentMethodRequired Code = "payment_method_required"
	CodePlanNotEligible       Code = "plan_not_eligible"
	CodeMeterNotInPlan        Code = "meter_not_in_plan"
	CodeApprovalRequired      Code = "approval_required"
	CodeApprovalInvalid       Code = "approval_invalid"
	CodeApprovalLocked        Code = "approval_locked"
	CodeForbidden             Code = "forbidden"
	CodeUnknownAccount        Code = "unknown_account"
	CodeUnknownMeter          Code = "unknown_meter"
	CodeUnknownPlan           Code = "unknown_plan"
	CodeUnknownPack           Code = "unknown_pack"
	CodeUnknownPool           Code = "unknown_pool"
	CodeUnknownLot            Code = "unknown_lot"
	CodeUnknownHold           Code = "unknown_hold"
	CodeUnknownPurchase       Code = "unknown_purchase"
	CodeUnknownUsage          Code = "unknown_usage"
	CodeAccountClosed         Code = "account_closed"
	CodeHoldClosed            Code = "hold_closed"
	CodeReversalExceedsUsage  Code = "reversal_exceeds_usage"
	CodePaymentMismatch       Code = "payment_mismatch"
	CodeTooLarge              Code = "too_large"
	CodeInvalid               Code = "invalid"
	CodeLateEvent             Code = "late_event"
)

// What blocked a usage (Refusal.BlockedBy).
const (
	BlockedByPlan    = "plan"            // the plan does not include the meter
	BlockedByPool    = "pool_restricted" // credits are there, in pools that may not pay this meter
	BlockedByQuota   = "quota"           // a quota counted in units is used up and nothing else may pay
	BlockedByCredits = "credits"         // nothing is left
)

// Refusal is why a command was not carried out: an answer, not a fault. It is an error so that it can
// travel as one.
type Refusal struct {
	Code            Code
	Detail          string        // for a person: what is wrong and what to do next
	Field           string        // of bad input, the field: "quantity", "data.meter"
	BlockedBy       string        // one of the constants above, or ""
	Short           credit.Amount // credits missing
	NextRenewal     time.Time     // when the next allowance comes; zero when none does
	Contact         string        // whom to ask for more, or how to upgrade
	PendingPurchase string        // a purchase whose payment is under way
}

// Error is the code and the detail.
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Detail }

// Field is a part of a merge patch: absent (Set false), or set to a value, whose zero stands for null.
type Field[T any] struct {
	Set   bool
	Value T
}

// Set returns a field that is present.
func Set[T any](v T) Field[T] { return Field[T]{Set: true, Value: v} }
