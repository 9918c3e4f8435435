package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

func accountRoutes() []route {
	return []route{
		{
			id: "putAccount", method: http.MethodPut, path: accountPath, scope: credentials.Admin,
			summary: "Open an account, or change it",
			detail: "A merge patch: absent is unchanged, `\"plan\":null` is none. `anchor` is set once. A new TOTP code answers its " +
				"provisioning URI here and nowhere else.",
			request: AccountRequest{}, answer: AccountAnswer{},
			codes: []rules.Code{rules.CodeUnknownPlan, rules.CodeAccountClosed}, handle: putAccount,
		},
		{
			id: "getAccount", method: http.MethodGet, path: accountPath, scope: credentials.Read, query: []param{minPositionParam},
			summary: "An account", answer: Account{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: getAccount,
		},
		{
			id: "listAccounts", method: http.MethodGet, path: tenantPath + "/accounts", scope: credentials.Read,
			summary: "The accounts of a tenant",
			query: append([]param{
				{"plan", "string", "Only accounts on this plan; `-` for none."},
				{"status", "string", "open or closed."},
				{"q", "string", "Only accounts whose id contains this."},
			}, listParams...),
			answer: AccountList{}, handle: listAccounts,
		},
		{
			id: "closeAccount", method: http.MethodPost, path: accountPath + "/close", scope: credentials.Admin, key: keyOptional,
			summary: "Close an account", detail: "Its lots are frozen; only confirmations and refunds still write.",
			request: ReasonRequest{}, answer: StatusAnswer{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: closeAccount,
		},
		{
			id: "reopenAccount", method: http.MethodPost, path: accountPath + "/reopen", scope: credentials.Admin, key: keyOptional,
			summary: "Open a closed account again",
			request: ReasonRequest{}, answer: StatusAnswer{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: reopenAccount,
		},
	}
}

// AccountRequest opens or changes an account.
type AccountRequest struct {
	Plan          *string               `json:"plan,omitempty" doc:"null is none."`
	Timezone      *string               `json:"timezone,omitempty" doc:"IANA name; acts at the next boundary. Default the catalog's."`
	Anchor        *time.Time            `json:"anchor,omitempty" doc:"Set once; default now."`
	Approval      *ApprovalRequest      `json:"approval,omitempty" doc:"null removes the code."`
	PaymentMethod *PaymentMethodRequest `json:"payment_method,omitempty" doc:"null removes it."`
	Metadata      map[string]any        `json:"metadata,omitempty" doc:"Names to scalars, merged; null removes a name. No personal data."`
	Effective     string                `json:"effective,omitempty" enum:"now,next_cycle"`
}

// ApprovalRequest sets the code that guards the account: a PIN of six digits, or TOTP.
type ApprovalRequest struct {
	PIN  string `json:"pin,omitempty" pattern:"^[0-9]{6}$"`
	TOTP bool   `json:"totp,omitempty"`
}

// PaymentMethodRequest is a saved method as the provider knows it. Never a card number.
type PaymentMethodRequest struct {
	Provider  string `json:"provider,omitempty" doc:"Default sandbox."`
	Reference string `json:"reference,omitempty" doc:"The provider's name for it."`
	Label     string `json:"label,omitempty" doc:"What may be shown, masked: Visa •••• 4242."`
	Brand     string `json:"brand,omitempty" doc:"With last4, instead of label."`
	Last4     string `json:"last4,omitempty" pattern:"^[0-9]{4}$"`
}

// Account is an account as it stands now.
type Account struct {
	Account       string                     `json:"account"`
	Status        string                     `json:"status" enum:"open,closed"`
	Plan          *string                    `json:"plan"`
	Pending       *PendingPlan               `json:"pending" doc:"A change of plan that waits for the next boundary."`
	Cycle         Period                     `json:"cycle"`
	Timezone      string                     `json:"timezone"`
	NextTimezone  string                     `json:"next_timezone,omitempty" doc:"From the next boundary on."`
	Anchor        time.Time                  `json:"anchor"`
	Approval      *string                    `json:"approval" enum:"pin,totp"`
	PaymentMethod *SavedMethod               `json:"payment_method"`
	Metadata      map[string]json.RawMessage `json:"metadata"`
	Opened        time.Time                  `json:"opened"`
	Position      string                     `json:"position"`
}

// AccountAnswer is an account that was opened or changed.
type AccountAnswer struct {
	Account
	ProvisioningURI string `json:"provisioning_uri,omitempty" doc:"For the authenticator; shown once."`
}

// PendingPlan is a change of plan to come.
type PendingPlan struct {
	Plan *string   `json:"plan"`
	Due  time.Time `json:"due"`
}

// SavedMethod is what may be shown of a payment method.
type SavedMethod struct {
	Provider string `json:"provider"`
	Label    string `json:"label"`
}

// AccountList is a page of accounts, by id within each shard.
type AccountList struct {
	Accounts []Account `json:"accounts"`
	Next     string    `json:"next,omitempty"`
}

// ReasonRequest says why.
type ReasonRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"1024"`
}

// StatusAnswer is what became of an account that was closed or reopened.
type StatusAnswer struct {
	Account  string `json:"account"`
	Status   string `json:"status" enum:"open,closed"`
	Position string `json:"position"`
	Replayed bool   `json:"replayed"`
}

// code is the part of a PutAccount that goes to the credentials and nowhere else.
type code struct {
	set  bool
	pin  string
	totp bool
}

func putAccount(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "plan", "timezone", "anchor", "approval", "payment_method", "metadata", "effective")
	command, code := f.account()
	if err := f.err(); err != nil {
		return reply{}, err
	}
	if f.isNull("metadata") {
		if command.Metadata.Value, err = c.noMetadata(); err != nil {
			return reply{}, err
		}
	}
	answer, err := c.do(command, sent, "account")
	if err != nil {
		return reply{}, err
	}
	// The code is set after the command was accepted: a refused one leaves nothing behind. Should this
	// fail, the account asks for a code that nobody has, which opens nothing.
	uri, err := c.setCode(code)
	if err != nil {
		return reply{}, err
	}
	a, _, _, err := c.tenant.Account(c.account)
	if err != nil {
		return reply{}, err
	}
	shown, err := c.accountAnswer(a, c.position(&answer))
	if err != nil {
		return reply{}, err
	}
	return ok(AccountAnswer{Account: shown, ProvisioningURI: uri})
}

// account reads the fields of an AccountRequest.
func (f *fields) account() (rules.PutAccount, code) {
	var command rules.PutAccount
	var code code
	if f.has("plan") {
		command.Plan = rules.Set(f.optional("plan", maxID))
	}
	if f.has("timezone") {
		command.Timezone = rules.Set(f.optional("timezone", maxID))
	}
	if at := f.time("anchor"); !at.IsZero() {
		command.Anchor = rules.Set(at)
	}
	if f.has("approval") {
		code = f.code()
		switch {
		case code.totp:
			command.Approval = rules.Set(string(rules.ApprovalTOTP))
		case code.pin != "":
			command.Approval = rules.Set(string(rules.ApprovalPIN))
		default:
			command.Approval = rules.Set("")
		}
	}
	if f.has("payment_method") {
		command.PaymentMethod = rules.Set(f.paymentMethod())
	}
	if f.has("metadata") {
		command.Metadata = rules.Set(f.metadata("metadata"))
	}
	command.Effective = f.optional("effective", maxID)
	return command, code
}

func (f *fields) code() code {
	v, ok := f.sent("approval")
	if !ok {
		return code{set: true}
	}
	if !v.isObject() {
		f.refuse("approval", `{"pin":"482913"}, {"totp":true} or null is expected`)
		return code{}
	}
	in := fieldsOf(v.members(), f.prefix+"approval.", "pin", "totp")
	read := code{set: true, pin: in.optional("pin", maxID), totp: in.flag("totp")}
	switch {
	case in.has("pin") && !isPIN(read.pin):
		in.refuse("pin", "six digits are expected")
	case (read.pin != "") == read.totp:
		in.refuse("pin", "either a pin or totp is expected")
	}
	if f.fault == nil {
		f.fault = in.fault
	}
	return read
}

func isPIN(s string) bool {
	return len(s) == 6 && strings.Trim(s, "0123456789") == ""
}

func (f *fields) paymentMethod() credit.PaymentMethod {
	v, ok := f.sent("payment_method")
	if !ok {
		return credit.PaymentMethod{}
	}
	if !v.isObject() {
		f.refuse("payment_method", `an object such as {"provider":"sandbox","reference":"…","label":"Visa •••• 4242"} is expected`)
		return credit.PaymentMethod{}
	}
	in := fieldsOf(v.members(), f.prefix+"payment_method.", "provider", "reference", "label", "brand", "last4")
	method := credit.PaymentMethod{
		Provider: in.optional("provider", maxID), Reference: in.optional("reference", maxID), Label: in.optional("label", maxID),
	}
	brand, last4 := in.optional("brand", maxID), in.optional("last4", 4)
	if method.Label == "" {
		if brand == "" || len(last4) != 4 {
			in.refuse("label", "a masked label is expected, or brand and last4")
		}
		method.Label = brand + " •••• " + last4
	}
	if method.Provider == "" {
		method.Provider = "sandbox"
	}
	if f.fault == nil {
		f.fault = in.fault
	}
	return method
}

// noMetadata is the patch that removes all that is noted.
func (c *call) noMetadata() (map[string]json.RawMessage, error) {
	a, _, _, err := c.tenant.Account(c.account)
	if err != nil {
		return nil, err
	}
	patch := make(map[string]json.RawMessage)
	for name := range a.Metadata() {
		patch[name] = json.RawMessage("null")
	}
	return patch, nil
}

func (c *call) setCode(code code) (provisioningURI string, err error) {
	tenant, by, now := c.tenant.Name(), c.principal.Actor, c.now()
	switch {
	case !code.set:
		return "", nil
	case code.totp:
		return c.cfg.Credentials.SetTOTP(c.ctx, tenant, c.account, tenant, by, now)
	case code.pin != "":
		return "", c.cfg.Credentials.SetPIN(c.ctx, tenant, c.account, code.pin, by, now)
	}
	return "", c.cfg.Credentials.Clear(c.ctx, tenant, c.account, by, now)
}

func getAccount(c *call) (reply, error) {
	a, _, at, err := c.existing()
	if err != nil {
		return reply{}, err
	}
	return replyOf(c.accountAnswer(a, at.String()))
}

// accountAnswer shows an account that was settled.
func (c *call) accountAnswer(a *credit.Account, position string) (Account, error) {
	texts := c.texts(a.ID())
	answer := Account{
		Account: a.ID(), Status: statusOfAccount(a), Plan: unlessEmpty(a.Plan()), Cycle: periodOf(a.Cycle()), Timezone: a.Timezone(),
		Anchor: a.Anchor().UTC(), Approval: unlessEmpty(a.Approval()), Metadata: texts.metadata(a.Metadata()), Opened: a.Opened().UTC(), Position: position,
	}
	if p := a.Pending(); p != nil {
		answer.Pending = &PendingPlan{Plan: unlessEmpty(p.Plan), Due: p.Due.UTC()}
	}
	if next := a.NextTimezone(); next != a.Timezone() {
		answer.NextTimezone = next
	}
	if m := a.PaymentMethod(); m != (credit.PaymentMethod{}) {
		answer.PaymentMethod = &SavedMethod{Provider: m.Provider, Label: m.Label}
	}
	return answer, texts.fault
}

func statusOfAccount(a *credit.Account) string {
	if a.Closed() {
		return "closed"
	}
	return "open"
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func closeAccount(c *call) (reply, error) {
	return c.changeStatus("closed", func(reason string) rules.Command { return rules.CloseAccount{Reason: reason} })
}

func reopenAccount(c *call) (reply, error) {
	return c.changeStatus("open", func(reason string) rules.Command { return rules.ReopenAccount{Reason: reason} })
}

func (c *call) changeStatus(status string, command func(reason string) rules.Command) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "reason")
	reason := f.optional("reason", maxText)
	if err := f.err(); err != nil {
		return reply{}, err
	}
	answer, err := c.do(command(reason), sent, status)
	if err != nil {
		return reply{}, err
	}
	return ok(StatusAnswer{Account: c.account, Status: status, Position: c.position(&answer), Replayed: answer.Replayed})
}
