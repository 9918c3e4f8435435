package pages

import (
	"errors"
	"strings"

	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// refusal is why something was not done, in plain words, and what to do next.
type refusal struct {
	Code  string
	Title string
	Text  string // "" when the title says it all
	Next  string // what to do; "" when there is nothing
}

// isRefusal tells an answer from a fault.
func isRefusal(err error) bool {
	var refused *rules.Refusal
	var input *credentials.InputError
	var conflict *accounts.Conflict
	return errors.As(err, &refused) || errors.As(err, &conflict) || errors.As(err, &input) ||
		errors.Is(err, credentials.ErrRequired) || errors.Is(err, credentials.ErrInvalid) || errors.Is(err, credentials.ErrLocked)
}

// refusalOf puts a refusal into words. The codes are those of the HTTP door.
func (v *visit) refusalOf(err error) *refusal {
	problem := api.ProblemOf(err, v.catalog.Scale)
	code := problem.Code
	r := &refusal{Code: code}
	key := "refused." + code
	if !v.L.Has(key) {
		key = "refused.other"
	}
	r.Title = v.L.T(key)
	if v.L.Has(key + ".next") {
		r.Next = v.L.T(key + ".next")
	}
	var locked *credentials.LockedError
	var refused *rules.Refusal
	switch {
	case errors.As(err, &locked):
		r.Text = v.L.T("refused.locked_until", v.L.Clock(locked.Until))
	case errors.Is(err, credentials.ErrNotSet):
		r.Title, r.Next = v.L.T("refused.no_code"), v.L.T("refused.no_code.next")
	case errors.As(err, &refused):
		v.explain(r, refused)
	}
	return r
}

// explain adds what a refusal of the rules knows: what is short, when more comes, whom to ask.
func (v *visit) explain(r *refusal, refused *rules.Refusal) {
	var text, next []string
	if refused.Short > 0 && refused.BlockedBy == rules.BlockedByCredits {
		text = append(text, v.L.T("refused.short", v.names.credits(refused.Short)))
	}
	if refused.Code == rules.CodeInsufficientCredits {
		if v.L.Has("refused.blocked." + refused.BlockedBy) {
			r.Title = v.L.T("refused.blocked." + refused.BlockedBy)
		}
		if v.mayBuyHere() && rules.MayBuy(v.account, v.tenant.Books(), v.now) == nil {
			next = append(next, v.L.T("refused.buy"))
		}
		if !refused.NextRenewal.IsZero() {
			next = append(next, v.L.T("refused.renewal", v.L.Day(refused.NextRenewal)))
		}
	}
	if refused.PendingPurchase != "" {
		next = append(next, v.L.T("refused.pending"))
	}
	// The tenant's own words: whom to ask, how to get a plan that may.
	if refused.Contact != "" {
		next = append(next, v.names.contact(v.account.Plan(), refused.Contact))
	}
	if refused.Field == "topup.amount" && v.catalog.TopUp != nil {
		r.Title = v.L.T("refused.amount", v.L.Money(v.catalog.TopUp.Min), v.L.Money(v.catalog.TopUp.Max))
		r.Next = ""
	}
	r.Text = strings.Join(text, " ")
	if len(next) > 0 {
		r.Next = strings.Join(next, " ")
	}
}
