package rules

import (
	"fmt"

	"creditstream/events/credit"
)

// refusals.go holds the refusals that many commands share.

func invalid(field, detail string) *Refusal {
	return &Refusal{Code: CodeInvalid, Field: field, Detail: detail}
}

func unknownAccount(a *credit.Account) *Refusal { return UnknownAccount(a.ID()) }

// UnknownAccount is unknown_account, with what opens one.
func UnknownAccount(id string) *Refusal {
	return &Refusal{Code: CodeUnknownAccount, Detail: fmt.Sprintf("there is no account %.128q; open it with PUT /accounts/{account}, or: credits account set ACCOUNT", id)}
}

func accountClosed(a *credit.Account) *Refusal {
	return &Refusal{Code: CodeAccountClosed, Detail: fmt.Sprintf("account %.128q is closed", a.ID())}
}
