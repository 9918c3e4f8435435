package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/personal"
	"creditstream/services/rules"
)

func personalRoutes() []route {
	return []route{
		{
			id: "erasePersonal", method: http.MethodDelete, path: accountPath + "/personal", scope: credentials.Admin,
			summary: "Erase what was written about an account",
			detail: "Destroys the key that descriptions, attributes, metadata and reasons of this account are sealed with. " +
				"They can never be read again, here or in a copy of the journal; balances, amounts and the hash chain stay as they are. " +
				"Backups of the keys that were made before still open them. Erasing again is safe.",
			answer: ErasedAnswer{}, codes: []rules.Code{rules.CodeUnknownAccount}, handle: erasePersonal,
		},
	}
}

// ErasedAnswer says that nothing of what was written about the account before can be read any more.
type ErasedAnswer struct {
	Account  string `json:"account"`
	Erased   bool   `json:"erased"`
	Position string `json:"position" doc:"Where the journal says who erased."`
}

// erasePersonal destroys the key first and then says so in the journal: what the journal says is true. Was the
// request cut off in between, it is made again.
func erasePersonal(c *call) (reply, error) {
	if _, _, _, err := c.existing(); err != nil {
		return reply{}, err
	}
	if c.cfg.Personal == nil {
		return reply{}, fmt.Errorf("%w: this server keeps no keys of personal texts", accounts.ErrUnavailable)
	}
	if err := c.cfg.Personal.Erase(c.ctx, c.tenant.Name(), c.account); err != nil {
		return reply{}, fmt.Errorf("%w: %w", accounts.ErrUnavailable, err)
	}
	answer := c.tenant.Do(c.ctx, accounts.Request{Account: c.account, Actor: c.principal.Actor, Command: rules.ErasePersonal{}})
	if answer.Err != nil {
		return reply{}, answer.Err
	}
	return ok(ErasedAnswer{Account: c.account, Erased: true, Position: c.position(&answer)})
}

// texts opens what is sealed of one account. The key is read when the first sealed text is met.
type texts struct {
	call    *call
	account string
	key     *personal.Key
	asked   bool
	fault   error // why a key could not be read, or that a text was altered
}

func (c *call) texts(account string) *texts { return &texts{call: c, account: account} }

// open returns a text as it was written, or "" and that it was erased.
func (t *texts) open(text string) (opened string, erased bool) {
	if t.call.cfg.Personal == nil || !credit.IsSealed(text) {
		return text, false
	}
	if !t.asked {
		t.asked = true
		key, err := t.call.cfg.Personal.Key(t.call.ctx, t.call.tenant.Name(), t.account)
		if err != nil {
			t.fault = fmt.Errorf("%w: %w", accounts.ErrUnavailable, err)
		}
		t.key = key
	}
	if t.fault != nil {
		return "", false
	}
	opened, err := t.key.Open(text)
	if err != nil && !errors.Is(err, personal.ErrErased) {
		t.call.log.Error("a text cannot be opened", "tenant", t.call.tenant.Name(), "account", t.account, "error", err)
	}
	return opened, err != nil
}

// attributes opens those of a use or a hold.
func (t *texts) attributes(stored json.RawMessage) (opened json.RawMessage, erased bool) {
	sealed, ok := credit.SealedAttributes(stored)
	if !ok {
		return stored, false
	}
	text, erased := t.open(sealed)
	if text == "" {
		return nil, erased
	}
	return json.RawMessage(text), erased
}

// metadata opens each value, and leaves out those that were erased.
func (t *texts) metadata(stored credit.Metadata) credit.Metadata {
	opened := make(credit.Metadata, len(stored))
	for name, value := range stored {
		sealed, ok := credit.SealedValue(value)
		if !ok {
			opened[name] = value
			continue
		}
		if text, _ := t.open(sealed); text != "" {
			opened[name] = json.RawMessage(text)
		}
	}
	return opened
}
