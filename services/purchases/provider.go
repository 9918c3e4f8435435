package purchases

import (
	"context"
	"errors"
	"net/http"
	"time"

	"creditstream/events/credit"
)

// Order is a purchase as its provider sees it. Tenant and Purchase together name it: a provider that is
// told of an order twice does not charge it twice.
type Order struct {
	Tenant   string
	Account  string
	Purchase string
	Price    credit.Money
	// Method is the account's saved payment method; the zero value when it has none.
	Method credit.PaymentMethod
}

// State is what a provider says about an order.
type State string

// The states of an order at its provider.
const (
	// Unheard: the provider knows of no charge. It may be asked for again.
	Unheard        State = ""
	Processing     State = "processing"
	RequiresAction State = "requires_action"
	Succeeded      State = "succeeded"
	Declined       State = "failed"
	// Refunded: the provider gave money back by itself.
	Refunded State = "refunded"
	// Disputed: the payer's bank took the money back.
	Disputed State = "disputed"
)

// Notice is what a provider says about one order.
type Notice struct {
	Tenant   string // "" when the provider does not say
	Purchase string
	State    State
	Paid     credit.Money // with Succeeded: what was paid
	PaidAt   time.Time    // with Succeeded: the provider's time
	Reason   string
	// Reference is the provider's own name for the payment.
	Reference  string
	InvoiceRef string
	ReceiptURL string
}

// ErrSignature says that a notification was not signed by its provider, or too long ago.
var ErrSignature = errors.New("the signature of the notification is not valid")

// Provider is a payment company. Its methods may be called concurrently, and again for the same order.
type Provider interface {
	// Name is the provider's part of paths: "sandbox".
	Name() string
	// Checkout returns the page where the buyer pays; for one order always the same.
	Checkout(ctx context.Context, order Order) (url string, err error)
	// Charge asks for the money of the order from its saved method. The outcome comes by notification.
	Charge(ctx context.Context, order Order) error
	// Status says what became of a charge whose notification may have been missed.
	Status(ctx context.Context, order Order) (Notice, error)
	// Refund gives money of a paid order back, once per order.
	Refund(ctx context.Context, order Order, money credit.Money) error
	// Notice reads a notification. The error is ErrSignature unless the provider signed exactly this
	// body at about now.
	Notice(header http.Header, body []byte, now time.Time) (Notice, error)
}
