package credit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Event is one fact. The set is closed: it is the structs of this file. Their names and field names
// are on disk for ever; a new shape is a new version with an upcaster (wire.go).
//
// Every Amount is in the tenant's smallest unit, every instant is UTC with nanoseconds, every
// interval is half-open.
type Event interface {
	// Kind is the name of the fact in the journal, without version: "UsageRecorded".
	Kind() string
	event()
}

// Fact is an event with its identity and the instant at which it happened, which for what fell due
// is the instant it fell due and for late usage the instant of the use.
type Fact struct {
	ID    uuid.UUID
	At    time.Time
	Event Event
	Raw   []byte // the event's data as it stands in its commit, in the current version; nil before the commit is sealed
}

// Hash is the content hash of a request: SHA-256 cut to 16 bytes. The zero Hash marks entries that
// no request asked for (what fell due).
type Hash [16]byte

// Entry is everything that one command decided for one account, all or nothing.
type Entry struct {
	Account  string    // empty for what concerns the whole tenant (a catalog)
	Key      string    // the idempotency key; for what fell due its own: "cycle/3", "expiry/l2"
	Hash     Hash      // zero when no request asked for it
	Actor    string    // who asked; empty for the system itself
	Source   string    // the source that a feature service gave with its usage, if any
	Recorded time.Time // the shard's time of the decision; never goes backwards in a journal
	Facts    []Fact
}

// Draw is how much one lot pays, gives back or keeps aside.
type Draw struct {
	Lot     string `json:"lot"`
	Pool    string `json:"pool"`
	Amount  Amount `json:"amount"`
	Unit    string `json:"unit,omitempty"`    // the meter whose units are counted; empty means credits
	Cycle   uint32 `json:"cycle"`             // the account's cycle whose terms this draw belongs to
	Revenue int64  `json:"revenue,omitempty"` // recognised with it, in minor units of the lot's currency
}

// Grant is the birth of a lot.
type Grant struct {
	Lot    string    `json:"lot"` // unique in its account: "l1", "l2", …
	Pool   string    `json:"pool"`
	Unit   string    `json:"unit,omitempty"`
	Amount Amount    `json:"amount"` // > 0
	Starts time.Time `json:"starts"`
	Ends   time.Time `json:"expires,omitzero"` // zero: never
	Warns  time.Time `json:"warns,omitzero"`   // when its end is announced; zero: it is not
	Kind   string    `json:"kind"`             // allowance, purchase, sold, goodwill, promotion, opening, rollover, replacement
	Paid   bool      `json:"paid,omitempty"`   // paid lots burn after free ones
	Price  Money     `json:"price,omitzero"`   // net revenue to recognise over the lot
	Cycles uint32    `json:"cycles,omitempty"` // how many boundaries its credits have crossed by rollover
}

// Ended is what a lot lost because its time was over or an allowance was replaced.
type Ended struct {
	Lot     string `json:"lot"`
	Pool    string `json:"pool"`
	Unit    string `json:"unit,omitempty"`
	Amount  Amount `json:"amount"`
	Revenue int64  `json:"revenue,omitempty"` // breakage recognised with it
}

// Rolled is what a lot handed to its successor at a boundary, by the pool's rollover setting.
type Rolled struct {
	From   string `json:"from"`
	Amount Amount `json:"amount"`
	Into   Grant  `json:"into"`
}

// Replaced is a draw that came back to a lot that had ended, and the lot granted in its stead.
type Replaced struct {
	Draw Draw  `json:"draw"`
	Into Grant `json:"into"`
}

// Cycle is one renewal period of an account.
type Cycle struct {
	Number uint32    `json:"number"` // 1, 2, … over the account's life; what draws name
	Step   int       `json:"step"`   // how many months From lies after the anchor
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

type (
	// AccountOpened starts an account. A plan given with it follows as a PlanChanged of the same entry,
	// opening lots as CreditGranted.
	AccountOpened struct {
		Timezone string    `json:"timezone"`
		Anchor   time.Time `json:"anchor"`
		Cycle    Cycle     `json:"cycle"`
		Metadata Metadata  `json:"metadata,omitempty"`
	}

	// AccountChanged states the new values of what it names; nil fields are unchanged.
	AccountChanged struct {
		Timezone      *string        `json:"timezone,omitempty"`       // acts at the next boundary
		Approval      *string        `json:"approval,omitempty"`       // "pin", "totp" or "": what guards the account, never the secret
		PaymentMethod *PaymentMethod `json:"payment_method,omitempty"` // the zero value removes it
		Metadata      *Metadata      `json:"metadata,omitempty"`       // all of it, merged already
	}

	// AccountClosed freezes the lots; only confirmations and refunds still write.
	AccountClosed struct {
		Reason string `json:"reason,omitempty"`
	}

	// AccountReopened undoes AccountClosed.
	AccountReopened struct {
		Reason string `json:"reason,omitempty"`
	}

	// PlanChanged puts an account on a plan (empty: none) at once. Cycle is the one that holds from now
	// on; when its Number grew, the former cycle closed here and Anchor is new.
	PlanChanged struct {
		From    string    `json:"from,omitempty"`
		Plan    string    `json:"plan,omitempty"`
		Catalog uint32    `json:"catalog"`
		Anchor  time.Time `json:"anchor"`
		Cycle   Cycle     `json:"cycle"`
		Expired []Ended   `json:"expired,omitempty"`
		Granted []Grant   `json:"granted,omitempty"`
		Forget  time.Time `json:"forget,omitzero"` // as in CycleRenewed
	}

	// PlanChangeScheduled will put the account on a plan at its next boundary; Cancelled takes a
	// scheduled change back.
	PlanChangeScheduled struct {
		Plan      string    `json:"plan,omitempty"`
		Due       time.Time `json:"due,omitzero"`
		Cancelled bool      `json:"cancelled,omitempty"`
	}

	// CycleRenewed closes one cycle and opens the next. Expired and Rolled belong to the cycle that ends,
	// Granted to the one that starts. A lot over its pool's rollover limit is in both of the first two.
	CycleRenewed struct {
		Cycle    Cycle     `json:"cycle"`
		Plan     string    `json:"plan,omitempty"` // the plan from here on
		Catalog  uint32    `json:"catalog"`
		Timezone string    `json:"timezone"`
		Expired  []Ended   `json:"expired,omitempty"`
		Rolled   []Rolled  `json:"rolled,omitempty"`
		Granted  []Grant   `json:"granted,omitempty"`
		Forget   time.Time `json:"forget,omitzero"` // lots that ended by then are beyond any late window: drop them
	}

	// CreditGranted is a lot given by a person, or an opening lot of an import.
	CreditGranted struct {
		Grant
		Reason     string `json:"reason,omitempty"`
		InvoiceRef string `json:"invoice_ref,omitempty"`
		Catalog    uint32 `json:"catalog"`
	}

	// PurchaseRequested starts a purchase. Price and Credits are fixed here and hold whenever the payment
	// is confirmed.
	PurchaseRequested struct {
		Purchase  string    `json:"purchase"`
		Pack      string    `json:"pack,omitempty"` // empty for a top-up of a chosen amount
		Pool      string    `json:"pool"`
		Credits   Amount    `json:"credits"`
		Price     Money     `json:"price"`
		Provider  string    `json:"provider"`
		PaysUntil time.Time `json:"pays_until"`
		Catalog   uint32    `json:"catalog"`
		Approved  string    `json:"approved,omitempty"` // "pin" or "totp" when a code was asked for and right
		Metadata  Metadata  `json:"metadata,omitempty"`
	}

	// PurchaseApproved records the buyer's confirmation that the saved method may be charged.
	PurchaseApproved struct {
		Purchase string `json:"purchase"`
		Method   string `json:"method,omitempty"` // the saved method as shown: masked
	}

	// PurchaseUpdated is what the provider says on the way: processing, requires_action, disputed.
	PurchaseUpdated struct {
		Purchase  string `json:"purchase"`
		Status    string `json:"status"`
		Reason    string `json:"reason,omitempty"`
		Reference string `json:"reference,omitempty"`
	}

	// PurchaseFailed ends a purchase without credits; a later success still gives them.
	PurchaseFailed struct {
		Purchase string `json:"purchase"`
		Reason   string `json:"reason,omitempty"`
	}

	// PurchaseExpired ends a purchase nobody paid; a later success still gives its credits.
	PurchaseExpired struct {
		Purchase string `json:"purchase"`
	}

	// CreditPurchased is the lot that a confirmed payment gives, exactly once per purchase.
	CreditPurchased struct {
		Grant
		Purchase   string    `json:"purchase"`
		PaidAt     time.Time `json:"paid_at,omitzero"` // the provider's time
		Reference  string    `json:"reference,omitempty"`
		InvoiceRef string    `json:"invoice_ref,omitempty"`
		ReceiptURL string    `json:"receipt_url,omitempty"`
		Catalog    uint32    `json:"catalog"`
	}

	// PaymentMismatched records a payment of another amount or currency: it gave nothing and needs a person.
	PaymentMismatched struct {
		Purchase  string `json:"purchase"`
		Paid      Money  `json:"paid"`
		Reference string `json:"reference,omitempty"`
	}

	// PurchaseRefunded takes back what is left of the purchase's lot.
	PurchaseRefunded struct {
		Purchase string `json:"purchase"`
		Lot      string `json:"lot"`
		Pool     string `json:"pool"`
		Unit     string `json:"unit,omitempty"`
		Amount   Amount `json:"amount"` // credits taken back
		Money    Money  `json:"money"`  // floor(paid × left / granted)
		Status   string `json:"status"` // "refunded", or "disputed" for a chargeback
		Reason   string `json:"reason,omitempty"`
	}

	// GrantRevoked takes back what is left of a lot and ends it.
	GrantRevoked struct {
		Lot    string `json:"lot"`
		Pool   string `json:"pool"`
		Unit   string `json:"unit,omitempty"`
		Amount Amount `json:"amount"`
		Reason string `json:"reason,omitempty"`
	}

	// UsageRecorded charges a use. Cost is the price in credits of the units that no pool counted in
	// units paid; what Draws do not cover of it is Debt or Unpaid.
	UsageRecorded struct {
		Meter       string          `json:"meter"`
		Quantity    int64           `json:"quantity"`
		Cost        Amount          `json:"cost"`
		Draws       []Draw          `json:"draws,omitempty"`
		Debt        Amount          `json:"debt,omitempty"`
		Unpaid      Amount          `json:"unpaid,omitempty"`
		Why         string          `json:"why,omitempty"`   // the code of what made it unpaid
		Carry       *int64          `json:"carry,omitempty"` // units not charged yet, for a meter that accumulates
		Remaining   Amount          `json:"remaining"`       // credits that remained to the account
		Catalog     uint32          `json:"catalog"`         // the version that priced it
		Description string          `json:"description,omitempty"`
		Attributes  json.RawMessage `json:"attributes,omitempty"`
	}

	// UsageDenied is a refusal that the tenant wants on record. One record may stand for several refusals of
	// the meter with the code: for Count of them, none of them before Since; Quantity and what follows are
	// those of the last one.
	UsageDenied struct {
		Meter     string    `json:"meter"`
		Quantity  int64     `json:"quantity"`
		Code      string    `json:"code"`
		BlockedBy string    `json:"blocked_by,omitempty"`
		Short     Amount    `json:"short,omitempty"`
		Catalog   uint32    `json:"catalog"`
		Count     int64     `json:"count,omitempty"` // absent: one
		Since     time.Time `json:"since,omitzero"`
	}

	// UsageReversed takes Quantity units of an earlier use back. Draws went back to lots that live, Lapsed
	// to lots that ended and stay expired, Replaced to lots that ended and were granted anew.
	UsageReversed struct {
		Usage    string     `json:"usage"` // the key of the use
		Meter    string     `json:"meter"`
		Quantity int64      `json:"quantity"`
		Total    int64      `json:"total"` // units of that use reversed so far, this one included
		Credits  Amount     `json:"credits"`
		Draws    []Draw     `json:"draws,omitempty"`
		Lapsed   []Draw     `json:"lapsed,omitempty"`
		Replaced []Replaced `json:"replaced,omitempty"`
		Debt     Amount     `json:"debt,omitempty"`   // debt forgiven
		Unpaid   Amount     `json:"unpaid,omitempty"` // unpaid forgiven
		Carry    *int64     `json:"carry,omitempty"`  // units not charged now, for a meter that accumulates
		Reason   string     `json:"reason,omitempty"`
	}

	// PersonalErased says that the key was destroyed with which the account's texts in the journal are sealed
	// (see sealed.go), and takes away what the tenant noted on the account.
	PersonalErased struct{}

	// DebtRepaid pays debt of a meter out of credits that came later.
	DebtRepaid struct {
		Meter  string `json:"meter"`
		Amount Amount `json:"amount"`
		Draws  []Draw `json:"draws"`
	}

	// HoldPlaced sets credits aside before the work.
	HoldPlaced struct {
		Hold        string          `json:"hold"` // unique in its account: "h1", …
		Meter       string          `json:"meter"`
		Quantity    int64           `json:"quantity"`
		Cost        Amount          `json:"cost"`
		Draws       []Draw          `json:"draws,omitempty"`
		Carry       int64           `json:"carry,omitempty"` // units carried when it was priced, for a meter that accumulates
		Expires     time.Time       `json:"expires"`
		Remaining   Amount          `json:"remaining"`
		Catalog     uint32          `json:"catalog"`
		Description string          `json:"description,omitempty"`
		Attributes  json.RawMessage `json:"attributes,omitempty"`
	}

	// HoldCaptured charges a hold. Draws came out of what was held, Excess beyond it out of lots as they
	// are now, Released went back to lots that live, Lapsed to lots that ended meanwhile (its revenue is
	// breakage).
	HoldCaptured struct {
		Hold      string `json:"hold"`
		Meter     string `json:"meter"`
		Quantity  int64  `json:"quantity"`
		Cost      Amount `json:"cost"`
		Draws     []Draw `json:"draws,omitempty"`
		Excess    []Draw `json:"excess,omitempty"`
		Released  []Draw `json:"released,omitempty"`
		Lapsed    []Draw `json:"lapsed,omitempty"`
		Debt      Amount `json:"debt,omitempty"`
		Unpaid    Amount `json:"unpaid,omitempty"`
		Why       string `json:"why,omitempty"`
		Carry     *int64 `json:"carry,omitempty"`
		Remaining Amount `json:"remaining"`
		Catalog   uint32 `json:"catalog"`
	}

	// HoldReleased gives a hold back.
	HoldReleased struct {
		Hold     string `json:"hold"`
		Released []Draw `json:"released,omitempty"`
		Lapsed   []Draw `json:"lapsed,omitempty"`
	}

	// HoldLapsed is a hold that nobody captured in time.
	HoldLapsed struct {
		Hold     string `json:"hold"`
		Released []Draw `json:"released,omitempty"`
		Lapsed   []Draw `json:"lapsed,omitempty"`
	}

	// CreditExpired ends one lot whose time was over.
	CreditExpired struct {
		Ended
	}

	// CreditRolledOver hands what remains of one lot to its successor just before a renewal that would
	// have too many lots to name: what it says could stand in that CycleRenewed as well.
	CreditRolledOver struct {
		Rolled
	}

	// BalanceLow says that remaining fell below a threshold of the catalog.
	BalanceLow struct {
		Remaining Amount `json:"remaining"`
		Threshold Amount `json:"threshold"`
	}

	// BalanceExhausted says that nothing remains.
	BalanceExhausted struct {
		Meter string `json:"meter,omitempty"`
	}

	// CreditExpiringSoon warns, once per lot, that it will end.
	CreditExpiringSoon struct {
		Lot    string    `json:"lot"`
		Pool   string    `json:"pool"`
		Unit   string    `json:"unit,omitempty"`
		Amount Amount    `json:"amount"`
		Ends   time.Time `json:"expires"`
	}

	// NothingChanged is a command that was carried out and had nothing to change, such as closing a closed
	// account: its key has to be remembered all the same.
	NothingChanged struct{}

	// CatalogPublished puts a version of the tenant's rules in force from the instant it is recorded.
	CatalogPublished struct {
		Version uint32   `json:"version"`
		Source  string   `json:"source"` // the catalog, as YAML
		Changes []string `json:"changes,omitempty"`
	}
)

// Metadata is what a tenant notes on an account: names to JSON scalars.
type Metadata map[string]json.RawMessage

// PaymentMethod is the saved method of an account as the provider knows it: a reference, and what may
// be shown of it. Never a card number.
type PaymentMethod struct {
	Provider  string `json:"provider"`
	Reference string `json:"reference"`
	Label     string `json:"label"` // masked: "Visa •••• 4242"
}

// The states of a purchase.
const (
	AwaitingPayment = "awaiting_payment"
	Processing      = "processing"
	RequiresAction  = "requires_action"
	Completed       = "completed"
	Failed          = "failed"
	Expired         = "expired"
	Refunded        = "refunded"
	Disputed        = "disputed"
)

// The kinds of a grant.
const (
	KindAllowance   = "allowance"
	KindPurchase    = "purchase"
	KindSold        = "sold"
	KindGoodwill    = "goodwill"
	KindPromotion   = "promotion"
	KindOpening     = "opening"
	KindRollover    = "rollover"
	KindReplacement = "replacement"
)
